"""The serving study on a real model, in real time: policies, one after the other, on the same requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from aptsched.report.document import prepare
from engine.calibration import calibration_json
from engine.study import real_model, run_files
from engine.study.arrival_source import traces
from engine.study.offered_forms import unused_forms
from engine.study.ready_model import Calibrate, ready_model
from engine.study.replay import Replay, context_notices, replay
from engine.study.run_options import RunOptions
from engine.study.served_run import FailedRun
from engine.study.serving import NamedPolicy, Server, Watch, serve_all
from engine.study.serving_study import ServingStudy, collected

Watching = Callable[[int], AbstractContextManager[Watch]]


def serve_live(
    options: RunOptions, calibrate: Calibrate, watching: Watching, out: str | None, as_json: bool
) -> ServingStudy:
    """Run the study that these options describe.

    Parameters
    ----------
    options : RunOptions
    calibrate : callable
        Measures the model, whose hidden states are read as the options say, if they do not say how long iterations
        take; it is written to `out`.
    watching : callable
        From the number of runs, makes the `Watch` that is told how far they are.
    out : str, optional
        The directory that the study will be written to: made before the model is loaded; logs of decisions grow there.
    as_json : bool
        Whether the command prints JSON; only recorded.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted. A policy that fails is in `failed` instead.
    """
    policies = options.policies
    replays = _replays(options)
    known = options.known_times()
    directory = None if out is None else prepare(out, run_files.FILES)
    ready = ready_model(options, known, calibrate)
    beside: tuple[str, ...] = ()
    if directory is not None and ready.is_new and ready.measured is not None:
        calibration_json.save(ready.measured, directory / "calibration.json")
        beside = ("calibration.json",)
    model, times, calibrated = ready.model, ready.times, ready.is_calibrated
    server = dataclasses.replace(ready.server(options.limits, policies), overlap=options.overlap)
    vocab_size, max_context = model.config.vocab_size, server.limits.max_context
    replays = [dataclasses.replace(each, vocab_size=vocab_size, max_context=max_context) for each in replays]
    if calibrated:
        replays = [dataclasses.replace(each, alone_s=real_model.alone_s(each, times)) for each in replays]
    notices = [
        *options.slo_notices,
        *ready.notices,
        *unused_forms(policies, server),
        *model.notices,
    ]
    notices += context_notices(replays, max_context)
    study = ServingStudy(
        runs=(),
        failed=(),
        replays=tuple(replays),
        server=server,
        num_planned=len(policies) * len(replays),
        options=options.recorded(out, as_json),
        setup=real_model.live_setup(model, server, ready.measured),
        notices=tuple(notices),
        directory=directory,
        beside=beside,
    )
    return _served(study, server, policies, watching, options.certificates)


def _served(
    study: ServingStudy, server: Server, policies: list[NamedPolicy], watching: Watching, kind: str
) -> ServingStudy:
    """The study with its runs; policies that fail on a first request have none."""
    replays = study.replays
    broken = real_model.warm_up(policies, replays[0], server)
    working = [policy for policy in policies if policy.name not in broken]

    def log_of(policy: str, replay: Replay) -> Path | None:
        directory = study.directory
        return directory and run_files.certificates_path(directory, policy, replay, replays, kind)

    with watching(len(working) * len(replays)) as watch:
        runs, failed, error = collected(serve_all(working, replays, server, log_of, watch))
    unserved = [FailedRun(name, each.rate_per_s, why) for each in replays for name, why in broken.items()]
    return dataclasses.replace(study, runs=tuple(runs), failed=(*unserved, *failed), error=error)


def _replays(options: RunOptions) -> list[Replay]:
    """The requests at each rate, still without tokens, as the model is not loaded yet."""
    source = options.source
    found = traces(source, options.rates_per_s)
    return [replay(trace, options.slo_of_all, rate, source.seed, **source.clip) for rate, trace in found]
