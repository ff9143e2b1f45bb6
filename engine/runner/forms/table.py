"""Which class holds which form."""

from __future__ import annotations

from aptsched.scheduling.forms import CacheForm
from engine.models.decoder import Decoder
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks, MakeFormBlocks
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.int8 import Int8Blocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.forms.scratch import Scratch

FORM_BLOCKS: dict[CacheForm, MakeFormBlocks] = {
    CacheForm.KV: KVBlocks,
    CacheForm.HIDDEN: HiddenBlocks,
    CacheForm.INT8: Int8Blocks,
}


def form_blocks(decoder: Decoder, storage: CacheStorage) -> dict[int, FormBlocks]:
    """All forms of the same blocks, by `CacheForm`; they share what they read into."""
    scratch = Scratch(storage.row, decoder.dtype, decoder.device)
    return {int(form): make(decoder, storage, scratch) for form, make in FORM_BLOCKS.items()}
