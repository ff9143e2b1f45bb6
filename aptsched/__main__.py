"""`python -m aptsched` is the command `aptsched`."""

from aptsched.cli import main

main()
