"""Who runs the worker of a session: the thread that made it, while that waits, or one of the session's own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Condition, Lock, Thread, current_thread
from time import monotonic

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import RequestRecord
from aptsched.support import interrupts
from aptsched.support.errors import InputError, described
from engine.loop.clock import WallClock
from engine.loop.limits import Limits
from engine.loop.loop import IDLE_S, MAX_IDLE, STUCK
from engine.loop.worker import Worker
from engine.session.ahead import Ahead
from engine.session.onlooker import Onlooker
from engine.session.output import Bell, Output, listen
from engine.session.output_text import OutputText
from engine.state.batch import Executor
from engine.state.pool import BlockPool
from engine.state.request import Request

PATIENCE_S = 0.002  # for so long the session's thread leaves the worker to its maker, who may be about to wait
CLOSED = "the session was closed"  # the reason of requests that are unfinished because of that
Command = list[Output] | int | None  # add requests; abort one; see whether the session is closed


class Driver:
    """Runs a worker while there is anything to do, in one of two threads at a time.

    The thread that made the session runs the worker as long as it waits for a request. Otherwise a thread of the
    session's own does, which is there while there is anything to do; the two hand over between two iterations. No other
    thread runs it, for each thread that computes has a team of threads of its own (OpenMP): a hundred clients would
    have a hundred teams, and with more than one of them each is slower.

    Commands are put in a queue, which is emptied between two iterations; only who runs the worker touches it and writes
    outputs. Ctrl-C while the maker runs it breaks off the iteration: requests whose batch was under way are preempted.

    Parameters
    ----------
    policy, pool, executor, eos_token_ids, limits, times
        As in `Worker`.
    onlooker : Onlooker
    ahead : Ahead, optional
        Decides while an iteration runs, in place of the executor.
    """

    def __init__(
        self,
        policy: Policy,
        pool: BlockPool,
        executor: Executor,
        eos_token_ids: frozenset[int],
        limits: Limits | None,
        times: IterationTime | None,
        onlooker: Onlooker,
        ahead: Ahead | None = None,
    ) -> None:
        self.worker = Worker(
            policy,
            pool,
            ahead or executor,
            self._end,
            limits=limits,
            times=times,
            eos_token_ids=eos_token_ids,
            on_token=self._add_token,
            on_iteration=lambda iteration: onlooker.on_iteration(iteration, self.worker),
            skip=ahead,
        )
        self._onlooker = onlooker
        self.clock = WallClock()
        self._commands: SimpleQueue[Command] = SimpleQueue()
        self._lock = Lock()  # guards what follows; held for moments only, never while waiting for a request
        self._changed = Condition(self._lock)  # waited for by the session's thread alone
        self._maker = current_thread()
        self._thread: Thread | None = None  # the session's own; it is there while requests are unfinished
        self._running: Thread | None = None  # the one that runs the worker
        self._wanted: Bell | None = None  # rung when the maker, who waits for it, may run the worker
        self._left_until_s = 0.0  # of the monotonic clock; until then the worker is left to the maker
        self._closed = False
        self._failure: BaseException | None = None
        self._outputs: dict[int, Output] = {}  # of unfinished requests; used by who runs the worker, as what follows
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
                if current_thread() is self._maker:
                    self._left_until_s = monotonic() + PATIENCE_S
                self._start()

    def ask_to_abort(self, request_id: int) -> None:
        """Ends a request after the current iteration; takes no lock, for the garbage collector may call it anywhere."""
        self._commands.put(request_id)

    def wait(self, bell: Bell, until_s: float) -> None:
        """Waits until the bell has rung, and takes its rings; meanwhile the session's maker runs the worker.

        For the maker it also rings when it may run the worker, which it does if it waits once more.

        Raises
        ------
        InputError
            This thread runs the worker: it would wait for itself.
        TimeoutError
            The bell has not rung by `until_s` on the monotonic clock.
        """
        if current_thread() is self._running:
            accepted = "before it or after it, and in other threads, it is"
            raise InputError(f"session: waiting is not accepted within an iteration, where policies decide; {accepted}")
        with interrupts.held() as hold:
            if current_thread() is self._maker and monotonic() < until_s and self._take(bell):
                try:
                    self.worker.hold = hold
                    self._run(lambda: not bell.empty() or monotonic() >= until_s)
                finally:
                    self._put_down()
            with hold:
                listen(bell, until_s)

    def close(self) -> None:
        """Ends all requests after the current iteration, and refuses new ones; waits, except within an iteration."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._commands.put(None)
        if thread is not None and current_thread() is not self._running:
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
        self._thread = Thread(target=self._serve, name="aptsched session")
        try:
            self._thread.start()
        except BaseException:  # Ctrl-C too: a thread that runs already sees that it is not the driver's
            self._thread = None
            raise

    def _serve(self) -> None:
        """The session's thread: runs the worker whenever the maker does not, until nothing is left to do."""
        while self._take_turn():
            self._run(lambda: self._wanted is not None)
            self._put_down()

    def _take_turn(self) -> bool:
        """Waits until the worker is left to the session's thread. Returns False when that is over."""
        with self._lock:
            while current_thread() is self._thread:
                if self._running is not None:
                    self._changed.wait()
                elif self._is_done():
                    self._thread = None
                elif (left_s := self._left_until_s - monotonic()) > 0:
                    self._changed.wait(left_s)
                else:
                    self._running = self._thread
                    return True
        return False

    def _is_done(self) -> bool:
        """Whether nothing is left to do, as long as nobody runs the worker."""
        return self._failure is not None or (self._commands.empty() and not self.worker.num_unfinished)

    def _take(self, bell: Bell) -> bool:
        """Takes the worker for its maker; if the session's thread runs it, the bell is rung once that has stopped."""
        with self._lock:
            if self._running is None:
                self._running = self._maker
                return True
            self._wanted = bell
            return False

    def _put_down(self) -> None:
        """Who runs the worker stops; if that is the maker, or for the maker, the worker is left to it for a while.

        If nothing is left to do for the maker, the session's thread is over when this returns, so that it does not keep
        the memory of a session that nobody uses any more.
        """
        self.worker.hold, over = interrupts.Hold(), None
        with self._lock:
            if current_thread() is self._maker or self._wanted is not None:
                self._left_until_s = monotonic() + PATIENCE_S
            if self._wanted is not None:
                self._wanted.put(None)
            self._running = self._wanted = None
            if current_thread() is self._maker and self._is_done():
                over, self._thread = self._thread, None
            self._changed.notify()
        if over is not None:
            over.join()

    def _run(self, is_enough: Callable[[], bool]) -> None:
        """Obeys commands and steps the worker until it is enough, or nothing is left to do; errors end the session."""
        try:
            while not is_enough() and self._obey():
                iteration = self.worker.step(self.clock.now_s())
                if iteration is not None and iteration.is_idle:
                    self._idle()
                else:
                    self._num_idle = 0
        except interrupts.Interrupted:  # the worker is as before the iteration, but that its requests are preempted
            raise
        except BaseException as error:
            self._fail(error)

    def _obey(self) -> bool:
        """Carries out the commands in the queue. Returns False when nothing is left to do."""
        with suppress(Empty):
            while True:
                self._do(self._commands.get_nowait())
        if self._closed:
            self.worker.close(CLOSED)
        if not self.worker.num_unfinished:
            self._onlooker.on_rest(self.worker)
            return False
        return True

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
        self._onlooker.on_record(record)
        self._outputs.pop(record.request_id).finish(record)

    def _fail(self, error: BaseException) -> None:
        """Ends the session and all requests by an error; later submissions raise."""
        with self._lock:
            self._failure = error
        with suppress(Empty):
            while True:
                command = self._commands.get_nowait()
                for output in command if isinstance(command, list) else ():
                    output.finish(error)
        while self._outputs:
            self._outputs.popitem()[1].finish(error)
