"""Which class holds which form of cache."""

from __future__ import annotations

from aptsched.scheduling.forms import CacheForm
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.int8 import Int8Blocks
from engine.runner.forms.keys import KeysBlocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.forms.scratch import Scratch


def form_blocks(decoder: Decoder, storage: CacheStorage, absorb_up_to: int) -> dict[int, FormBlocks]:
    """The objects for all forms in the same blocks, by `CacheForm`; they share one scratch.

    absorb_up_to is the most new tokens of a request for which attention over its hidden states is absorbed.
    """
    shared = decoder, storage, Scratch(storage.row, decoder.dtype, decoder.device)
    return {
        CacheForm.KV: KVBlocks(*shared),
        CacheForm.HIDDEN: HiddenBlocks(*shared, absorb_up_to),
        CacheForm.INT8: Int8Blocks(*shared),
        CacheForm.KEYS: KeysBlocks(*shared),
    }
