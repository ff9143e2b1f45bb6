"""Views for policies: by hand and at random; what is legal in a plan; and a server that carries plans out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isnan
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import ROWS, Plan
from aptsched.scheduling.view import VIEW_COLUMNS, View
from caches import cache_of

TIMES = IterationTime(fixed_s=0.02, per_token_s=1e-4, per_context_token_s=1e-6, rho_s_per_block=3e-4)


@dataclass(frozen=True)
class Seen:
    """A request as a policy sees it; without tokens cached it waits, and it may be swapped out."""

    num_prompt_tokens: int
    num_output_tokens: int = 0
    num_cached: int = 0
    form: CacheForm = CacheForm.KV
    arrived_at_s: float = 0.0
    last_token_at_s: float = float("nan")
    slo_ttft_s: float = 1.0
    slo_tpot_s: float = 1.0
    missed_slo: bool = False
    swapped: bool = False
    num_preemptions: int = 0
    priority: int = 0
    most_left: int = 100


def _columns(requests: Sequence[Seen], cache: CacheShape) -> dict[str, Any]:
    """The columns that follow from these requests, [r] each."""

    def ints(values: list[int]) -> npt.NDArray[np.int64]:
        return np.array(values, np.int64)

    def floats(values: list[float]) -> npt.NDArray[np.float64]:
        return np.array(values, np.float64)

    cached = ints([r.num_cached for r in requests])
    form = ints([int(r.form) if r.num_cached else 0 for r in requests])
    away = np.array([r.swapped for r in requests], np.bool_)
    blocks = cache.blocks_by_form(cached, form)
    held, swapped = np.where(away, 0, blocks), np.where(away, blocks, 0)
    return {
        "request_id": np.arange(len(requests)),
        "arrived_at_s": floats([r.arrived_at_s for r in requests]),
        "pending_since_s": floats(
            [r.arrived_at_s if isnan(r.last_token_at_s) else r.last_token_at_s for r in requests]
        ),
        "slo_ttft_s": floats([r.slo_ttft_s for r in requests]),
        "slo_tpot_s": floats([r.slo_tpot_s for r in requests]),
        "objective_s": floats([r.slo_ttft_s if isnan(r.last_token_at_s) else r.slo_tpot_s for r in requests]),
        "missed_slo": np.array([r.missed_slo for r in requests], np.bool_),
        "num_prompt_tokens": ints([r.num_prompt_tokens for r in requests]),
        "priority": ints([r.priority for r in requests]),
        "num_tokens": ints([r.num_prompt_tokens + r.num_output_tokens for r in requests]),
        "cap_tokens": ints([r.num_prompt_tokens + r.num_output_tokens + r.most_left for r in requests]),
        "num_preemptions": ints([r.num_preemptions for r in requests]),
        "num_cached": cached,
        "form": form,
        "num_held": held,
        "num_swapped": swapped,
    }


def view_of(
    requests: Sequence[Seen],
    num_blocks: int = 100,
    max_tokens: int = 2048,
    max_seqs: int = 256,
    ratio: Fraction = Fraction(1, 2),
    now_s: float = 10.0,
    times: IterationTime = TIMES,
    num_host_blocks: int = 0,
    int8: Fraction | None = None,
    keys: Fraction | None = None,
) -> View:
    """The view of these requests, in order of arrival, over a pool and a host that hold only what they have cached.

    Columns that do not follow from these requests are 0. `int8` and `keys` are ratios; None where it is not in use.
    """
    in_use: dict[str, Any] = {name: of for name, of in {"int8": int8, "keys": keys}.items() if of is not None}
    cache = cache_of(ratio, **in_use)
    known = _columns(requests, cache)
    others = {name: np.zeros(len(requests), dtype) for name, dtype in VIEW_COLUMNS.items() if name not in known}
    return View(
        **known,
        **others,
        now_s=now_s,
        free_blocks=num_blocks - int(known["num_held"].sum()),
        num_blocks=num_blocks,
        free_host_blocks=num_host_blocks - int(known["num_swapped"].sum()),
        num_host_blocks=num_host_blocks,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        cache=cache,
        times=times,
    )


def running(num_prompt_tokens: int, num_output_tokens: int = 1, form: CacheForm = CacheForm.KV, **more: Any) -> Seen:
    """A request that decodes; its last token came just now, at 10 s, unless said otherwise."""
    cached = num_prompt_tokens + num_output_tokens - 1
    return Seen(num_prompt_tokens, num_output_tokens, cached, form, **{"last_token_at_s": 10.0, **more})


def blocks_moved(view: View, plan: Plan) -> tuple[int, int]:
    """Blocks free after rejections, preemptions, swaps and conversions, and what the entries then take."""
    gone = np.concatenate([plan.reject, plan.preempt])
    cached, form, held = view.num_cached.copy(), view.form.copy(), view.num_held.copy()
    cached[gone], form[gone], held[gone] = 0, 0, 0
    held[plan.swap_out], held[plan.swap_in] = 0, view.num_swapped[plan.swap_in]
    form[plan.convert] = plan.convert_to
    held[plan.convert] = view.cache.blocks_by_form(cached[plan.convert], plan.convert_to)
    free = view.num_blocks - int(held.sum())
    rows = plan.request
    return free, int((view.cache.blocks_by_form(cached[rows] + plan.num_tokens, plan.form) - held[rows]).sum())


def assert_swaps_legal(view: View, plan: Plan) -> None:
    """Who goes to the host holds blocks and does nothing else, who comes back was there, and the host has room."""
    out, back = plan.swap_out, plan.swap_in
    others = np.concatenate([plan.request, plan.preempt, plan.convert, plan.reject])
    assert view.running[out].all() and not np.isin(out, others).any()
    assert (view.num_swapped[back] > 0).all()
    assert not np.isin(back, np.concatenate([plan.preempt, plan.reject])).any()
    gone = np.concatenate([plan.preempt, plan.reject])
    assert view.num_held[out].sum() <= view.free_host_blocks + view.num_swapped[gone].sum()
    ready = np.concatenate([back, plan.preempt])
    assert np.isin(plan.request[view.num_swapped[plan.request] > 0], ready).all()


def assert_legal(view: View, plan: Plan) -> None:
    """Every promise of `Plan`, and the budgets and blocks of the view."""
    assert_swaps_legal(view, plan)
    for rows in (getattr(plan, name) for name in ROWS):
        assert len(set(rows.tolist())) == len(rows)
        assert ((rows >= 0) & (rows < len(view.request_id))).all()
    has_cache = view.num_cached > 0
    held = has_cache & ~np.isin(np.arange(len(has_cache)), np.concatenate([plan.preempt, plan.reject]))
    assert has_cache[plan.preempt].all()
    assert not np.isin(plan.preempt, plan.reject).any() and not np.isin(plan.request, plan.reject).any()
    assert held[plan.convert].all() and view.cache.conversions[view.form[plan.convert], plan.convert_to].all()
    left = np.where(held, view.num_remaining, view.num_tokens)[plan.request]
    assert ((plan.num_tokens >= 1) & (plan.num_tokens <= left)).all()
    form = view.form.copy()
    form[plan.convert] = plan.convert_to
    assert (plan.form == form[plan.request])[held[plan.request]].all()
    assert np.isin(plan.form, view.cache.offered).all()
    assert plan.num_tokens.sum() <= view.max_tokens and len(plan.request) <= view.max_seqs
    free, taken = blocks_moved(view, plan)
    assert free >= 0 and taken <= free


@st.composite
def views(
    draw: st.DrawFn,
    ratios: Sequence[Fraction] = (Fraction(1, 2), Fraction(3, 4), Fraction(1, 3)),
    most_host_blocks: int = 0,
    int8: Sequence[Fraction | None] = (None,),
    keys: Sequence[Fraction | None] = (None,),
) -> View:
    """Up to 12 requests, some running in any form, some in the middle of their prefill or swapped out.

    `int8` and `keys` are ratios that these forms may have; None where the form is not in use.
    """
    ratio = draw(st.sampled_from(ratios))
    drawn = {"int8": draw(st.sampled_from(int8)), "keys": draw(st.sampled_from(keys))}
    in_use: dict[str, Any] = {name: of_form for name, of_form in drawn.items() if of_form is not None}
    cache = cache_of(ratio, **in_use)
    num_blocks, num_host_blocks = draw(st.integers(1, 60)), draw(st.integers(0, most_host_blocks))
    left, left_on_host, requests = num_blocks, num_host_blocks, []
    for arrived in sorted(draw(st.lists(st.integers(0, 80), max_size=12))):
        prompt, output = draw(st.integers(1, 300)), draw(st.integers(0, 40))
        cached = draw(st.sampled_from([0, prompt + output - 1, (prompt + output) // 2]))
        form = CacheForm(draw(st.sampled_from(cache.offered)))
        blocks = cache.blocks(cached, form)
        swapped = 0 < blocks <= left_on_host and draw(st.booleans())
        if not swapped and blocks > left:
            cached = blocks = 0
        left, left_on_host = (left, left_on_host - blocks) if swapped else (left - blocks, left_on_host)
        last = arrived / 8 + draw(st.integers(0, 80 - arrived)) / 8 if output else float("nan")
        slo_s = draw(st.sampled_from([0.5, 2.0, 100.0]))
        missed = output > 0 and draw(st.booleans())
        requests.append(Seen(prompt, output, cached, form, arrived / 8, last, slo_s, slo_s, missed, swapped))
    times = draw(st.sampled_from([TIMES, IterationTime(), IterationTime(fixed_s=0.01, rho_s_per_block=1.0)]))
    max_tokens, max_seqs = draw(st.integers(1, 600)), draw(st.integers(1, 12))
    more: dict[str, Any] = {"times": times, "num_host_blocks": num_host_blocks, **in_use}
    return view_of(requests, num_blocks, max_tokens, max_seqs, ratio, **more)


def changed(plan: Plan, **fields: Any) -> Plan:
    """The plan with other fields, of any type."""
    return replace(plan, **fields)


def admitted(view: View, plan: Plan) -> list[int]:
    """Rows of the plan that waited."""
    waiting: list[int] = plan.request[~view.running[plan.request]].tolist()
    return waiting
