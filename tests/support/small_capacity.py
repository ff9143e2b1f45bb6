"""Options of a capacity study that takes a second."""

from __future__ import annotations

from typing import Any

LENGTHS = [(10 + 7 * i % 50, 5 + 3 * i % 17) for i in range(40)]
SMALL: dict[str, Any] = {
    "trace": LENGTHS,
    "policy": "fcfs,aptserve",
    "num_blocks": 12,
    "duration": 12,
    "warmup": 2,
    "num_requests": 15,
    "seeds": 2,
    "level": 0.9,
    "objectives": "0.5/0.2",
}
