"""What is seen in the figures, in sentences; each is there once all of its figures are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from aptsched.metrics.stability import highest_rate
from benchmarks.reproduce.causes import explained_by
from benchmarks.reproduce.compared import OURS, honest_ratio, line_of, mean_ratios, models_of, rate, ratio, sets_of
from benchmarks.reproduce.published import PUBLISHED, SETS, Published, Quantity
from benchmarks.reproduce.study import FITTED, HONEST, Study
from benchmarks.reproduce.trial import Trial

Sentence = Callable[[Study], str | None]
NEAR = (0.9, 0.88)  # levels between which a curve is flat or not
MOST = 4  # changes that a sentence names


def seen(study: Study) -> Iterator[str]:
    """All sentences whose figures are there."""
    for sentence in SENTENCES:
        said = sentence(study)
        if said is not None:
            yield said


def published_crossing(rows: Sequence[Published], lengths: str, level: float) -> float | None:
    """The rate at which Apt-Serve's published shares on a set cross a level, on a straight line; None if none do."""
    wanted = (Quantity.ATTAINMENT, "Apt-Serve", (lengths,))
    given = [row for row in rows if (row.quantity, row.system, row.sets) == wanted]
    points = sorted((row.rate_per_s, row.value) for row in given if row.rate_per_s is not None)
    for (low, above), (high, below) in itertools.pairwise(points):
        if above >= level > below:
            return low + (high - low) * (above - level) / (above - below)
    return None


