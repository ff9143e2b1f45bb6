"""Tokens of an output as clients see them, with how likely they were."""

from __future__ import annotations

from dataclasses import dataclass

from engine.models.tokenizer import Tokenizer
from engine.session.generation import Generation
from engine.session.vocabulary import Vocabulary

LEAST = -9999.0  # in place of minus infinity, which JSON has not, as OpenAI says it
NO_CHARACTER = "\ufffd"  # what a token decodes to that is a part of a character


@dataclass(frozen=True)
class ScoredText:
    """A token's text, and the logarithm of its probability."""

    text: str
    logprob: float

    @property
    def content(self) -> list[int]:
        """Its bytes."""
        return list(self.text.encode())


@dataclass(frozen=True)
class ScoredToken:
    """A token of an output.

    Attributes
    ----------
    chosen : ScoredText
    likeliest : tuple of ScoredText
    offset : int
        Characters of the text that were there before it.
    """

    chosen: ScoredText
    likeliest: tuple[ScoredText, ...]
    offset: int


class ScoredTokens:
    """Reads them of a generation, in order.

    Parameters
    ----------
    generation : Generation
        Whose parameters ask for them.
    vocabulary : Vocabulary
    """

    def __init__(self, generation: Generation, vocabulary: Vocabulary) -> None:
        self._request, self._tokenizer = generation.request, vocabulary.tokenizer
        self._text = None if vocabulary.tokenizer is None else vocabulary.output_text(())
        self._num_read = self._offset = 0

    def read(self, num_tokens: int) -> list[ScoredToken]:
        """The next ones."""
        first, self._num_read = self._num_read, self._num_read + num_tokens
        return [self._scored(number) for number in range(first, self._num_read)]

    def _scored(self, number: int) -> ScoredToken:
        token_id, (logprob, found) = self._request.output_token_ids[number], self._request.output_logprobs[number]
        offset = self._offset
        if self._text is not None:
            self._offset += len(self._text.push(token_id))
        likeliest = tuple(self._text_of(*each) for each in found)
        return ScoredToken(self._text_of(token_id, logprob), likeliest, offset)

    def _text_of(self, token_id: int, logprob: float) -> ScoredText:
        return ScoredText(text_of(self._tokenizer, token_id), max(logprob, LEAST))


def text_of(tokenizer: Tokenizer | None, token_id: int) -> str:
    """A token's text; its number where it has none of its own: a part of a character, or a special token."""
    text = "" if tokenizer is None else tokenizer.decode([token_id])
    return text if text and NO_CHARACTER not in text else f"token_id:{token_id}"
