"""The serving study on a real model, in real time: policies, one after the other, on the same requests."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from aptsched.report.document import prepare
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.byte_sizes import CACHE_MEM
from engine.calibration import calibration_json
from engine.calibration.foreign import check_run
from engine.calibration.measure import Calibration
from engine.models.hidden_attention import REBUILT, absorb_limit
from engine.models.model import Model, load_model
from engine.models.model_names import model_name
from engine.runner.cache_storage import block_bytes
from engine.session import cache_memory
from engine.study import real_model, run_files
from engine.study.arrival_source import traces
from engine.study.offered_forms import unused_forms
from engine.study.replay import Replay, context_notices, replay
from engine.study.run_options import RunOptions
from engine.study.served_run import FailedRun
from engine.study.serving import NamedPolicy, Watch, serve_all
from engine.study.serving_study import ServingStudy, collected
from engine.study.swap_space import host_blocks

Calibrate = Callable[[Model, str], Calibration]
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
    times, measured = _known_times(options)
    foreign = _foreign(options, measured)
    directory = None if out is None else prepare(out, run_files.FILES)
    real_model.set_threads(options.threads)
    model = load_model(options.model, options.dtype, options.device, options.expand_kv_heads)
    num_blocks, num_host_blocks = _blocks(options, model)
    beside: tuple[str, ...] = ()
    if times is None:
        measured = calibrate(model, options.hidden_attention)
        times = measured.times
        if directory is not None:
            calibration_json.save(measured, directory / "calibration.json")
            beside = ("calibration.json",)
    calibrated = measured is not None and not foreign
    up_to = absorb_limit(options.hidden_attention, None if measured is None else measured.absorb_up_to)
    server = real_model.live_server(
        model, num_blocks, options.limits, times, num_host_blocks, calibrated, policies, up_to
    )
    vocab_size, max_context = model.config.vocab_size, server.limits.max_context
    replays = [dataclasses.replace(each, vocab_size=vocab_size, max_context=max_context) for each in replays]
    if calibrated:
        replays = [dataclasses.replace(each, alone_s=real_model.alone_s(each, times)) for each in replays]
    notices = [
        *options.slo_notices,
        *foreign,
        *_rebuilt(options, measured),
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
        setup=real_model.live_setup(model, server, measured),
        notices=tuple(notices),
        directory=directory,
        beside=beside,
    )
    return _served(study, policies, watching, options.certificates)


def _served(study: ServingStudy, policies: list[NamedPolicy], watching: Watching, kind: str) -> ServingStudy:
    """The study with its runs; policies that fail on a first request have none."""
    replays = study.replays
    broken = real_model.warm_up(policies, replays[0], study.server)
    working = [policy for policy in policies if policy.name not in broken]

    def log_of(policy: str, replay: Replay) -> Path | None:
        directory = study.directory
        return directory and run_files.certificates_path(directory, policy, replay, replays, kind)

    with watching(len(working) * len(replays)) as watch:
        runs, failed, error = collected(serve_all(working, replays, study.server, log_of, watch))
    unserved = [FailedRun(name, each.rate_per_s, why) for each in replays for name, why in broken.items()]
    return dataclasses.replace(study, runs=tuple(runs), failed=(*unserved, *failed), error=error)


def _replays(options: RunOptions) -> list[Replay]:
    """The requests at each rate, still without tokens, as the model is not loaded yet."""
    clip = {"max_prompt_tokens": options.max_prompt_tokens, "max_output_tokens": options.max_output_tokens}
    found = traces(options.source, options.rates_per_s)
    return [replay(trace, options.slo_of_all, rate, options.seed, **clip) for rate, trace in found]


def _known_times(options: RunOptions) -> tuple[IterationTime | None, Calibration | None]:
    """Times and calibration from the options' file, with their `rho` if given; with `rho` alone, times of only that.

    Where hidden states were absorbed when it was measured and are not now, K and V take in each iteration what they
    take once.
    """
    rho = options.rho
    if options.calibration is None:
        return None if rho is None else IterationTime().with_rebuilding(rho), None
    known = calibration_json.load(options.calibration)
    if rho is None and known.absorb_up_to and options.hidden_attention == REBUILT:
        rho = known.times.rebuild_s_per_block
    return known.times if rho is None else known.times.with_rebuilding(rho), known


def _foreign(options: RunOptions, measured: Calibration | None) -> list[str]:
    """Notices about a foreign calibration, if it is accepted."""
    if measured is None:
        return []
    name = model_name(options.model, options.expand_kv_heads)
    return check_run(measured, name, options.dtype, options.device, foreign=options.foreign_calibration)


def _rebuilt(options: RunOptions, measured: Calibration | None) -> list[str]:
    """A notice where hidden states are to be absorbed, and are rebuilt because they were when that was measured."""
    if measured is None or measured.absorb_up_to or options.hidden_attention == REBUILT or measured.r_squared is None:
        return []
    return ["The calibration is of hidden states whose K and V are rebuilt: so they are here. A new one absorbs."]


def _blocks(options: RunOptions, model: Model) -> tuple[int, int]:
    """Blocks of the cache, and of the swap space, which has as many unless it is given."""
    count = options.num_blocks
    if count is None:
        count = cache_memory.num_blocks(model, options.cache_mem or CACHE_MEM)
    if options.swap_space is None:
        return count, count
    return count, host_blocks(options.swap_space, block_bytes(model.config, model.decoder.dtype))
