"""Random batches that feed known texts to an executor, and what each text's logits should be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import NO_COPIES, Batch, Conversion, Copies
from engine.state.request import Request

NUM_BLOCKS, NUM_HOST_BLOCKS, NUM_REQUESTS, LENGTH = 60, 20, 7, 70


class Expected(Protocol):
    """What one text's logits should be, from its first token on."""

    def fed(self, start: int, stop: int, form: CacheForm) -> torch.Tensor:
        """Logits after the last of tokens that are fed in a form, [vocab]."""
        ...

    def converted(self, form: CacheForm) -> None:
        """All that is cached is turned into a form."""
        ...


@dataclass
class Fed:
    """A text that is fed piece by piece."""

    request: Request
    expected: Expected
    num_cached: int = 0
    form: CacheForm = CacheForm.NONE
    blocks: list[int] = field(default_factory=list)
    on_host: list[int] = field(default_factory=list)


class Feeder:
    """Draws batches, and keeps the block tables.

    Parameters
    ----------
    executor : TorchExecutor
        With `NUM_BLOCKS` and `NUM_HOST_BLOCKS`.
    forms : sequence of CacheForm
        That texts are begun in.
    becomes : mapping of CacheForm to CacheForm
        Which forms are converted, and to what.
    expected : function
        From a text's tokens to what it should give; called anew whenever a text begins.
    rng : Generator
    """

    def __init__(
        self,
        executor: TorchExecutor,
        forms: Sequence[CacheForm],
        becomes: Mapping[CacheForm, CacheForm],
        expected: Callable[[list[int]], Expected],
        rng: np.random.Generator,
    ) -> None:
        self.executor, self.forms, self.becomes, self.expected, self.rng = executor, forms, becomes, expected, rng
        self.free = rng.permutation(NUM_BLOCKS).tolist()
        self.free_host = rng.permutation(NUM_HOST_BLOCKS).tolist()
        self.num_conversions = 0
        self.texts = []
        for number in range(NUM_REQUESTS):
            ids = rng.integers(executor.decoder.config.vocab_size, size=LENGTH)
            request = Request(number, 0.0, LENGTH, prompt_token_ids=ids)
            self.texts.append(Fed(request, expected(ids.tolist())))

    def step(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Runs one random batch; logits of each entry that samples, and what they should be."""
        out = joined([copies for text in self.texts if (copies := self.swap_out(text))])
        back = joined([copies for text in self.texts if (copies := self.swap_in(text))])
        conversions = [made for text in self.texts if (made := self.conversion(text))]
        entries = [entry for i in self.rng.permutation(NUM_REQUESTS) if (entry := self.entry(self.texts[i]))]
        texts, counts = [text for text, _ in entries], np.array([count for _, count in entries], np.int64)
        starts = np.array([text.num_cached for text in texts], np.int64)
        table = np.full((len(texts), max((len(text.blocks) for text in texts), default=0)), -1)
        for row, text in zip(table, texts, strict=True):
            row[: len(text.blocks)] = text.blocks
        samples = self.rng.random(len(texts)) < 0.9
        forms = np.array([text.form for text in texts], np.int64)
        batch = Batch([text.request for text in texts], starts, counts, forms, table, samples, conversions, out, back)
        rows, logits, _ = self.executor.sampled(batch)
        assert sorted(rows.tolist()) == np.flatnonzero(samples).tolist()
        expected = [text.expected.fed(text.num_cached, text.num_cached + count, text.form) for text, count in entries]
        for text, count in entries:
            self.advance(text, count)
        return [(found, expected[row]) for row, found in zip(rows.tolist(), logits.cpu(), strict=True)]

    def advance(self, text: Fed, count: int) -> None:
        """So many tokens more are cached; one of fifty is preempted, and who is at its end begins anew."""
        text.num_cached += count
        if text.num_cached == LENGTH or self.rng.random() < 0.02:
            self.free += text.blocks
            text.blocks, text.num_cached, text.form = [], 0, CacheForm.NONE
            text.expected = self.expected(text.request.token_ids(0, LENGTH).tolist())

    def num_blocks(self, num_tokens: int, form: CacheForm) -> int:
        """Blocks that so many tokens take."""
        return -(-num_tokens // self.executor.forms[form].tokens_per_block)

    def swap_out(self, text: Fed) -> Copies | None:
        """One of ten goes to the host, if it fits; its blocks are others' at once."""
        if not text.blocks or len(text.blocks) > len(self.free_host) or self.rng.random() > 0.1:
            return None
        count, blocks = len(text.blocks), text.blocks
        text.on_host, self.free_host = self.free_host[:count], self.free_host[count:]
        text.blocks, self.free = [], blocks + self.free
        return Copies(np.array(blocks), np.array(text.on_host))

    def swap_in(self, text: Fed) -> Copies | None:
        """One of three comes back, if it fits."""
        count, on_host = len(text.on_host), text.on_host
        if not count or count > len(self.free) or self.rng.random() > 0.3:
            return None
        text.blocks, self.free = self.free[:count], self.free[count:]
        text.on_host, self.free_host = [], on_host + self.free_host
        return Copies(np.array(on_host), np.array(text.blocks))

    def conversion(self, text: Fed) -> Conversion | None:
        """One of five is converted, into as many of its own blocks as that takes, and others where it takes more."""
        source, target = text.form, self.becomes.get(text.form)
        if target is None or text.on_host or self.rng.random() > 0.2:
            return None
        before, count = text.blocks, self.num_blocks(text.num_cached, target)
        if count - len(before) > len(self.free):
            return None
        blocks = self.rng.permutation([*before, *self.free[: max(0, count - len(before))]]).tolist()
        self.free = blocks[count:] + self.free[max(0, count - len(before)) :]
        text.blocks, text.form = blocks[:count], target
        text.expected.converted(target)
        self.num_conversions += 1
        return Conversion(text.request, text.num_cached, source, target, np.array(before), np.array(text.blocks))

    def entry(self, text: Fed) -> tuple[Fed, int] | None:
        """A whole prefill, a chunk or a decode, in whatever form; None where nothing is fed."""
        if text.on_host or self.rng.random() < 0.2:
            return None
        form = text.form or self.forms[int(self.rng.integers(len(self.forms)))]
        left = LENGTH - text.num_cached
        count = 1 if self.rng.random() < 0.6 and text.num_cached else int(self.rng.integers(1, left + 1))
        more = self.num_blocks(text.num_cached + count, form) - len(text.blocks)
        if more > len(self.free):
            return None
        text.form, text.blocks, self.free = form, text.blocks + self.free[: max(0, more)], self.free[max(0, more) :]
        return text, count


def joined(copies: list[Copies]) -> Copies:
    """All of them as one."""
    if not copies:
        return NO_COPIES
    return Copies(np.concatenate([c.source for c in copies]), np.concatenate([c.target for c in copies]))
