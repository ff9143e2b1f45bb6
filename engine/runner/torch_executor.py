"""Runs a batch on a real model."""

from __future__ import annotations

import time
from collections.abc import Iterable

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Ints, limit
from aptsched.support.errors import InputError
from engine.models.decoder import Decoder
from engine.runner.attention import PagedAttention
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.table import form_blocks
from engine.runner.kernels.table import form_kernels
from engine.runner.layout import lay_out
from engine.runner.sampler import next_tokens, read_tokens
from engine.runner.sampling.draws import Draws, draws_of
from engine.state.batch import Batch, Step
from engine.state.blocks import check_counts


class TorchExecutor:
    """A model and the memory of its cache; the same code on a CPU and with CUDA.

    Parameters
    ----------
    decoder : Decoder
    num_blocks : int
        Blocks of the cache.
    num_host_blocks : int
        Blocks on the host, for requests that are swapped out.
    absorb_up_to : int, optional
        The most new tokens of a request for which attention over its hidden states is absorbed; for more, K and V are
        rebuilt. By default as many as make that cheaper, `ModelConfig.absorb_up_to`; 0 rebuilds always.
    kernels : bool, optional
        Whether forms are written and read by kernels in Triton; by default with CUDA, where it is installed.

    Raises
    ------
    InputError
        There is no memory for so many blocks, absorb_up_to is no whole number from 0 on, or kernels cannot run here.
    """

    def __init__(
        self,
        decoder: Decoder,
        num_blocks: int,
        num_host_blocks: int = 0,
        absorb_up_to: int | None = None,
        kernels: bool | None = None,
    ) -> None:
        self.decoder = decoder
        kind = (decoder.dtype, decoder.device)
        check_counts(num_blocks, num_host_blocks)
        absorbed = decoder.config.absorb_up_to if absorb_up_to is None else limit("absorb_up_to", absorb_up_to)
        try:
            self.storage = CacheStorage(decoder.config, num_blocks, *kind, num_host_blocks)
        except RuntimeError as error:  # torch's error when memory is out
            reason = str(error).splitlines()[0]
            asked = f"{num_blocks} blocks, and {num_host_blocks} on the host,"
            raise InputError(f"cache, swap_space: {asked} are not accepted ({reason}); fewer are") from error
        self.forms = form_blocks(decoder, self.storage, absorbed)
        self.kernels = form_kernels(decoder, self.forms, kernels)
        self.attention = PagedAttention(self.storage, self.forms)

    def prepare(self, forms: Iterable[CacheForm]) -> None:
        """Make these forms ready for use; InputError if the weights do not allow one of them."""
        for form in forms:
            self.forms[form].prepare()

    @torch.inference_mode()
    def run(self, batch: Batch) -> Step:
        """Swap, convert, feed the tokens, write the cache, and sample."""
        start_s = time.perf_counter()
        token_ids = np.full(len(batch.requests), -1, np.int64)
        entries, found = self.sampled(batch)
        if len(entries):
            token_ids[entries] = read_tokens(found, self.decoder.dtype)
        elif self.decoder.device.type == "cuda":
            torch.cuda.synchronize(self.decoder.device)
        return Step(time.perf_counter() - start_s, token_ids)

    @torch.inference_mode()
    def sampled(self, batch: Batch) -> tuple[Ints, torch.Tensor]:
        """Entries that sample, [s], and their tokens, [s], on the device, which is not waited for."""
        entries, logits, draws = self._fed(batch)
        return entries, next_tokens(logits, draws) if len(entries) else torch.empty(0, dtype=torch.int64)

    @torch.inference_mode()
    def forward(self, batch: Batch) -> tuple[Ints, torch.Tensor]:
        """Entries that sample, [s], and their logits, [s, vocab]; the cache is written."""
        return self._fed(batch)[:2]

    def _fed(self, batch: Batch) -> tuple[Ints, torch.Tensor, Draws | None]:
        """The same, and their draws; numbers go to the device in one copy, and it is not waited for."""
        self.storage.swap_out(batch.swap_out)
        self.storage.swap_in(batch.swap_in)
        conversions, upload = [self.attention.conversion(each) for each in batch.conversions], self.storage.upload
        vocab_size, entries, layout, draws = self.decoder.config.vocab_size, np.empty(0, np.int64), None, None
        if len(batch.requests):
            layout = lay_out(batch, self.storage, self.forms, self.kernels)
            entries = layout.entries[batch.samples[layout.entries]]
            draws = draws_of([batch.requests[entry] for entry in entries.tolist()], vocab_size, upload.put)
        upload.send()
        for convert in conversions:
            convert()
        if layout is None:
            return entries, torch.empty(0, vocab_size), None
        self.attention.begin(layout)
        x = self.decoder.forward(layout.token_ids, layout.positions, self.attention)
        return entries, self.decoder.logits(x.index_select(0, layout.last)), draws
