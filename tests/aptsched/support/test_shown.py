"""How messages show what they were given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.shown import LINE_CHARS, WORD_CHARS, one_line, shown

texts = st.text(st.characters(), max_size=40).flatmap(lambda text: st.integers(1, 400).map(lambda n: text * n))


@given(texts)
def test_a_message_is_one_line_that_no_terminal_obeys(text: str) -> None:
    """Whatever is in it: control characters, lone surrogates, thousands of characters."""
    line = one_line(f"trace: {text} is not accepted")
    assert line.isprintable() and len(line) <= LINE_CHARS
    assert all(len(word) <= WORD_CHARS for word in line.split())
    line.encode()


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=WORD_CHARS))
def test_what_is_printable_is_left_as_it_is(text: str) -> None:
    """Letters of any language."""
    assert one_line(text) == text


@given(st.recursive(st.none() | st.integers() | st.floats() | texts, st.lists, max_leaves=20))
def test_a_value_has_60_characters_at_most(value: object) -> None:
    """And one that is short is whole."""
    text = shown(value)
    assert len(text) <= 60 and text.isprintable() and (text == repr(value) or text.endswith("..."))


def test_what_python_cannot_write_is_named_by_its_type() -> None:
    """Whole numbers of more than 4,300 digits, and lists in lists in lists."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert "int" in shown(-(10**5000)) and "list" in shown(deep)
