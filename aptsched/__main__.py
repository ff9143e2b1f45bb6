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


if __name__ == "__main__":
    main()
