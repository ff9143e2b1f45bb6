"""Settings of the engine's tests."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # models are tiny, and tests run side by side
