"""A run at the end of which every request has one record, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aptsched.support import interrupts
from aptsched.support.errors import described
from engine.loop.arrivals import Arrivals
from engine.loop.worker import Worker
from engine.state.request import Request

INTERRUPTED = "interrupted"  # why requests are unfinished after Ctrl-C


def accounted(serve: Callable[[Arrivals], str], workers: Sequence[Worker], requests: Iterable[Request]) -> str:
    """Serves the requests with the workers, and ends as unfinished what is left, also what has not arrived by then.

    Ctrl-C comes only where a worker lets it in, or at the end. What was not added to any worker has its record from the
    first. `serve` adds the arrivals and steps the workers; it says why it leaves requests unfinished, and that is
    returned. What it raises, or at the end a callback or the iteration over the requests, is raised once all records
    are handed over.
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
    """Ends all as unfinished, and hands over every record.

    Returns what a receiver or the iteration over the requests raised first, instead of raising it.
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
            first, rest = first or error, arrivals.rest()  # a generator that has raised is over
    for worker in workers:
        worker.closing = None
    return first
