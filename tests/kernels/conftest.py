"""Settings of the tests of kernels, which run where Triton is: in its interpreter, or on a GPU."""

from __future__ import annotations

import torch

torch.set_num_threads(1)  # models are tiny, and the interpreter is Python
