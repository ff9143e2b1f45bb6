"""An executor whose next token is a hash of all tokens before it, read from the blocks where they were written."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np

from aptsched.scheduling.forms import CacheShape
from engine.state.batch import Batch, Step
from engine.state.request import Request

VOCABULARY = 40
NOTHING = -1


def next_token(token_ids: np.ndarray) -> int:
    """The token after these."""
    return zlib.crc32(token_ids.astype(np.int64).tobytes()) % VOCABULARY


def expected_tokens(request: Request, max_context: int, eos_token_ids: Iterable[int] = ()) -> list[int]:
    """The whole output of a request that is served alone."""
    params = request.params
    stop = {*params.stop_token_ids, *(() if params.ignore_eos else eos_token_ids)}
    assert request.prompt_token_ids is not None
    tokens = request.prompt_token_ids.tolist()
    output: list[int] = []
    while len(output) < params.max_tokens and len(tokens) + len(output) < max_context and not stop & set(output):
        output.append(next_token(np.array(tokens + output)))
    return output


class HashExecutor:
    """Keeps what a real storage keeps: which token of which request lies where, and in which form.

    A block written in one form loses what it had in the other. What is read must be what was written for that request
    at that position.
    """

    def __init__(
        self, num_blocks: int, cache: CacheShape, seconds_per_token: float = 0.001, num_host_blocks: int = 0
    ) -> None:
        self.cache, self.seconds_per_token = cache, seconds_per_token
        most = max(cache.per_block)
        self.owner, self.position, self.token = np.full((3, num_blocks, most), NOTHING)
        self.form = np.zeros(num_blocks, np.int64)
        self.host = [np.full((num_host_blocks, *column.shape[1:]), NOTHING) for column in self.columns()]
        self.num_promotions = self.num_swapped_blocks = 0

    def columns(self) -> list[np.ndarray]:
        """All that is known of each block."""
        return [self.owner, self.position, self.token, self.form]

    def run(self, batch: Batch) -> Step:
        """Swaps, converts, writes, and samples from what is read back."""
        for here, there in zip(self.columns(), self.host, strict=True):
            there[batch.swap_out.target] = here[batch.swap_out.source]
        for here, there in zip(self.columns(), self.host, strict=True):
            here[batch.swap_in.target] = there[batch.swap_in.source]
        self.num_swapped_blocks += batch.num_swapped_blocks
        for made in batch.conversions:
            tokens = self.read(made.request, made.num_cached, made.source_blocks, made.source)
            self.write(made.request, 0, tokens, made.target_blocks, made.target)
            self.num_promotions += 1
        sampled = np.full(len(batch.requests), -1)
        for at, request in enumerate(batch.requests):
            start, form, blocks = int(batch.start[at]), int(batch.form[at]), batch.block_table[at]
            stop = start + int(batch.num_tokens[at])
            assert blocks.max() < len(self.form) and (blocks[: self.cache.blocks(stop, form)] >= 0).all()
            self.write(request, start, request.token_ids(start, stop), blocks, form)
        for at, request in enumerate(batch.requests):
            stop, form = int(batch.start[at] + batch.num_tokens[at]), int(batch.form[at])
            tokens = self.read(request, stop, batch.block_table[at], form)
            assert batch.samples[at] == (stop == request.num_tokens)
            if batch.samples[at]:
                sampled[at] = next_token(tokens)
        return Step(self.seconds_per_token * int(batch.num_tokens.sum()), sampled)

    def places(self, start: int, stop: int, blocks: np.ndarray, form: int) -> tuple[np.ndarray, np.ndarray]:
        """Block and offset of each position."""
        positions = np.arange(start, stop)
        per_block = self.cache.tokens_per_block(form)
        return blocks[positions // per_block], positions % per_block

    def write(self, request: Request, start: int, tokens: np.ndarray, blocks: np.ndarray, form: int) -> None:
        block, offset = self.places(start, start + len(tokens), blocks, form)
        other = np.unique(block[self.form[block] != form])
        self.owner[other], self.form[other] = NOTHING, form
        self.owner[block, offset] = request.request_id
        self.position[block, offset] = np.arange(start, start + len(tokens))
        self.token[block, offset] = tokens

    def read(self, request: Request, stop: int, blocks: np.ndarray, form: int) -> np.ndarray:
        block, offset = self.places(0, stop, blocks, form)
        assert (self.form[block] == form).all(), f"request {request.request_id}: a block in another form"
        assert (self.owner[block, offset] == request.request_id).all(), f"request {request.request_id}: overwritten"
        assert (self.position[block, offset] == np.arange(stop)).all(), f"request {request.request_id}: misplaced"
        assert (self.token[block, offset] == request.token_ids(0, stop)).all(), f"request {request.request_id}: tokens"
        tokens: np.ndarray = self.token[block, offset]
        return tokens
