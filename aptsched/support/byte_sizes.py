"""Numbers of bytes, as people write them."""

from __future__ import annotations

import re

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

CACHE_MEM = "512MiB"  # the default of commands that run a model
MAX_BYTES = 2.0**60
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_bytes(field: str, text: str) -> int:
    """A number of bytes: 512MiB, 1.5GB, 1073741824.

    Raises
    ------
    InputError
        The text is no number of bytes; the message begins with the field.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?\s*", text.lower(), re.ASCII)
    num_bytes = MAX_BYTES if found is None else float(found[1]) * UNITS[found[2] or ""]
    if num_bytes >= MAX_BYTES:
        accepted = "a number of bytes is, such as 512MiB, 1.5GB or 1000000"
        raise InputError(f"{field}: {shown(text)} is not accepted; {accepted}, below 2**60")
    return int(num_bytes)
