"""The thread of a session, which runs its worker."""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import RequestRecord
from aptsched.support.errors import InputError, described
from engine.loop.clock import WallClock
from engine.loop.limits import Limits
from engine.loop.loop import IDLE_S, MAX_IDLE, STUCK
from engine.loop.worker import Worker
from engine.session.output import Output
from engine.session.output_text import OutputText
from engine.state.batch import Executor
from engine.state.pool import BlockPool
from engine.state.request import Request

CLOSED = "the session was closed"  # the reason of requests that are unfinished because of that
Command = list[Output] | int | None  # add requests; abort one; see whether the session is closed


class Driver:
    """Runs a worker in a thread of its own while there is anything to do.

    Commands are put in a queue, which the thread empties between two iterations; only the thread touches the worker
    and writes outputs. The thread ends when nothing is left to do, and the next request starts another.

    Parameters
    ----------
    policy, pool, executor, eos_token_ids, limits, times
        As in `Worker`.
    """

    def __init__(
        self,
        policy: Policy,
        pool: BlockPool,
        executor: Executor,
        eos_token_ids: frozenset[int],
        limits: Limits | None,
        times: IterationTime | None,
    ) -> None:
        self.worker = Worker(
            policy,
            pool,
            executor,
            self._end,
            limits=limits,
            times=times,
            eos_token_ids=eos_token_ids,
            on_token=self._add_token,
        )
        self.clock = WallClock()
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._lock = Lock()  # guards the three that follow; held for moments only, never while waiting for a request
        self._thread: Thread | None = None
        self._closed = False
        self._failure: BaseException | None = None
        self._outputs: dict[int, Output] = {}  # of unfinished requests; used by the thread alone, as what follows
        self._last_arrival_s, self._num_idle = 0.0, 0

    def submit(self, outputs: list[Output]) -> None:
        """Hand over requests that have arrived together.

        Raises
        ------
        InputError
            The session is closed, or an error has ended it.
        """
        with self._lock:
            self._check_open()
            self._commands.put(outputs)
            if self._thread is None:
                self._start()

    def ask_to_abort(self, request_id: int) -> None:
        """Ends a request after the current iteration; takes no lock, for the garbage collector may call it anywhere."""
        self._commands.put(request_id)

    def check_can_wait(self) -> None:
        """Raises InputError if called in the driver's own thread, which would wait for itself."""
        if current_thread() is self._thread:
            raise InputError(
                "session: waiting is not accepted in its own thread, where policies decide; elsewhere it is"
            )

    def close(self) -> None:
        """Ends all requests after the current iteration, and refuses new ones; waits, except in the thread itself."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._commands.put(None)
        if thread is not None and thread is not current_thread():
            thread.join()

    def _check_open(self) -> None:
        if self._failure is not None:
            cause = f"it has ended by {described(self._failure)}"
        elif self._closed:
            cause = "it is closed"
        else:
            return
        raise InputError(f"session: no prompt is accepted any more, for {cause}; a new one is") from self._failure

    def _start(self) -> None:
        """Starts the thread, which first waits for the lock that the caller holds."""
        self._thread = Thread(target=self._run, name="aptsched session")
        try:
            self._thread.start()
        except BaseException:  # Ctrl-C too: a thread that runs already sees that it is not the driver's
            self._thread = None
            raise

    def _run(self) -> None:
        """The thread's loop: obey commands and step the worker until nothing is left to do."""
        with self._lock:
            if current_thread() is not self._thread:
                return
        try:
            while self._obey():
                iteration = self.worker.step(self.clock.now_s())
                if iteration is not None and iteration.is_idle:
                    self._idle()
                else:
                    self._num_idle = 0
        except BaseException as error:
            self._fail(error)

    def _obey(self) -> bool:
        """Carries out the commands in the queue. Returns False when nothing is left to do: then the thread is over."""
        while True:
            with suppress(Empty):
                while True:
                    self._do(self._commands.get_nowait())
            if self._closed:
                self.worker.close(CLOSED)
            if self.worker.num_unfinished:
                return True
            with self._lock:
                if self._commands.empty():
                    self._thread = None
                    return False

    def _do(self, command: Command) -> None:
        if isinstance(command, int):
            self.worker.abort(command)
        for output in command if isinstance(command, list) else ():
            request = output.request
            # Threads may read the clock in one order and submit in another.
            self._last_arrival_s = request.arrived_at_s = max(self._last_arrival_s, request.arrived_at_s)
            self._outputs[request.request_id] = output
            self._num_idle = 0
            self.worker.add(request)

    def _idle(self) -> None:
        """Wait after an iteration in which nothing ran: for a while, or until a command comes."""
        self._num_idle += 1
        if self._num_idle == MAX_IDLE:
            self.worker.close(STUCK)
        else:
            with suppress(Empty):
                self._do(self._commands.get(timeout=IDLE_S))

    def _add_token(self, request: Request, token_id: int, now_s: float) -> None:
        output = self._outputs[request.request_id]
        if output.text is not None:
            self._look_for_stop(output.text, request.request_id, token_id)
        output.ring()

    def _look_for_stop(self, text: OutputText, request_id: int, token_id: int) -> None:
        try:
            text.push(token_id)
        except InputError:  # the tokenizer cannot decode it; readers of the text get the same error
            self.worker.abort(request_id)
        if text.stop_string is not None:
            self.worker.stop(request_id)

    def _end(self, record: RequestRecord) -> None:
        self._outputs.pop(record.request_id).finish(record)

    def _fail(self, error: BaseException) -> None:
        """Ends the session and all requests by an error; later submissions raise."""
        with self._lock:
            self._failure, self._thread = error, None
        with suppress(Empty):
            while True:
                command = self._commands.get_nowait()
                for output in command if isinstance(command, list) else ():
                    output.finish(error)
        while self._outputs:
            self._outputs.popitem()[1].finish(error)
