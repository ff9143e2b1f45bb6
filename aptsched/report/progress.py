"""A progress bar on stderr that never draws while something is timed."""

from __future__ import annotations

import contextlib
import sys
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