def joined(parts: Sequence[str]) -> str:
    """Parts of a list in a sentence."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _by_set(values: Mapping[str, float]) -> str:
    return joined([f"{value:.2f} on {lengths}" for lengths, value in values.items()])


def _at_60(study: Study) -> str | None:
    models = models_of(study)
    ratios = [ratio(study, "fcfs", model, "sharegpt", 0.6) for model in models]
    known = [f"{each:.1f}" for each in ratios if each is not None]
    if len(known) < len(ratios):
        return None
    return (
        f"**At 60% on ShareGPT** `{OURS}` holds {joined(known)} times the rate of `fcfs` with "
        f"{joined([model.upper() for model in models])}; the published mean over three models is 7.4."
    )


def _cannot_last(study: Study) -> str | None:
    """What the highest probed rate that holds 60% comes to, beside the share that counts there."""
    trial = Trial(policy=OURS, model="opt-13b", lengths="sharegpt", conditions=study.conditions)
    found = study.folder.get(trial)
    highest = None if found is None else found.rates_per_s[trial.levels.index(0.6)]
    if found is None or highest is None:
        return None
    probe = study.folder.probe(trial, max(at for at, _ in found.shares if at <= highest))
    if probe is None or probe.attained is None or probe.stalled_over_10_s is None or probe.p99_latency_s is None:
        return None
    return (
        f"**It is a gain of a finite run**: with OPT-13B at {probe.rate_per_s:g} req/s {probe.attained:.0%} attain by "
        f"the published measure, {probe.stalled_over_10_s:.0%} wait more than 10 s for some token, the p99 latency is "
        f"{probe.p99_latency_s:.0f} s, and the run is {'' if probe.was_stable else 'not '}stable."
    )


def _at_90(study: Study) -> str | None:
    means = mean_ratios(study, "fcfs", 0.9)
    if means is None:
        return None
    return (
        f"**At 90%** it holds {_by_set(means)} times the rate of `fcfs`, means over the models, and "
        f"{np.mean(list(means.values())):.2f} over all sets, where 2.3 is published."
    )


def _between_tables(study: Study) -> str | None:
    said = list[str]()
    for lengths in sets_of(study):
        theirs, ours = published_crossing(PUBLISHED, lengths, 0.9), rate(study, OURS, "opt-13b", lengths, 0.9)
        if theirs is not None and ours is not None:
            said.append(f"{theirs:.2g} req/s on {lengths} (ours {ours:.2f})")
    return (
        None
        if not said
        else (
            "**Between published shares** of tables 4 and 5, on straight lines, Apt-Serve holds 90% with OPT-13B up to "
            f"{joined(said)}; vLLM holds {FITTED.shown} on sharegpt, to which ours is fitted."
        )
    )


def _flat(study: Study) -> str | None:
    """How much the rate depends on the level near 90%."""
    held = {policy: [_crossing(study, policy, level) for level in NEAR] for policy in (OURS, "fcfs")}
    ours, theirs = held[OURS], held["fcfs"]
    if None in ours or None in theirs:
        return None
    return (
        f"**Near 90% the share hardly depends on the rate**: at {NEAR[1]:.0%} in place of {NEAR[0]:.0%} `{OURS}` holds "
        f"{ours[1]:.2f} req/s on sharegpt with OPT-13B in place of {ours[0]:.2f}, `fcfs` {theirs[1]:.2f} in place of "
        f"{theirs[0]:.2f}. Two points of the share are so much of the ratio."
    )


def _crossing(study: Study, policy: str, level: float) -> float | None:
    """Where the shares of the probes of OPT-13B on ShareGPT fall below a level; None if they are not there."""
    found = study.folder.get(
        Trial(policy=policy, model="opt-13b", lengths="sharegpt", conditions=study.conditions.of(policy))
    )
    known = [] if found is None else [(at, share) for at, share in found.shares if share is not None]
    return highest_rate([at for at, _ in known], [share for _, share in known], level) if known else None


def _changes(study: Study) -> str | None:
    line = line_of(study, other="vLLM", over="mean", sets=SETS, level=0.9)
    if not line.reruns:
        return None
    by_left = sorted(line.reruns, key=lambda rerun: rerun.left)
    best = explained_by(list(line.reruns))
    end = "none closes half of the gap" if best is None else f"the first closes {1 - best.left:.0%} of the gap"
    return (
        f"**One change at a time** takes the mean ratio to `fcfs` over all sets at 90%, with OPT-13B "
        f"{by_left[0].before:.2f}, to {joined([f'{rerun.after:.2f} ({rerun.cause})' for rerun in by_left[:MOST]])} at "
        f"best; {line.published.shown} is published, and {end}."
    )


def _order(study: Study) -> str | None:
    first, second = (line_of(study, source="table 5", system=name) for name in ("hybrid cache, FCFS", "Apt-Serve"))
    bursts = line_of(study, source="figure 9")
    if first.ours is None or second.ours is None or bursts.ours is None:
        return None
    return (
        f"**The order by value** takes the hybrid cache on LongBench at 1.5 req/s from {first.ours:.1%} within both "
        f"objectives to {second.ours:.1%} (published {first.published.shown} to {second.published.shown}); over CVs it "
        f"has up to {bursts.ours:.1f} times the share of `fcfs` (published {bursts.published.value:g})."
    )


def _sarathi(study: Study) -> str | None:
    return _over(study, "sarathi", "1.4 on humaneval, 2.5 on longbench and 1.9 over all sets")


def _fastgen(study: Study) -> str | None:
    return _over(study, "fastgen", "1.4 on humaneval, 2.3 on longbench and 1.8 over all sets")


def _over(study: Study, policy: str, published: str) -> str | None:
    means = mean_ratios(study, policy, 0.9)
    if means is None:
        return None
    return f"**Over `{policy}`** at 90% it holds {_by_set(means)} times the rate; published are {published}."


def _hybrid(study: Study) -> str | None:
    said = list[str]()
    for lengths, rate_per_s in (("sharegpt", 3.0), ("sharegpt", 6.0), ("longbench", 3.0)):
        kv, hybrid = (
            line_of(study, source="table 4", system=name, sets=(lengths,), rate_per_s=rate_per_s)
            for name in ("KV cache only", "Apt-Serve")
        )
        if kv.ours is None or hybrid.ours is None:
            return None
        theirs = hybrid.published.value - kv.published.value
        said.append(
            f"{100 * (hybrid.ours - kv.ours):+.1f} points on {lengths} at {rate_per_s:g} req/s (published "
            f"{100 * theirs:+.1f})"
        )
    return f"**Hidden states** add to the share of the KV cache alone, in table 4's settings, {joined(said)}."


def _honest(study: Study) -> str | None:
    parts = list[str]()
    for policy, reading in HONEST[1:]:
        ratios = {lengths: honest_ratio(study, policy, reading, lengths) for lengths in SETS}
        known = {lengths: each for lengths, each in ratios.items() if each is not None}
        if known:
            how = f", hidden states {reading}," if policy.startswith("aptserve") else ""
            parts.append(f"`{policy}`{how} {_by_set(known)}")
    if not parts:
        return None
    return f"**Under the honest measure** hold, in times the rate of `fcfs` at 90%: {'; '.join(parts)}."


def _starved(study: Study) -> str | None:
    said = list[str]()
    for rate_per_s in (3.0, 6.0):
        trial = Trial(
            policy=OURS, model="opt-13b", lengths="sharegpt", conditions=study.conditions, rate_per_s=rate_per_s
        )
        found = study.folder.get(trial)
        if found is None or found.starved is None:
            return None
        said.append(f"{found.starved:.1%} at {rate_per_s:g} req/s")
    return f"**Starved** on ShareGPT are {joined(said)}, table 4's rates; 10% is published, at a rate not at hand."


def _decisions(study: Study) -> str | None:
    lines = [line for line in study.lines() if line.published.quantity is Quantity.DECISION and line.ours]
    times = [f"{line.published.value / (line.ours or 1):.0f} times for {line.published.setting}" for line in lines]
    return (
        "**Decisions** in table 6 are the authors' Python with all around it; ours is the selection alone, with its "
        f"certificate, on another machine. That it is faster, {joined(times)}, says only that it is no bottleneck."
    )


SENTENCES: tuple[Sentence, ...] = (
    _at_60,
    _cannot_last,
    _at_90,
    _flat,
    _between_tables,
    _changes,
    _order,
    _sarathi,
    _fastgen,
    _hybrid,
    _honest,
    _starved,
    _decisions,
)
