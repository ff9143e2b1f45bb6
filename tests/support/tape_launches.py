"""A device that records and replays without being there: operations of torch on a CPU, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.runner.device.launches import Launch, PlainLaunches


class Tape(TorchDispatchMode):
    """Notes each operation, its arguments and its result, as a graph does: Python is not asked again."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and note it."""
        result = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """The same operations on the same tensors; what they make goes to the memory that it went to."""
        for func, args, kwargs, before in self.steps:
            for new, old in zip(tree_leaves(func(*args, **kwargs)), tree_leaves(before), strict=True):
                if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)


class TapeLaunches(PlainLaunches):
    """Launches that record on tapes, and note what ran beside what.

    Attributes
    ----------
    num_recorded, num_replayed : int
    order : list of str
        "beside" and "join", as they came.
    """

    records = True

    def __init__(self) -> None:
        self.num_recorded = self.num_replayed = 0
        self.order: list[str] = []

    @contextmanager
    def beside(self, *read: torch.Tensor) -> Iterator[None]:
        """Noted."""
        self.order.append("beside")
        yield

    def join(self) -> None:
        """Noted."""
        self.order.append("join")

    def record(self, launch: Launch) -> Launch:
        """A tape; it is not run as if it had been: its results are spoilt until they are made by a replay."""
        with Tape() as tape:
            found = launch()
        self.num_recorded += 1
        found.fill_(torch.nan)

        def replay() -> torch.Tensor:
            self.num_replayed += 1
            tape.replay()
            return found

        return replay
