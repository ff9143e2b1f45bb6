"""A model's tokens and its tokenizer, which prompts and outputs are made with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.tokenizer import Tokenizer
from engine.session.output_text import OutputText

Prompt = str | Sequence[int]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The tokens of a model.

    Parameters
    ----------
    size : int
        Tokens are 0 to size - 1.
    tokenizer : Tokenizer, optional
        Without one, prompts are token ids, and no output has a text.
    eos_token_ids : frozenset of int
        Tokens that end a text.
    """

    size: int
    tokenizer: Tokenizer | None = None
    eos_token_ids: frozenset[int] = frozenset()

    def token_ids(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt.

        Raises
        ------
        InputError
            The prompt is empty, is not Unicode, or has tokens that the model does not know; or it is a text, and there
            is no tokenizer.
        """
        if isinstance(prompt, str):
            if self.tokenizer is None:
                raise InputError("prompt: a text is not accepted, for the model has no tokenizer; token ids are")
            prompt = self.tokenizer.encode(prompt)
        if isinstance(prompt, (bytes, bytearray)) or not hasattr(prompt, "__len__") or getattr(prompt, "ndim", 1) != 1:
            raise InputError(f"prompt: {type(prompt).__name__} is not accepted; a text or a sequence of token ids is")
        if not len(prompt):
            raise InputError("prompt: an empty one is not accepted; at least one token is")
        for token_id in prompt:
            if not isinstance(token_id, (int, np.integer)) or not 0 <= token_id < self.size:
                raise InputError(f"prompt: token {shown(token_id)} is not known to the model; 0 to {self.size - 1} are")
        return [int(token_id) for token_id in prompt]

    def output_text(self, stop: Iterable[str]) -> OutputText:
        """A text that comes token by token, cut before the first stop string.

        Raises
        ------
        InputError
            There is no tokenizer.
        """
        if self.tokenizer is None:
            raise InputError("prompt: no text can be made of its output, for the model has no tokenizer")
        return OutputText(self.tokenizer.stream(), stop)
