"""vLLM's schedulers, steered by a policy: vLLM's own code does all that happens, and the policy says to whom."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from weakref import ref

from aptsched.scheduling.record import Outcome
from aptsched.scheduling.view import View, all_read
from aptsched.support.errors import InputError
from engine.vllm.decider import Decider
from engine.vllm.figures import Figures
from engine.vllm.known import check_config, check_version
from engine.vllm.labels import Labels
from engine.vllm.mirror import Mirror
from engine.vllm.settings import read_settings

check_version()  # before the imports below, which other versions may not have

from vllm.logger import init_logger  # noqa: E402
from vllm.v1.core.sched.async_scheduler import AsyncScheduler  # noqa: E402
from vllm.v1.core.sched.interface import PauseState  # noqa: E402
from vllm.v1.core.sched.scheduler import Scheduler  # noqa: E402
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, FinishReason  # noqa: E402
from vllm.v1.request import RequestStatus  # noqa: E402

from engine.vllm.holding import Holding, holding  # noqa: E402
from engine.vllm.steering import Orders, only, orders  # noqa: E402

MOST_IDLE_S = 1.0  # for so long a policy may serve nobody, where nothing is under way
LOOKED_UP = 8  # requests for which the prefix cache is asked again, in each iteration
OUTCOMES = {FinishReason.ABORT: Outcome.ABORTED, FinishReason.ERROR: Outcome.UNFINISHED}  # others are finished

logger = init_logger("vllm.aptsched")


class AptScheduler(Scheduler):  # type: ignore[misc]
    """vLLM's scheduler, where a policy says who is admitted, held, preempted and rejected, and in which order.

    Requests that it rejects end with an error, which clients may retry elsewhere. An iteration that the policy cannot
    plan is vLLM's own, as is one after a second in which it served nobody.

    Attributes
    ----------
    clock : callable
        Seconds, on the same clock as the arrivals of requests.
    """

    def __init__(self, vllm_config: Any, kv_cache_config: Any, *args: Any, **kwargs: Any) -> None:
        check_config(vllm_config, kv_cache_config)
        super().__init__(vllm_config, kv_cache_config, *args, **kwargs)
        settings = read_settings(vllm_config.additional_config, os.environ)
        self.clock: Callable[[], float] = time.time
        self._times = settings.iteration_times
        self._figures = Figures(settings, self.parallel_config.data_parallel_index)
        self._decider = Decider(settings, self._figures, logger.warning)
        self._labels, self._mirror = Labels(settings.slo, self.max_model_len), Mirror(self.block_size)
        self._reasons: dict[str, str] = {}  # of requests that are being rejected, by name
        self._rejected: list[tuple[int, Any]] = []  # client and output, not yet handed out
        self._num_added = self._next_looked_up = 0
        self._now_s = 0.0
        self._idle_since_s: float | None = None
        self._has_dropped = False
        self._holding: Holding | None = None
        logger.info("policy %s", settings.policy)

    def add_request(self, request: Any) -> None:
        """Adds a request; one whose labels are not accepted, or that streams its input, is rejected."""
        is_new = request.request_id not in self.requests
        super().add_request(request)
        if not is_new:
            return
        try:
            if request.resumable:
                raise InputError("input: a request that streams it is not accepted with this scheduler")
            labelled = self._labels.request(self._num_added, request)
        except InputError as error:
            self._reject({request.request_id: str(error)})
            return
        self._num_added += 1
        self._mirror.add(request, labelled)
        self._look_up([self._mirror.num_rows - 1])

    def schedule(self, throttle_prefills: bool = False) -> Any:
        """The next iteration: vLLM's own, among the requests that the policy names."""
        asked = self._asked()
        if asked is None:
            self._holding = None
            output = super().schedule(throttle_prefills)
        else:
            with only(asked, self, self._mirror):
                output = super().schedule(throttle_prefills)
        fed = self._mirror.scheduled(output.num_scheduled_tokens)
        if self._holding is not None:
            self._holding = self._holding.after(fed, self._mirror, self.max_num_scheduled_tokens)
        serves = output.total_num_scheduled_tokens or not self._mirror.num_rows or self._mirror.num_in_flight.any()
        self._idle_since_s = None if serves else self._idle_since_s or self._now_s
        return output

    def update_from_output(self, scheduler_output: Any, model_runner_output: Any) -> dict[int, Any]:
        """As vLLM, with the errors of requests that were rejected."""
        self._mirror.sampled(model_runner_output.req_ids, model_runner_output.sampled_token_ids, self._now())
        outputs: dict[int, Any] = super().update_from_output(scheduler_output, model_runner_output)
        if self._has_dropped:
            self._mirror.reread()
            self._has_dropped = any(request.num_stale_output_tokens for request in self._mirror.core)
        for client, output in self._rejected:
            outputs.setdefault(client, EngineCoreOutputs(outputs=[])).outputs.append(output)
        self._rejected.clear()
        return outputs

    def reset_prefix_cache(self, reset_running_requests: bool = False, reset_connector: bool = False) -> Any:
        """As vLLM; tokens under way of requests that lose their cache are dropped."""
        self._has_dropped |= reset_running_requests
        return super().reset_prefix_cache(reset_running_requests, reset_connector)

    def shutdown(self) -> None:
        """As vLLM; the certificates are closed."""
        self._figures.close()
        super().shutdown()

    def _preempt_request(self, request: Any, timestamp: float, drop_stale_output: bool = False) -> None:
        super()._preempt_request(request, timestamp, drop_stale_output)
        self._mirror.preempted(request.request_id)
        self._figures.preempted.inc()
        self._look_up(self._mirror.rows([request.request_id]).tolist())

    def _free_request(self, request: Any, delay_free_blocks: bool = False) -> Any:
        params = super()._free_request(request, delay_free_blocks)
        reason = self._reasons.pop(request.request_id, "")
        if request.request_id in self._mirror:
            outcome = OUTCOMES.get(request.get_finished_reason(), Outcome.FINISHED)
            outcome = Outcome.REJECTED if reason else outcome
            self._decider.ended(self._mirror.remove(request.request_id, outcome, reason))
        return params

    def _now(self) -> float:
        self._now_s = max(self._now_s, self.clock())
        return self._now_s

    def _look_up(self, rows: Iterable[int]) -> None:
        """Asks the prefix cache what it has of these requests, which wait."""
        for row in rows if self.cache_config.enable_prefix_caching else ():
            self._mirror.found(row, self.kv_cache_manager.get_computed_blocks(self._mirror.core[row])[1])

    def _look_up_some(self) -> None:
        """Asks the prefix cache about some of those that wait: the first, and others in turn."""
        waiting = (self._mirror.num_cached == 0).nonzero()[0].tolist()
        if len(waiting) > LOOKED_UP:
            start = self._next_looked_up % len(waiting)
            self._next_looked_up = start + LOOKED_UP // 2
            waiting = waiting[: LOOKED_UP // 2] + waiting[start : start + LOOKED_UP // 2]
        self._look_up(waiting)

    def _view(self) -> View:
        limits = self.max_num_scheduled_tokens, min(self.max_num_active_reqs, self.max_num_running_reqs)
        pool = self.kv_cache_manager.block_pool  # one of its blocks is no request's
        free = pool.get_num_free_blocks()
        return self._mirror.view(self._now_s, free, pool.num_gpu_blocks - 1, limits, self._times)

    def _asked(self) -> Orders | None:
        """The policy's orders, of which rejections and preemptions are done; None where vLLM decides alone."""
        now_s = self._now()
        if self._pause_state != PauseState.UNPAUSED or not self._mirror.num_rows:
            return None
        if self._idle_since_s is not None and now_s - self._idle_since_s > MOST_IDLE_S:
            self._figures.unsteered.labels("idle").inc()
            return None
        if self.cache_config.enable_prefix_caching:
            self._look_up_some()
        if (held := self._held()) is not None:
            return held
        view = self._view()
        plan = self._decider.plan(view)
        self._holding = holding(plan, self._mirror) if plan is not None and self._decider.means_holds else None
        asked = None if plan is None else orders(plan, view, self._mirror, self.max_num_scheduled_tokens)
        kept = ref(view)
        del view
        if (of_others := kept()) is not None:
            all_read(of_others)
        if asked is not None:
            self._before(asked)
        return asked

    def _held(self) -> Orders | None:
        """The orders of a plan that still holds; None where the policy has to be asked."""
        free_blocks = self.kv_cache_manager.block_pool.get_num_free_blocks()
        if self._holding is not None and self._holding.is_on(self._now_s, free_blocks, self._mirror):
            return self._holding.orders
        return None

    def _before(self, asked: Orders) -> None:
        """Carries out what comes before the iteration: rejections and preemptions."""
        going = self.running if asked.run is None else asked.run
        self._figures.held.set(len(self.running) - len(going) - len(asked.preempt))
        self._figures.preempted_by_policy.inc(len(asked.preempt))
        for request in asked.preempt:
            self.running.remove(request)
            self._preempt_request(request, time.monotonic())
        self._reject(asked.reject)

    def _reject(self, reasons: Mapping[str, str]) -> None:
        """Ends requests, by name, with an error that says why."""
        self._reasons.update(reasons)
        for request in self.finish_requests([*reasons], RequestStatus.FINISHED_ERROR) if reasons else ():
            reason = reasons[request.request_id]
            logger.debug("request %s is rejected: %s", request.request_id, reason)
            output = EngineCoreOutput(
                request_id=request.request_id,
                new_token_ids=[],
                finish_reason=FinishReason.ERROR,
                stop_reason=reason,
                events=request.take_events(),
                trace_headers=request.trace_headers,
            )
            self._rejected.append((request.client_index, output))


class AptAsyncScheduler(AptScheduler, AsyncScheduler):  # type: ignore[misc]
    """The same where vLLM schedules an iteration while the one before is under way, as it does on GPUs."""
