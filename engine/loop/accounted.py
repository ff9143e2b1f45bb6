"""Runs in which every request has exactly one record at the end, whatever ends the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aptsched.support import interrupts
from aptsched.support.errors import described
from engine.loop.arrivals import Arrivals
from engine.loop.worker import Worker
from engine.state.request import Request

INTERRUPTED = "interrupted"  # the reason of requests that are unfinished after Ctrl-C


def accounted(serve: Callable[[Arrivals], str], workers: Sequence[Worker], requests: Iterable[Request]) -> str:
    """Serves the requests with the workers; those left at the end, even if not arrived yet, end as unfinished.

    `serve` adds the arrivals, steps the workers, and returns why it leaves requests unfinished, which is returned here.
    Requests that were not added to any worker get their records from the first worker. Ctrl-C is raised only where a
    worker lets it in, or at the end. An error of `serve`, or at the end of a callback or the iteration over the
    requests, is raised once all records are handed over.
    """
    with interrupts.held() as hold:
        for worker in workers:
            worker.hold = hold
        arrivals, error = Arrivals(requests), None
        try:
            reason = serve(arrivals)
        except BaseException as raised:
            error = raised
            reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else described(error)
        late = _close(workers, arrivals, reason)
        if (error := error or late) is not None:
            raise error
    return reason


def _close(workers: Sequence[Worker], arrivals: Arrivals, reason: str) -> BaseException | None:
    """Ends all requests as unfinished, and hands over every record.

    Returns the first error of a receiver of records or of the iteration over the requests, instead of raising it.
    """
    for worker in workers:
        worker.start_closing(reason)
    first, rest = None, arrivals.rest()
    while True:
        try:
            for worker in workers:
                worker.book.hand_over()
            request = next(rest, None)
            if request is None:
                break
            workers[0].book.give_up(request, reason)
        except BaseException as error:
            first, rest = first or error, arrivals.rest()  # a generator that has raised an error yields no more
    for worker in workers:
        worker.closing = None
    return first
