"""What the HTTP server has to say of errors, as one line on stderr each."""

from __future__ import annotations

import logging
import sys

from aptsched.support.shown import one_line


class LogLines(logging.Handler):
    """Prints a line for each record; of an exception its kind and text, without where it came from."""

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the line of a record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text}: {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        print(one_line(f"{record.levelname.lower()}: {text}"), file=sys.stderr, flush=True)


def print_errors() -> None:
    """Have errors of the HTTP server, and of asyncio, printed as lines; once for a process."""
    for name in ("uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.handlers = [LogLines()]
