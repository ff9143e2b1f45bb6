"""The handle to a request of a session."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

from aptsched.support.checks import seconds
from engine.session.completion import Completion, FinishReason, completion_of
from engine.session.output import Output, Rung, news
from engine.session.vocabulary import Vocabulary
from engine.state.request import Request


class Generation:
    """The handle to a request of a session: its text as it comes, and its result.

    The request lives as long as the handle: when the handle is garbage, the request is aborted and forgotten. The
    handle may be used from any thread, but not waited for within an iteration, where policies decide.

    Parameters
    ----------
    output : Output
    vocabulary : Vocabulary
    abort : callable
        Asks the session to end the request of that number; it does not wait.
    """

    def __init__(self, output: Output, vocabulary: Vocabulary, abort: Callable[[int], None]) -> None:
        self._output, self._vocabulary, self._abort = output, vocabulary, abort
        self._completion: Completion | None = None

    @property
    def request_id(self) -> int:
        """The number of the request, unique in its session."""
        return self._output.request.request_id

    @property
    def request(self) -> Request:
        """The request, whose output tokens and their times grow as they come; only the session may change it."""
        return self._output.request

    @property
    def is_over(self) -> bool:
        """Whether the request has ended."""
        return self._output.end is not None

    @property
    def finish_reason(self) -> FinishReason | None:
        """As in `Completion`; None as long as the request goes on. Errors as in `result`."""
        return self.result().finish_reason if self.is_over else None

    @contextmanager
    def ringing(self, bell: Rung) -> Iterator[None]:
        """Within it a bell is rung at each token and at the end, for those who wait in another way than a thread does.

        What is there already is not rung for: look at the request once within it.
        """
        self._output.hang(bell, only_end=False)
        try:
            yield
        finally:
            self._output.unhang(bell, only_end=False)

    def __iter__(self) -> Iterator[str]:
        """See `stream`."""
        return self.stream()

    def stream(self) -> Generator[str, None, Completion]:
        """The text from its beginning, piece by piece as its tokens come; nothing of a stop string is in it.

        The generator returns the `Completion`. Closing or dropping the generator aborts the request.

        Raises
        ------
        InputError
            The model has no tokenizer, or this is within an iteration.
        BaseException
            What ended the session, after the text that came before.
        """
        token_ids, num_read = self._output.request.output_token_ids, 0
        text = self._vocabulary.output_text(self._output.request.params.stop)
        try:
            for is_over in news([self._output]):
                new = token_ids[num_read:]
                num_read += len(new)
                if piece := "".join(map(text.push, new)):
                    yield piece
                if is_over and (rest := text.finish()):
                    yield rest
            return self.result()
        finally:
            self.abort()

    def result(self, timeout_s: float | None = None) -> Completion:
        """Waits until the request has ended, and returns its completion.

        The thread that made the session looks at the time after each iteration, any other one all the time.

        Raises
        ------
        TimeoutError
            The request has not ended within the time.
        InputError
            This is within an iteration, or the time is no number of seconds.
        BaseException
            What ended the session.
        """
        if not self.is_over:
            within_s = None if timeout_s is None else seconds("timeout_s", timeout_s)
            for _ in news([self._output], True, within_s):
                pass
        end = self._output.end
        if isinstance(end, BaseException):
            raise end
        if self._completion is None:
            assert end is not None, "it is over"
            self._completion = completion_of(self._output.request, end, self._vocabulary)
        return self._completion

    def abort(self) -> None:
        """Ends the request, if it is not over, without waiting; `result` then has what came until then."""
        if not self.is_over:
            self._abort(self.request_id)

    def __del__(self) -> None:
        """Abort the request, for nobody can ask for its result any more."""
        self.abort()


def count_tokens(generations: Sequence[Generation], progress: Callable[[int], None]) -> None:
    """Waits for all; calls `progress` once for each new token, with the number of tokens of all together."""
    outputs, num_told = [generation._output for generation in generations], 0
    for _ in news(outputs):
        num_tokens = sum(len(output.request.output_token_ids) for output in outputs)
        for count in range(num_told + 1, num_tokens + 1):
            progress(count)
        num_told = num_tokens
