"""The tasks of a study on the workers of a Dask cluster: each is done whole by one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from aptsched.support.errors import InputError, described
from aptsched.support.shown import shown
from engine.capacities.kept import code_digest
from engine.study.parallel import Result, StudyTask

if TYPE_CHECKING:
    from distributed import Client

PATIENCE_S = 10  # to reach a cluster


def results_on(
    address: str,
    tasks: Sequence[StudyTask[Result]],
    progress: Callable[[int], None],
    keep: Callable[[Result], None],
) -> Iterator[Result]:
    """The results in the order of the tasks, as `results_of` gives them; after Ctrl-C those that are done.

    A task whose worker has ended is done anew by another one, and has failed where several workers ended with it.

    Parameters
    ----------
    address : str
        Of the scheduler of a Dask cluster, whose workers have this code, and files by the same paths.
    tasks : sequence of StudyTask
    progress : callable
        Told after each task how much of all is done, by their own count.
    keep : callable
        Called with each result as soon as it is there, whoever was faster.

    Raises
    ------
    InputError
        There is no such cluster, it has no workers, or their code is another one.
    """
    with connected(address) as client:
        yield from _done(client, tasks, progress, keep)


def connected(address: str) -> Client:
    """A client of the cluster, whose workers have this code; raises InputError as `results_on`."""
    if find_spec("distributed") is None:
        raise InputError("cluster: it needs distributed, which pip install 'aptsched[cluster]' brings")
    from distributed import Client

    try:
        client = Client(address, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"cluster: {shown(address)} cannot be reached ({described(error)}); a running one is"
        ) from error
    try:
        digests = client.run(code_digest)
    except Exception as error:
        client.close()
        raise InputError(f"cluster: a worker does not have aptsched ({described(error)}); one that has is") from error
    wrong = [worker for worker, digest in digests.items() if digest != code_digest()]
    if wrong or not digests:
        client.close()
        what = f"worker {wrong[0]} has other code" if wrong else "no worker is there"
        raise InputError(f"cluster: {what}; workers with this code are accepted")
    return client


def _done(
    client: Client,
    tasks: Sequence[StudyTask[Result]],
    progress: Callable[[int], None],
    keep: Callable[[Result], None],
) -> Iterator[Result]:
    from distributed import as_completed

    futures = [client.submit(_attempt, task, pure=False) for task in tasks]
    numbers = {future.key: number for number, future in enumerate(futures)}
    results: dict[int, Result] = {}
    errors: list[BaseException] = []
    try:
        for future in as_completed(futures, loop=client.loop):
            number = numbers[future.key]
            outcome = _outcome(future, tasks[number])
            if isinstance(outcome, BaseException):
                errors.append(outcome)
            elif outcome is not None:
                results[number] = outcome
                keep(outcome)
            progress(sum(tasks[each].size for each in results))
    except KeyboardInterrupt:
        client.cancel(futures)
    yield from (results[number] for number in sorted(results))
    if errors:
        raise errors[0]


def _attempt(task: StudyTask[Result]) -> Result | None:
    """The result of a task, in a worker."""
    result, _ = task.attempt(lambda count: None)
    return result


def _outcome(future: Any, task: StudyTask[Result]) -> Result | BaseException | None:
    """What a task came to: its result, or the error of our own code."""
    from distributed import KilledWorker

    error: BaseException | None = future.exception()
    if isinstance(error, KilledWorker):
        return task.failed("several workers ended with it")
    outcome: Result | BaseException | None = error if error is not None else future.result()
    return outcome
