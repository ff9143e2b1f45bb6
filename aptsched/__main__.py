"""The command `aptsched`, and `python -m aptsched`: Ctrl-C is dealt with before anything else is imported."""

from __future__ import annotations

from aptsched.support import start


def main() -> None:
    """Run the command that the arguments name."""
    start.guard()
    try:
        from aptsched.cli import main as run

        run()
    except KeyboardInterrupt:  # between two modules
        start.end(start.EXIT_CODE)
    except SystemExit as over:
        import os
        import threading

        from aptsched.support import interrupts

        if over.code == interrupts.exit_code() and threading.active_count() > 1:
            os._exit(interrupts.exit_code())  # all is said; an iteration of a session's thread is not waited for
        raise


if __name__ == "__main__":
    main()
