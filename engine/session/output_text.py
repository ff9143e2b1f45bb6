"""The text of a request as its tokens come."""

from __future__ import annotations

from collections.abc import Iterable

from engine.models.text_stream import TextStream
from engine.session.stop_strings import StopStrings


class OutputText:
    """Tokens in, text out: decoded without special tokens, and cut before the first stop string.

    Parameters
    ----------
    stream : TextStream
        Of the model's tokenizer. One that gives its text only at the end shows a stop string only then.
    stop : iterable of str
        The stop strings.
    """

    def __init__(self, stream: TextStream, stop: Iterable[str]) -> None:
        self._stream, self._stop = stream, StopStrings(stop)

    @property
    def stop_string(self) -> str | None:
        """The string before which the text was cut; None as long as there is none."""
        return self._stop.found

    def push(self, token_id: int) -> str:
        """The text that can be shown with this token, which may be empty."""
        return self._stop.push(self._stream.push(token_id))

    def finish(self) -> str:
        """The rest of the text, after the last token."""
        return self._stop.push(self._stream.finish()) + self._stop.finish()
