"""The commands, run in this process."""

from __future__ import annotations

import pytest

from aptsched import cli


def says(printed: str, text: str) -> bool:
    """Whether a text was printed, whatever lines it was broken into: paths are as long as the folder of the tests."""
    return "".join(text.split()) in "".join(printed.split())


def call(*arguments: str) -> int:
    """The exit code of the command, run in this process."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    code = caught.value.code
    assert code is None or isinstance(code, int)
    return code or 0
