"""A live engine that any number of threads use at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from weakref import WeakValueDictionary

import numpy as np

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import SLO
from aptsched.support.checks import is_count
from aptsched.support.errors import InputError
from aptsched.support.several import each_of
from aptsched.support.shown import shown
from engine.loop.limits import Limits
from engine.loop.worker import Worker
from engine.session.ahead import decides_ahead
from engine.session.completion import Completion
from engine.session.driver import Driver
from engine.session.generation import Generation
from engine.session.onlooker import Onlooker
from engine.session.output import Output
from engine.session.vocabulary import Prompt, Vocabulary
from engine.state.batch import Executor
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams


class Session:
    """Serves requests that come and go at any time, from any thread, and streams each its text.

    This is how a server handles a request::

        with Engine(load_model("smollm2"), AptServe(), cache_mem="1GiB").session as session:
            generation = session.add("Once upon a time", SamplingParams(max_tokens=200, stop=["The end"]))
            try:
                for piece in generation:
                    send(piece)
            except ConnectionError:
                generation.abort()
            send_last(generation.finish_reason)

    Parameters
    ----------
    policy : Policy
    pool : BlockPool
        With all blocks free; the executor has the storage.
    executor : Executor
    vocabulary : Vocabulary
    limits : Limits, optional
        With `max_iteration_s` no iteration is predicted to take longer.
    times : IterationTime, optional
        The times that the policy predicts iterations with.
    onlooker : Onlooker, optional
        Told of each iteration and of each request that ends.
    overlap : bool
        Whether the next iteration is decided while one runs (`engine.session.ahead`).

    Raises
    ------
    InputError
        `limits` have `max_iteration_s`, and `times` do not say what a token takes; or `overlap`, and the executor has
        no `start`.

    Notes
    -----
    The thread that makes the session runs the iterations while it waits for a request; otherwise a thread of the
    session's own does, which is there while there are requests: an unused session costs nothing, and need not be
    closed. Only `result`, streams and `close` wait; an abort takes effect at the end of the current iteration. An error
    of the policy or the executor ends the session: it is raised in all threads that wait for a request, and from then
    on `add` raises InputError. Ctrl-C does not end it.
    """

    def __init__(
        self,
        policy: Policy,
        pool: BlockPool,
        executor: Executor,
        vocabulary: Vocabulary,
        *,
        limits: Limits | None = None,
        times: IterationTime | None = None,
        onlooker: Onlooker | None = None,
        overlap: bool = False,
    ) -> None:
        if limits is not None and limits.max_iteration_s is not None and not (times and times.per_token_s):
            accepted = "with the `times` that `aptsched calibrate` measures it is"
            raise InputError(f"max_iteration_s: {limits.max_iteration_s} is not accepted by itself; {accepted}")
        self.vocabulary = vocabulary
        kinds, told = (vocabulary.eos_token_ids, limits, times), onlooker or Onlooker()
        self._driver = Driver(policy, pool, executor, *kinds, told, decides_ahead(executor) if overlap else None)
        self._ids = itertools.count()
        self._generations: WeakValueDictionary[int, Generation] = WeakValueDictionary()

    @property
    def worker(self) -> Worker:
        """The worker that serves the requests; only the session may change anything in it."""
        return self._driver.worker

    def add(
        self,
        prompt: Prompt,
        params: SamplingParams | None = None,
        *,
        slo: SLO | None = None,
        tenant: int = 0,
        priority: int = 0,
    ) -> Generation:
        """Add a request, and return its handle. Keep the handle: when it is garbage, the request is aborted.

        A prompt that is too long to be served is added and rejected: its `Completion` says why.

        Parameters
        ----------
        prompt : str or sequence of token ids
        params : SamplingParams, optional
        slo : SLO, optional
            Objectives that the policy sees.
        tenant, priority : int
            Whose it is, and how urgent: the lower, the more.

        Raises
        ------
        InputError
            A prompt that is empty, is not Unicode, or has tokens that the model does not know; a text or stop strings
            where there is no tokenizer. The session is closed, or an error has ended it.
        """
        return self.add_all([prompt], params, slo=slo, tenant=tenant, priority=priority)[0]

    def add_all(
        self,
        prompts: Sequence[Prompt],
        params: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        slo: SLO | None = None,
        tenant: int = 0,
        priority: int = 0,
    ) -> list[Generation]:
        """Add several requests at once, with the same parameters or one each; if one is wrong, none is added.

        Errors as in `add`.
        """
        if isinstance(prompts, (str, bytes)):
            raise InputError(f"prompts: {shown(prompts)} is not accepted; several in a list are")
        prompts = each_of("prompts", prompts)
        same = SamplingParams() if params is None else params
        each = list(same) if isinstance(same, Sequence) else [same] * len(prompts)
        if len(each) != len(prompts):
            raise InputError(f"params: {len(each)} are not accepted; one, or one for each of {len(prompts)} prompts is")
        objectives = SLO() if slo is None else slo
        labels = (label("tenant", tenant), label("priority", priority))
        outputs = [self._output(prompt, own, objectives, labels) for prompt, own in zip(prompts, each, strict=True)]
        abort = self._driver.ask_to_abort
        generations = [Generation(output, self.vocabulary, abort) for output in outputs]
        self._driver.submit(outputs)
        self._generations.update({generation.request_id: generation for generation in generations})
        return generations

    def stream(self, request_id: int) -> Iterator[str]:
        """The text of a request piece by piece; see `Generation.stream`."""
        return self._generation(request_id).stream()

    def result(self, request_id: int, timeout_s: float | None = None) -> Completion:
        """Wait for the completion of a request; see `Generation.result`."""
        return self._generation(request_id).result(timeout_s)

    def abort(self, request_id: int) -> None:
        """Ends a request; does nothing if it is over or its handle is gone."""
        if is_count(request_id, 0, math.inf) and (generation := self._generations.get(request_id)) is not None:
            generation.abort()

    def close(self) -> None:
        """Ends all requests after the current iteration, waits for that, and refuses new ones from then on.

        Further calls do nothing. Called within an iteration, where policies decide, it does not wait.
        """
        self._driver.close()

    def __enter__(self) -> Session:
        """The session itself, closed at the end of the block."""
        return self

    def __exit__(self, *raised: object) -> None:
        """See `close`."""
        self.close()

    def _output(self, prompt: Prompt, params: SamplingParams, slo: SLO, labels: tuple[int, int]) -> Output:
        for name, given, kind in (("params", params, SamplingParams), ("slo", slo, SLO)):
            if not isinstance(given, kind):
                raise InputError(f"{name}: {shown(given)} is not accepted; {kind.__name__} is")
        token_ids = self.vocabulary.token_ids(prompt)
        request = Request(
            request_id=next(self._ids),
            arrived_at_s=self._driver.clock.now_s(),
            num_prompt_tokens=len(token_ids),
            params=params,
            slo=slo,
            prompt_token_ids=np.array(token_ids),
            tenant=labels[0],
            priority=labels[1],
        )
        text = self.vocabulary.output_text(params.stop) if params.stop else None
        return Output(request, self._driver.wait, text)

    def _generation(self, request_id: int) -> Generation:
        generation = self._generations.get(request_id) if is_count(request_id, 0, math.inf) else None
        if generation is None:
            accepted = "that of a generation which somebody holds is"
            raise InputError(f"request_id: {shown(request_id)} is not accepted; {accepted}")
        return generation


def label(name: str, given: int) -> int:
    """What a request is labelled with: a whole number that 32 bits hold."""
    if not is_count(given, -(2**31), 2**31 - 1):
        raise InputError(f"{name}: {shown(given)} is not accepted; a whole number from -2**31 to 2**31 - 1 is")
    return int(given)
