"""Which class holds which form."""

from __future__ import annotations

from aptsched.scheduling.forms import CacheForm
from engine.runner.forms.form_blocks import MakeFormBlocks
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.kv import KVBlocks

FORM_BLOCKS: dict[CacheForm, MakeFormBlocks] = {CacheForm.KV: KVBlocks, CacheForm.HIDDEN: HiddenBlocks}
