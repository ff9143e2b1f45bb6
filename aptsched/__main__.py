"""The command `aptsched`, and `python -m aptsched`: Ctrl-C is dealt with before anything else is imported."""

from __future__ import annotations


def main() -> None:
    """Run the command that the arguments name."""
    try:
        from aptsched import interrupts

        with interrupts.at_once():
            from aptsched.cli import main as run

        run()
    except KeyboardInterrupt:
        import os
        import sys

        print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)


if __name__ == "__main__":
    main()
