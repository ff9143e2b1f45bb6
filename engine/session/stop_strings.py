"""Stop strings: cuts a text that comes piece by piece, and holds back what may become part of a stop string."""

from __future__ import annotations

from collections.abc import Iterable


class StopStrings:
    """Cuts a text before the first of some strings, however it is divided into pieces.

    The first stop string is the one whose last character comes first; of several that end there, the longest. Text that
    could still become a stop string is held back, so no part of one is ever shown.

    Parameters
    ----------
    strings : iterable of str
        Each has at least one character. Characters are compared as they are: no case is folded, nothing is normalised.

    Attributes
    ----------
    found : str or None
        The string that ended the text.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        self.found: str | None = None
        self._matches = [_Match(string) for string in strings]
        self._held = ""

    def push(self, piece: str) -> str:
        """The text that may be shown with this piece; nothing once a stop string is found."""
        if self.found is not None:
            return ""
        num_before, self._held = len(self._held), self._held + piece
        for num_read, character in enumerate(piece, num_before + 1):
            whole = [match.string for match in self._matches if match.push(character)]
            if whole:
                self.found = max(whole, key=len)
                return self._shown(num_read - len(self.found))
        return self._shown(len(self._held) - max((match.num_matched for match in self._matches), default=0))

    def finish(self) -> str:
        """The text that was held back and did not become a stop string."""
        return "" if self.found is not None else self._shown(len(self._held))

    def _shown(self, num_characters: int) -> str:
        shown, self._held = self._held[:num_characters], self._held[num_characters:]
        return shown


class _Match:
    """How much of one string a text ends with, character by character (Knuth, Morris and Pratt, 1977)."""

    def __init__(self, string: str) -> None:
        self.string, self.num_matched = string, 0
        self._shorter = [0]  # entry k: the length of the longest proper prefix that the first k + 1 characters end with
        for character in string[1:]:
            self._shorter.append(self._longer(self._shorter[-1], character))

    def push(self, character: str) -> bool:
        """Whether the text with this character ends with the whole string; it is not called after that."""
        self.num_matched = self._longer(self.num_matched, character)
        return self.num_matched == len(self.string)

    def _longer(self, num_matched: int, character: str) -> int:
        while num_matched and self.string[num_matched] != character:
            num_matched = self._shorter[num_matched - 1]
        return num_matched + (self.string[num_matched] == character)
