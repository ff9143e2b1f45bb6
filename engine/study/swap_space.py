"""Host memory for requests that are swapped out, as users write it."""

from __future__ import annotations

from aptsched.support.byte_sizes import parse_bytes
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.state.blocks import MAX_BLOCKS


def host_blocks(swap_space: str, block_bytes: int) -> int:
    """Whole blocks of a swap space; 0 is none.

    Raises
    ------
    InputError
        It is no number of bytes, is above 0 but less than a block, or is more than `MAX_BLOCKS` blocks.
    """
    num_bytes = parse_bytes("swap_space", swap_space)
    most = MAX_BLOCKS * block_bytes
    if 0 < num_bytes < block_bytes or num_bytes > most:
        accepted = f"a block takes {block_bytes} bytes, that to {most} is, or 0"
        raise InputError(f"swap_space: {shown(swap_space)} is not accepted; {accepted}")
    return num_bytes // block_bytes
