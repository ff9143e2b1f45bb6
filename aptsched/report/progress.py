"""Progress bars on stderr: one that never draws while something is timed, and one that counts."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(num_steps: int) -> Iterator[Callable[[str], None]]:
    """Yield a function to call before each step, with what it is; it does nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda description: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=num_steps)
        num_done = 0

        def begin(description: str) -> None:
            nonlocal num_done
            bar.update(task, completed=num_done, description=description, refresh=True)
            num_done += 1

        yield begin


@contextlib.contextmanager
def counting(total: int, every_s: float = 0.2) -> Iterator[Callable[[int], None]]:
    """Yield a function to be told how many are done, as often as one likes; without a terminal it does nothing."""
    if not sys.stderr.isatty():
        yield lambda num_done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(None), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task, shown_s = bar.add_task("", total=total), 0.0

        def tell(num_done: int) -> None:
            nonlocal shown_s
            if time.monotonic() - shown_s >= every_s:
                shown_s = time.monotonic()
                bar.update(task, completed=num_done, refresh=True)

        yield tell
