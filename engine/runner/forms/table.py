"""The table from forms of cache to the classes that store them."""

from __future__ import annotations

from aptsched.scheduling.forms import CacheForm
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks, MakeFormBlocks
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.int8 import Int8Blocks
from engine.runner.forms.keys import KeysBlocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.forms.scratch import Scratch

FORM_BLOCKS: dict[CacheForm, MakeFormBlocks] = {
    CacheForm.KV: KVBlocks,
    CacheForm.HIDDEN: HiddenBlocks,
    CacheForm.INT8: Int8Blocks,
    CacheForm.KEYS: KeysBlocks,
}


def form_blocks(decoder: Decoder, storage: CacheStorage) -> dict[int, FormBlocks]:
    """The objects for all forms in the same blocks, by `CacheForm`; they share one scratch."""
    scratch = Scratch(storage.row, decoder.dtype, decoder.device)
    return {int(form): make(decoder, storage, scratch) for form, make in FORM_BLOCKS.items()}
