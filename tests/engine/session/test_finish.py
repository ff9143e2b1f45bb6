"""Why a text ends, and where: stop strings in the text of tokens, stop tokens, lengths."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.record import Outcome
from aptsched.support.errors import InputError
from byte_level import TOKENS, built
from cut_text import cut
from decoder_kinds import SEQUENCES, TOKENIZERS
from engine.session.completion import Completion
from engine.session.engine import Engine
from engine.session.output_text import OutputText
from engine.state.sampling_params import SamplingParams
from live import CONFIG, MOST_S, exact_model

ENGINE = Engine(exact_model(), num_blocks=60)
DECODE = built().decode
STOPS = st.lists(st.text("a\u00e9 A\U0001f642\ufffd", min_size=1, max_size=3), max_size=3)


@given(runs=SEQUENCES, stops=STOPS)
def test_a_text_of_tokens_is_cut_before_the_first_stop_string(runs: list[list[int]], stops: list[str]) -> None:
    """As when all tokens are decoded and the text is cut then; at no token is more shown. For every kind of decoder."""
    token_ids = list(chain.from_iterable(runs))
    for name, tokenizer in TOKENIZERS.items():
        expected, found = cut(tokenizer.decode(token_ids), stops)
        text, shown = OutputText(tokenizer.stream(), stops), ""
        for token_id in token_ids:
            shown += text.push(token_id)
            assert expected.startswith(shown), name
        assert (shown + text.finish(), text.stop_string) == (expected, found), name


def generated(prompt: str, params: SamplingParams) -> Completion:
    """Of one prompt, alone."""
    (completion,) = ENGINE.generate([prompt], params)
    assert "".join(ENGINE.stream(prompt, params)) == completion.text
    return completion


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), data=st.data())
def test_no_token_comes_after_the_one_that_shows_a_stop_string(seed: int, data: st.DataObject) -> None:
    """The tokens are the fewest whose text has one; the text, streamed or whole, ends before it."""
    free = generated("\u00e9 the", SamplingParams(40, temperature=1.0, seed=seed, ignore_eos=True))
    words = [word for word in free.text.split("\ufffd") if word] or ["the"]
    word = data.draw(st.sampled_from(words), "word")
    stops = [word[:2], data.draw(st.sampled_from(words), "other")[-3:], "never"]
    done = generated("\u00e9 the", SamplingParams(40, temperature=1.0, seed=seed, ignore_eos=True, stop=stops))
    fewest = next(k for k in range(1, 41) if any(s in DECODE(free.token_ids[:k]) for s in stops))
    assert done.token_ids == free.token_ids[:fewest]
    assert (done.text, done.stop_reason) == cut(DECODE(done.token_ids), stops)
    assert (done.finish_reason, done.record.outcome) == ("stop", Outcome.FINISHED)
    assert len(done.record.token_at_s) == fewest


def test_special_tokens_are_no_part_of_the_text_and_may_stand_within_a_stop_string() -> None:
    """Nothing of the string is shown before them."""
    tokenizer = built()
    token_ids = [*tokenizer.encode("the", False), TOKENS.index("<|im_start|>"), TOKENS.index("2")]
    text = OutputText(tokenizer.stream(), ["the2"])
    assert not any(map(text.push, token_ids))
    assert text.stop_string == "the2" and text.finish() == ""


def test_a_stop_string_that_never_came_is_shown_in_the_end() -> None:
    """What was held back for it."""
    text = OutputText(built().stream(), ["the end"])
    assert "".join(map(text.push, built().encode("on the", False))) == "on "
    assert text.finish() == "the"


FREE = generated("hello", SamplingParams(30, temperature=1.0, ignore_eos=True, seed=3)).token_ids
LAST = FREE[5]  # the first of its kind


@pytest.mark.parametrize(
    ("params", "reasons", "num_tokens"),
    [
        (SamplingParams(30, temperature=1.0, seed=3, ignore_eos=True), ("length", None), 30),
        (SamplingParams(500, temperature=1.0, seed=3, ignore_eos=True), ("length", None), CONFIG.max_positions - 4),
        (SamplingParams(30, temperature=1.0, seed=3, ignore_eos=True, stop_token_ids=(LAST,)), ("stop", LAST), 6),
        (SamplingParams(6, temperature=1.0, seed=3, ignore_eos=True, stop_token_ids=(LAST,)), ("stop", LAST), 6),
        (SamplingParams(5, temperature=1.0, seed=3, ignore_eos=True, stop_token_ids=(LAST,)), ("length", None), 5),
    ],
)
def test_why_it_ended(params: SamplingParams, reasons: tuple[str, int | None], num_tokens: int) -> None:
    """By a stop token, which one; by max_tokens, or the context length."""
    assert FREE.index(LAST) == 5
    done = generated("hello", params)
    assert (done.finish_reason, done.stop_reason) == reasons and len(done.token_ids) == num_tokens
    assert done.record.outcome is Outcome.FINISHED


def test_the_end_of_text_token_stops_unless_it_is_ignored() -> None:
    """It is said as the token that it is."""
    ends = []
    for seed in range(20):
        done = generated("hello", SamplingParams(100, temperature=1.5, seed=seed))
        assert (done.finish_reason == "stop") == (done.token_ids[-1] in CONFIG.eos_token_ids)
        assert done.stop_reason == (done.token_ids[-1] if done.finish_reason == "stop" else None)
        ends.append(done.finish_reason)
    assert {"stop", "length"} == set(ends)


def test_a_request_that_the_policy_gives_up_is_rejected_with_the_text_it_has() -> None:
    """And why: it has outgrown the pool of 32 tokens, 4 of them its prompt's."""
    with Engine(exact_model(), num_blocks=2).session as session:
        done = session.add("hello", SamplingParams(100, ignore_eos=True)).result(MOST_S)
    assert done.finish_reason == "rejected" and "33 tokens need 3 blocks" in done.record.reason
    assert len(done.token_ids) == 29 and done.text


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        (5, "stop: 5 is not accepted; a text or several are"),
        ([""], "stop: '' is not accepted; a text of 1 to 256 characters is"),
        (["x" * 257], "stop: 'xx"),
        ([b"x"], "stop: b'x' is not accepted; a text of 1 to 256 characters is"),
        (["x"] * 17, "stop: 17 texts are not accepted; up to 16 are"),
    ],
)
def test_a_bad_stop_string_is_named(stop: Any, message: str) -> None:
    """With what is accepted."""
    with pytest.raises(InputError, match=re.escape(message)):
        SamplingParams(stop=stop)


def test_one_stop_string_is_a_text() -> None:
    """Not each of its characters."""
    assert SamplingParams(stop="END") == SamplingParams(stop=["END"]) and SamplingParams(stop="END").stop == ("END",)
