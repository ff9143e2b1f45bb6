"""Random mixes of entries, in the blocks of a cache, and what the plain path says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Ints
from devices import KERNEL_DEVICE
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks, owners
from engine.runner.forms.table import form_blocks
from engine.runner.kernels.mix import Mix

LAYER = 1
SIZES: dict[str, Any] = {"vocab_size": 64, "num_layers": 2, "intermediate_size": 32, "max_positions": 160}
OPT: dict[str, Any] = {"architecture": architecture.OPT, "activation": "relu", "attention_bias": True, "mlp_bias": True}
LLAMA: dict[str, Any] = {"architecture": architecture.LLAMA, "activation": "silu"}


@dataclass(frozen=True, eq=False)
class Case:
    """A tiny model, the memory of a cache, and its forms by the plain path.

    Attributes
    ----------
    decoder : Decoder
    storage : CacheStorage
    forms : dict of int to FormBlocks
    """

    decoder: Decoder
    storage: CacheStorage
    forms: dict[int, FormBlocks]


def made(kind: dict[str, Any], heads: tuple[int, int, int], hidden: int, absorb_up_to: int, seed: int) -> Case:
    """A case for an architecture and (query heads, KV heads, size of a head); blocks of zeros."""
    num_heads, kv_heads, dim = heads
    config = ModelConfig(
        **SIZES, **kind, norm_eps=1e-5, hidden_size=hidden, num_heads=num_heads, num_kv_heads=kv_heads, head_dim=dim
    )
    rng = torch.Generator().manual_seed(seed)
    decoder = Decoder(config, random_weights(config, rng, device=KERNEL_DEVICE))
    storage = CacheStorage(config, 40, torch.float32, KERNEL_DEVICE)
    return Case(decoder, storage, form_blocks(decoder, storage, absorb_up_to))


def drawn_mix(rng: np.random.Generator, counts: list[int], cached: list[int], held: int) -> Mix:
    """Entries that are fed and have cached so many tokens, in random blocks, -1 beyond their last."""
    start, count = np.array(cached), np.array(counts)
    needed = -(-(start + count) // held)
    table = np.full((len(counts), int(needed.max())), -1)
    free = rng.permutation(40)
    for row, taken, end in zip(table, needed.tolist(), needed.cumsum().tolist(), strict=True):
        row[:taken] = free[end - taken : end]
    return Mix(start, count, table)


def new_tokens(mix: Mix) -> tuple[Ints, Ints]:
    """Entry and position of each new token."""
    owner, place = owners(mix.count)
    return owner, mix.start[owner] + place


def plain_outcome(case: Case, form: FormBlocks, mix: Mix, q: torch.Tensor) -> torch.Tensor:
    """What the plain path gives, entry by entry."""
    found, first = [], 0
    for row, (start, count) in enumerate(zip(mix.start.tolist(), mix.count.tolist(), strict=True)):
        until = start + torch.arange(count, device=q.device)
        visible = torch.arange(form.length(start + count), device=q.device) <= until[:, None]
        attend = form.attender(mix.table[row : row + 1], np.array([start + count]), visible[None, None])
        case.storage.upload.send()
        found.append(attend(LAYER, q[first : first + count]))
        first += count
    return torch.cat(found)


def fill_with_tokens(case: Case, form: int, mix: Mix, rng: torch.Generator) -> None:
    """All cached tokens, new ones too, written by the plain path."""
    whole = Mix(np.zeros_like(mix.start), mix.start + mix.count, mix.table)
    owner, positions = new_tokens(whole)
    config, blocks = case.decoder.config, case.forms[form]
    shape = (config.hidden_size,) if form == CacheForm.HIDDEN else (2, config.num_kv_heads, config.head_dim)
    write = blocks.writer(mix.table, owner, positions)
    case.storage.upload.send()
    write(LAYER, torch.randn(len(owner), *shape, generator=rng).to(KERNEL_DEVICE))
