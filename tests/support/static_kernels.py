"""Forms by "kernels" of plain torch: operations whose number and shapes depend on the shapes of arrays alone."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F

from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Ints
from engine.runner.forms.form_blocks import AttendCached, Write
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.kernels.form_kernels import FormKernels
from engine.runner.kernels.mix import Mix
from engine.runner.torch_executor import TorchExecutor
from mixes import new_tokens


class StaticKernels:
    """KV or hidden states, rebuilt, read through the block table in its full width."""

    def __init__(self, executor: TorchExecutor, form: CacheForm) -> None:
        blocks = executor.forms[form]
        assert isinstance(blocks, KVBlocks | HiddenBlocks)
        self.decoder, self.blocks, self.put = executor.decoder, blocks, executor.storage.upload.put
        self.storage, self.reads_prefills = executor.storage, form == CacheForm.KV

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """That of the plain path."""
        return self.blocks.writer(table, owner, positions)

    def attender(self, mix: Mix) -> AttendCached:
        """Token by token."""
        owner, positions = new_tokens(mix)
        return partial(self._attend, self.put(mix.table[owner]), self.put(positions))

    def _attend(self, table: torch.Tensor, positions: torch.Tensor, layer: int, q: torch.Tensor) -> torch.Tensor:
        held = self.blocks.tokens_per_block
        cached = torch.arange(table.shape[1] * held)
        sees = cached <= positions[:, None]
        kv = self._read(layer, table.clamp_min(0), sees)
        keys, values = kv.permute(2, 0, 3, 1, 4)
        shares = q.shape[1] > keys.shape[1]
        found = F.scaled_dot_product_attention(
            q[:, :, None], keys, values, attn_mask=sees[:, None, None], enable_gqa=shares
        )
        return found[:, :, 0]

    def _read(self, layer: int, table: torch.Tensor, sees: torch.Tensor) -> torch.Tensor:
        """K and V, [T, tokens, 2, num_kv_heads, head_dim]; zeros of what is not seen."""
        config, held = self.decoder.config, self.blocks.tokens_per_block
        shape = (2, config.num_kv_heads, config.head_dim)
        width = config.hidden_size if self.blocks.stores_hidden else config.kv_size
        found = self.storage.blocks[layer][:, : held * width].index_select(0, table.flatten())
        rows = found.view(*sees.shape, width).masked_fill(~sees[:, :, None], 0.0)
        if not self.blocks.stores_hidden:
            return rows.view(*sees.shape, *shape)
        positions = torch.arange(sees.shape[1]).clamp_max(config.max_positions - 1).repeat(len(sees))
        return self.decoder.keys_and_values(layer, rows.flatten(0, 1), positions).view(*sees.shape, *shape)


def with_static_kernels(executor: TorchExecutor) -> TorchExecutor:
    """The executor, whose KV form and hidden states are read by these kernels from now on."""
    made: dict[int, FormKernels] = {form: StaticKernels(executor, form) for form in (CacheForm.KV, CacheForm.HIDDEN)}
    executor.kernels.update(made)
    return executor
