"""Ctrl-C handled from the first moment on; this module imports next to nothing, so that it can be imported first.

While modules are imported, KeyboardInterrupt may come in a callback of the importer, which prints and drops it, or
become another error in a native module. So Ctrl-C ends the process at once then, until there is something to keep.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

EXIT_CODE = 130
_keeps = False


def guard() -> None:
    """Handle Ctrl-C by `press`, unless it is handled or ignored already."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, press)


def press(signal_number: int, frame: FrameType | None) -> None:
    """The handler: raises KeyboardInterrupt, or ends the process while a module is imported."""
    if is_importing(frame):
        end(EXIT_CODE)
    raise KeyboardInterrupt


def is_importing(frame: FrameType | None) -> bool:
    """Whether the frame is within an import, and nothing would be lost."""
    while frame is not None and not _keeps:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def end(code: int) -> None:
    """End the process with one line."""
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(code)


def keep() -> None:
    """From now on there is something to keep: nothing ends the process at once any more."""
    global _keeps
    _keeps = True
