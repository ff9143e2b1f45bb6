"""Memory of the cache in blocks."""

from __future__ import annotations

from aptsched.support.byte_sizes import MAX_BYTES, parse_bytes
from aptsched.support.checks import is_count
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.model import Model
from engine.runner.cache_storage import block_bytes


def num_blocks(model: Model, cache_mem: str | int) -> int:
    """The number of whole blocks in so many bytes.

    Raises
    ------
    InputError
        Not even one block fits; the message says how many bytes a block takes.
    """
    num_bytes = parse_bytes("cache_mem", cache_mem) if isinstance(cache_mem, str) else cache_mem
    each = block_bytes(model.config, model.decoder.dtype)
    if not is_count(num_bytes, each, MAX_BYTES):
        raise InputError(f"cache_mem: {shown(cache_mem)} is not accepted; a block takes {each} bytes, at least that is")
    return num_bytes // each
