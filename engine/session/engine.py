"""Generation with a model: prompts in, texts out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models.model import Model
from engine.runner.cache_memory import num_blocks as blocks_of
from engine.runner.torch_executor import TorchExecutor
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

Prompt = str | Sequence[int]


@dataclass(frozen=True, eq=False)
class Completion:
    """What came of a prompt.

    Attributes
    ----------
    prompt_token_ids, token_ids : list of int
    text : str
        Without special tokens; empty where the model has no tokenizer.
    record : RequestRecord
        Outcome, reason of a rejection, and when each token came.
    """

    prompt_token_ids: list[int]
    token_ids: list[int]
    text: str
    record: RequestRecord


def _tell_nobody(num_tokens: int) -> None:
    pass


class Engine:
    """A model, the memory of its cache, and a policy that composes each iteration.

    Parameters
    ----------
    model : Model
    policy : Policy, optional
        First come, first served without one.
    cache_mem : str or int
        Bytes of the cache, such as "512MiB"; `num_blocks` goes before it.
    num_blocks : int, optional
        Blocks of the cache.
    num_host_blocks : int
        On the host, where the policy swaps.
    max_tokens, max_seqs : int
        Token budget and sequence limit of an iteration.
    times : IterationTime
        What the policy believes an iteration takes.
    """

    def __init__(
        self,
        model: Model,
        policy: Policy | None = None,
        *,
        cache_mem: str | int = "1GiB",
        num_blocks: int | None = None,
        num_host_blocks: int = 0,
        max_tokens: int = 2048,
        max_seqs: int = 256,
        times: IterationTime | None = None,
    ) -> None:
        self.model = model
        count = blocks_of(model, cache_mem) if num_blocks is None else num_blocks
        self.executor = TorchExecutor(model.decoder, count, num_host_blocks=num_host_blocks)
        self.pool = BlockPool(count, self.executor.storage.shape, num_host_blocks)
        self._ids = itertools.count()
        self._records: dict[int, RequestRecord] = {}
        self._new: list[tuple[int, int]] = []  # request and token of the last step
        self._tell: Callable[[int], None] = _tell_nobody
        worker = Worker(
            policy or FCFS(),
            self.pool,
            self.executor,
            lambda record: self._records.update({record.request_id: record}),
            limits=Limits(max_tokens, max_seqs, model.config.max_positions),
            times=times,
            eos_token_ids=model.config.eos_token_ids,
            on_token=self._add_token,
        )
        self.loop = Loop(worker)

    def generate(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        progress: Callable[[int], None] = lambda num_tokens: None,
    ) -> list[Completion]:
        """Complete all prompts, batched as memory allows.

        Parameters
        ----------
        prompts : sequence of str or of token ids
        params : SamplingParams, or one for each prompt
        progress : callable
            Told how many tokens there are, of all prompts, with each that comes.

        Returns
        -------
        list of Completion
            One for each prompt; one that is rejected, being too long, says why in its record.

        Raises
        ------
        InputError
            A prompt that is empty, is not Unicode, or has tokens that the model does not know; a text where there is
            no tokenizer.
        """
        each = list(params) if isinstance(params, Sequence) else [params or SamplingParams()] * len(prompts)
        if len(each) != len(prompts):
            raise InputError(f"params: {len(each)} are not accepted; one, or one for each of {len(prompts)} prompts is")
        requests = [self._request(prompt, sampling) for prompt, sampling in zip(prompts, each, strict=True)]
        self._tell = progress
        try:
            self.loop.run(requests)
        finally:
            self._tell = _tell_nobody
            self._new.clear()
        return [self._completion(request) for request in requests]

    def stream(self, prompt: Prompt, params: SamplingParams | None = None) -> Iterator[str]:
        """The text of a completion, piece by piece as its tokens come; errors as in `generate`.

        Raises
        ------
        InputError
            The model has no tokenizer, or the prompt is rejected: the numbers.
        """
        if self.model.tokenizer is None:
            raise InputError("prompt: no text can be streamed, for the model has no tokenizer; `generate` is accepted")
        text = self.model.tokenizer.stream()
        request = self._request(prompt, params or SamplingParams())
        self.loop.add(request)
        try:
            while request.request_id not in self._records:
                self.loop.step()
                yield from (piece for _, token_id in self._new if (piece := text.push(token_id)))
                self._new.clear()
            if rest := text.finish():
                yield rest
        finally:
            self.loop.worker.abort(request.request_id)
            record = self._records.pop(request.request_id)
        if record.outcome is Outcome.REJECTED:
            raise InputError(f"prompt: {record.reason}")

    def _add_token(self, request: Request, token_id: int, now_s: float) -> None:
        self._new.append((request.request_id, token_id))
        self._tell(len(self._new))

    def _request(self, prompt: Prompt, params: SamplingParams) -> Request:
        token_ids = self._token_ids(prompt)
        return Request(
            next(self._ids), self.loop.clock.now_s(), len(token_ids), params, prompt_token_ids=np.array(token_ids)
        )

    def _token_ids(self, prompt: Prompt) -> list[int]:
        tokenizer, vocab_size = self.model.tokenizer, self.model.config.vocab_size
        if isinstance(prompt, str):
            if tokenizer is None:
                raise InputError("prompt: a text is not accepted, for the model has no tokenizer; token ids are")
            prompt = tokenizer.encode(prompt)
        if isinstance(prompt, (bytes, bytearray)) or not hasattr(prompt, "__len__"):
            raise InputError(f"prompt: {type(prompt).__name__} is not accepted; a text or a sequence of token ids is")
        if not len(prompt):
            raise InputError("prompt: an empty one is not accepted; at least one token is")
        for token_id in prompt:
            if not isinstance(token_id, (int, np.integer)) or not 0 <= token_id < vocab_size:
                raise InputError(f"prompt: token {token_id!r} is not known to the model; 0 to {vocab_size - 1} are")
        return [int(token_id) for token_id in prompt]

    def _completion(self, request: Request) -> Completion:
        assert request.prompt_token_ids is not None
        tokenizer, token_ids = self.model.tokenizer, request.output_token_ids
        return Completion(
            prompt_token_ids=request.prompt_token_ids.tolist(),
            token_ids=token_ids,
            text="" if tokenizer is None else tokenizer.decode(token_ids),
            record=self._records.pop(request.request_id),
        )
