"""The serving study of a server elsewhere: requests by HTTP as they are due, and what the client sees of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import httpx2

from aptsched.report.document import prepare
from aptsched.scheduling.record import Outcome
from aptsched.support.errors import InputError
from aptsched.support.shown import one_line, shown
from engine.loop.accounted import INTERRUPTED
from engine.remote.bench_options import BenchOptions
from engine.remote.open_loop import OpenLoop
from engine.study import run_files
from engine.study.arrival_source import traces
from engine.study.replay import Replay, replay
from engine.study.served_run import ServedRun
from engine.study.serving import Watch
from engine.study.serving_study import ServingStudy, collected
from engine.study.usage import NOT_SEEN

CONNECT_S = 10.0
NOTICE = "Measured by the client of a server: what it does within its iterations is not seen."
Watching = Callable[[int], AbstractContextManager[Watch]]


def bench(options: BenchOptions, watching: Watching, out: str | None, as_json: bool) -> ServingStudy:
    """Run the study that these options describe; each rate begins when all requests of the one before have ended.

    Parameters
    ----------
    options : BenchOptions
    watching : callable
        From the number of runs, makes the `Watch` that is told how far they are.
    out : str, optional
        The directory that the study will be written to.
    as_json : bool
        Whether the command prints JSON; only recorded.

    Raises
    ------
    InputError
        The server cannot be reached, or refuses a first request.
    """
    replays = _replays(options)
    directory = None if out is None else prepare(out, run_files.FILES)
    model = options.model or _listed(options)
    make_client, name = partial(_client, options), options.name or model.replace(",", " ")
    _warm_up(make_client, model, replays[0])
    with watching(len(replays)) as watch:
        runs, _, error = collected(_runs(make_client, model, name, replays, watch))
    return ServingStudy(
        runs=tuple(runs),
        failed=(),
        replays=tuple(replays),
        server=None,
        num_planned=len(replays),
        options=options.recorded(out, as_json),
        setup={"model": {"name": model, "url": options.url}, "cache": {"num_blocks": 0}, "times": None},
        notices=(*options.slo_notices, NOTICE),
        directory=directory,
        error=error,
    )


def _replays(options: BenchOptions) -> list[Replay]:
    source, slo, vocab_size = options.source, options.slo_of_all, options.vocab_size
    found = traces(source, options.rates_per_s)
    return [replay(trace, slo, rate, source.seed, vocab_size, **source.clip) for rate, trace in found]


def _headers(options: BenchOptions) -> dict[str, str]:
    return {} if options.api_key is None else {"Authorization": f"Bearer {options.api_key}"}


def _client(options: BenchOptions) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        base_url=options.url,
        headers=_headers(options),
        timeout=httpx2.Timeout(options.timeout, connect=CONNECT_S, pool=None),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
    )


def _listed(options: BenchOptions) -> str:
    """The first model that the server lists."""
    try:
        with httpx2.Client(base_url=options.url, headers=_headers(options), timeout=CONNECT_S) as client:
            response = client.get("v1/models")
            return str(response.raise_for_status().json()["data"][0]["id"])
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError, IndexError, TypeError) as error:
        reason = one_line(f"{type(error).__name__}: {error}")[:200]
        raise InputError(f"url: {shown(options.url)} lists no models ({reason}); --model NAME spares that") from None


def _warm_up(make_client: Callable[[], httpx2.AsyncClient], model: str, first: Replay) -> None:
    """Sends one short request, for a server that refuses it would refuse all."""
    loop = OpenLoop(make_client, model, first.warm_up(), lambda num_ended: None)
    if not loop.run():
        raise KeyboardInterrupt
    (record,) = loop.records()
    if record.outcome is not Outcome.FINISHED:
        raise InputError(
            f"url: a first request was not served ({record.reason}); what serves /v1/completions is accepted"
        )


def _runs(
    make_client: Callable[[], httpx2.AsyncClient], model: str, name: str, replays: list[Replay], watch: Watch
) -> Iterator[ServedRun]:
    for each in replays:
        watch(name, each, 0)
        loop = OpenLoop(make_client, model, each, partial(watch, name, each))
        is_whole = loop.run()
        records = loop.records()
        left = [record.reason for record in records if record.outcome is Outcome.UNFINISHED]
        given: dict[str, Any] = {"rate_per_s": each.rate_per_s, "tenants": each.own.tenants}
        reason = INTERRUPTED if not is_whole else left[0] if left else ""
        yield ServedRun(name, records=tuple(records), usage=NOT_SEEN, complete=is_whole, reason=reason, **given)
        if not is_whole:
            return
