"""Runs a batch on a real model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Ints, limit
from aptsched.support.errors import InputError
from engine.models.decoder import Decoder
from engine.runner.attention import PagedAttention
from engine.runner.cache_storage import CacheStorage
from engine.runner.device.launches import Launches, launches_for
from engine.runner.device.recorded import RecordedDecodes
from engine.runner.forms.conversion import Conversions
from engine.runner.forms.table import form_blocks
from engine.runner.kernels.table import form_kernels
from engine.runner.layout import Layout, lay_out
from engine.runner.sampler import next_tokens
from engine.runner.sampling.chosen import read_tokens
from engine.runner.sampling.draws import Draws, draws_of
from engine.runner.sampling.logprobs import logprobs_of
from engine.state.batch import Batch, Step
from engine.state.blocks import check_counts
from engine.state.request import Request


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
    launches : Launches, optional
        By default those of the decoder's device.

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
        launches: Launches | None = None,
    ) -> None:
        self.decoder, launches = decoder, launches or launches_for(decoder.device)
        kind = (decoder.dtype, decoder.device)
        check_counts(num_blocks, num_host_blocks)
        absorbed = decoder.config.absorb_up_to if absorb_up_to is None else limit("absorb_up_to", absorb_up_to)
        try:
            with_spare = num_blocks + int(launches.records)
            self.storage = CacheStorage(decoder.config, with_spare, *kind, num_host_blocks, launches)
        except RuntimeError as error:  # torch's error when memory is out
            reason = str(error).splitlines()[0]
            asked = f"{num_blocks} blocks, and {num_host_blocks} on the host,"
            raise InputError(f"cache, swap_space: {asked} are not accepted ({reason}); fewer are") from error
        self.forms = form_blocks(decoder, self.storage, absorbed)
        self.kernels = form_kernels(decoder, self.forms, kernels)
        self.conversions = Conversions(self.storage, self.forms, self.kernels)
        self.attention = PagedAttention(self.storage)
        self.decodes = RecordedDecodes(launches, self.storage.upload, self.kernels, num_blocks)

    def prepare(self, forms: Iterable[CacheForm]) -> None:
        """Make these forms ready for use; InputError if the weights do not allow one of them."""
        for form in forms:
            self.forms[form].prepare()

    def run(self, batch: Batch) -> Step:
        """Swap, convert, feed the tokens, write the cache, and sample."""
        return self.start(batch)()

    def start(self, batch: Batch) -> Callable[[], Step]:
        """The same without waiting for the device: the function that is returned does, and reads the tokens."""
        return partial(self._finished, time.perf_counter(), batch.requests, *self.sampled(batch))

    @torch.inference_mode()
    def _finished(
        self, start_s: float, requests: Sequence[Request], entries: Ints, logits: torch.Tensor, found: torch.Tensor
    ) -> Step:
        token_ids = np.full(len(requests), -1, np.int64)
        logprobs = logprobs_of(requests, entries.tolist(), logits, found)
        if len(entries):
            token_ids[entries] = read_tokens(found, self.decoder.dtype)
        else:
            self.storage.launches.wait()
        return Step(time.perf_counter() - start_s, token_ids, logprobs)

    @torch.inference_mode()
    def sampled(self, batch: Batch) -> tuple[Ints, torch.Tensor, torch.Tensor]:
        """Entries that sample, [s], their logits, [s, vocab], and tokens, [s], on a device that is not waited for."""
        entries, logits, draws = self._fed(batch)
        return entries, logits, next_tokens(logits, draws) if len(entries) else torch.empty(0, dtype=torch.int64)

    def _fed(self, batch: Batch) -> tuple[Ints, torch.Tensor, Draws | None]:
        """Entries that sample, their logits and draws; the cache is written. Numbers go to the device in one copy."""
        upload, vocab_size, size = self.storage.upload, self.decoder.config.vocab_size, len(batch.requests)
        before = [*self.storage.swaps.of(batch), *self.conversions.of(batch.conversions)]
        shown, key = self.decodes.begin(batch)
        layout, entries, draws, ours = None, np.empty(0, np.int64), None, None
        if size:
            layout = lay_out(shown, self.storage, self.forms, self.kernels)
            num_bytes, sampled = upload.num_bytes, layout.entries[shown.samples[layout.entries]]
            entries = sampled[sampled < size]
            ours = None if len(entries) == len(sampled) else upload.put(np.flatnonzero(sampled < size))
            draws = draws_of([batch.requests[entry] for entry in entries.tolist()], vocab_size, upload.put)
        upload.send()
        for call in before:
            call()
        if layout is None:
            return entries, torch.empty(0, vocab_size), None
        logits = self.decodes.run(key, num_bytes, partial(self._logits, layout))
        return entries, logits if ours is None else logits.index_select(0, ours), draws

    def _logits(self, layout: Layout) -> torch.Tensor:
        """Feeds what is laid out, and returns the logits of all that sample."""
        self.attention.begin(layout)
        x = self.decoder.forward(layout.token_ids, layout.positions, self.attention)
        return self.decoder.logits(x.index_select(0, layout.last))
