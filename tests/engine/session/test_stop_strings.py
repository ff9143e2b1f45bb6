"""Stop strings: where a text ends, whatever pieces it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cut_text import cut
from engine.session.stop_strings import StopStrings

LETTERS = st.text("ab\u00e9\U0001f600", max_size=30)  # one byte, two and four in UTF-8
STRINGS = st.lists(st.text("ab\u00e9\U0001f600", min_size=1, max_size=5), max_size=4)


def pieces_of(data: st.DataObject, text: str) -> list[str]:
    """The text in pieces, some of them empty."""
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8), "ends"))
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(text=LETTERS, strings=STRINGS, data=st.data())
def test_the_text_is_cut_before_the_first_stop_string(text: str, strings: list[str], data: st.DataObject) -> None:
    """What is shown, joined, is the text up to there, in whatever pieces it came."""
    stop = StopStrings(strings)
    shown = "".join(map(stop.push, pieces_of(data, text))) + stop.finish()
    assert (shown, stop.found) == cut(text, strings)


@given(text=LETTERS, strings=STRINGS, data=st.data())
def test_what_is_shown_is_never_taken_back(text: str, strings: list[str], data: st.DataObject) -> None:
    """After each piece it is a beginning of every cut text that may still come, and the longest one."""
    stop = StopStrings(strings)
    shown = read = ""
    for piece in pieces_of(data, text):
        read += piece
        shown += stop.push(piece)
        if stop.found is None:
            held = len(read) - len(shown)
            assert shown == read[: len(shown)]
            assert held == max(
                (k for string in strings for k in range(len(string)) if read.endswith(string[:k])), default=0
            )
        else:
            assert shown == cut(read, strings)[0]


@pytest.mark.parametrize(
    ("strings", "pieces", "shown", "found"),
    [
        (["<end>"], ["one <e", "nd> two"], ["one ", ""], "<end>"),
        (["<end>"], ["one <e", "x"], ["one ", "<ex"], None),
        (["abc", "b"], ["a", "b", "c"], ["", "a", ""], "b"),  # the last character of "b" comes first
        (["b", "ab"], ["ab"], [""], "ab"),  # both end there
        (["aab"], ["aaab"], ["a"], "aab"),  # one that begins within another that fails
        ([], ["a", "b"], ["a", "b"], None),
    ],
)
def test_by_hand(strings: list[str], pieces: list[str], shown: list[str], found: str | None) -> None:
    """What each piece shows: nothing that may become a stop string."""
    stop = StopStrings(strings)
    assert [stop.push(piece) for piece in pieces] == shown
    assert stop.found == found
