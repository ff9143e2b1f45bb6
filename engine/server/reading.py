"""The text of a request as its tokens come, read from an event loop."""

from __future__ import annotations

from engine.server.scored_tokens import ScoredToken, ScoredTokens
from engine.session.generation import Generation
from engine.session.vocabulary import Vocabulary


class Reading:
    """Reads what is new of a generation.

    Parameters
    ----------
    generation : Generation
    vocabulary : Vocabulary
        Without a tokenizer there is no text, only tokens.

    Attributes
    ----------
    num_read : int
        Tokens read.
    is_read : bool
        Whether the generation has ended, and all of it was read.
    scored : list of ScoredToken or None
        The tokens that were read last; None where the request does not ask how likely they were.
    """

    def __init__(self, generation: Generation, vocabulary: Vocabulary) -> None:
        self.generation, self.num_read, self.is_read = generation, 0, False
        has_text, params = vocabulary.tokenizer is not None, generation.request.params
        self._text = vocabulary.output_text(params.stop) if has_text else None
        self._tokens = None if params.num_logprobs is None else ScoredTokens(generation, vocabulary)
        self.scored: list[ScoredToken] | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is a token, or the end, that was not read."""
        return not self.is_read and (self.generation.is_over or self.num_read < self._num_tokens)

    @property
    def _num_tokens(self) -> int:
        return len(self.generation.request.output_token_ids)

    def read(self) -> str:
        """The new text, which may be empty."""
        is_over = self.generation.is_over  # before the tokens: none comes after it
        new = self.generation.request.output_token_ids[self.num_read :]
        self.num_read += len(new)
        self.is_read = is_over
        if self._tokens is not None:
            self.scored = self._tokens.read(len(new))
        if self._text is None:
            return ""
        text = "".join(map(self._text.push, new))
        return text + self._text.finish() if is_over else text
