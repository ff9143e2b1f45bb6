"""Prompts in, texts out: what a user of the engine relies on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

from aptsched.policies.fcfs import FCFS
from aptsched.policies.sarathi import Sarathi
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import Outcome
from aptsched.support.byte_sizes import parse_bytes
from aptsched.support.errors import InputError
from byte_level import built
from engine.loop.iteration import Iteration
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.session.cache_memory import num_blocks
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from engine.study.swap_space import host_blocks
from live import CONFIG as TINY
from live import together

CONFIG = replace(TINY, vocab_size=97, max_positions=64, eos_token_ids=(3,))
PROMPTS = [[5, 6, 7], [8, 9], list(range(10, 30))]


def model(dtype: torch.dtype = torch.float32) -> Model:
    """A tiny model without a tokenizer."""
    weights = random_weights(CONFIG, torch.Generator().manual_seed(1), dtype)
    return Model("tiny", Decoder(CONFIG, weights))


def tokens(engine: Engine, params: SamplingParams | list[SamplingParams]) -> list[list[int]]:
    """What is generated for the prompts."""
    return [completion.token_ids for completion in engine.generate(PROMPTS, params)]


def test_draws_do_not_depend_on_the_batch() -> None:
    """A request's seed gives the same tokens alone and among others."""
    params = [SamplingParams(max_tokens=20, temperature=1.0, top_p=0.9, top_k=40, seed=seed) for seed in (1, 2, 3)]
    engine = Engine(model(), num_blocks=20)
    together = tokens(engine, params)
    alone = [engine.generate([prompt], one)[0].token_ids for prompt, one in zip(PROMPTS, params, strict=True)]
    assert together == alone
    assert together != tokens(engine, [SamplingParams(max_tokens=20, temperature=1.0, seed=9)] * 3)


def test_tokens_are_counted_as_they_come() -> None:
    """Of all prompts together, anew in each call."""
    engine = Engine(model(), num_blocks=20)
    for _ in range(2):
        told: list[int] = []
        completions = engine.generate(PROMPTS, SamplingParams(max_tokens=7, ignore_eos=True), told.append)
        assert told == list(range(1, 1 + sum(len(completion.token_ids) for completion in completions)))


def test_streams_and_calls_at_once_leave_each_other_alone() -> None:
    """Two streams that are read in turn have each its own text, and `generate` between two pieces ends neither."""
    engine = Engine(Model("tiny", model().decoder, built()), num_blocks=30)
    params = SamplingParams(max_tokens=30, ignore_eos=True)
    alone = [engine.generate([prompt], params)[0].text for prompt in PROMPTS]
    streams = [engine.stream(prompt, params) for prompt in PROMPTS[:2]]
    texts = ["", ""]
    for pieces in itertools.zip_longest(*streams, fillvalue=""):
        texts = [text + piece for text, piece in zip(texts, pieces, strict=True)]
        assert engine.generate([PROMPTS[2]], params)[0].text == alone[2]
    assert texts == alone[:2]


def test_threads_share_an_engine() -> None:
    """Each has its own texts and its own count of tokens, whatever the others ask for."""
    engine, params = Engine(model(), num_blocks=30), SamplingParams(max_tokens=20, ignore_eos=True)
    alone = tokens(engine, params)

    def call() -> None:
        told: list[int] = []
        assert [each.token_ids for each in engine.generate(PROMPTS, params, told.append)] == alone
        assert told == list(range(1, 61))

    together([call] * 8)


def test_iterations_keep_their_deadline() -> None:
    """By what is believed of them: prompts are fed in chunks, and the texts stay as they are."""
    params, found = SamplingParams(max_tokens=20, ignore_eos=True), list[Iteration]()
    alone = tokens(Engine(model(), num_blocks=20), params)
    times = IterationTime(per_token_s=0.001)
    engine = Engine(model(), Sarathi(), num_blocks=20, max_iteration_s=0.004, times=times)
    engine.session.worker.on_iteration = found.append
    assert tokens(engine, params) == alone
    assert max(each.num_prefill_tokens + each.num_decode_tokens for each in found) == 4


def test_a_deadline_needs_times() -> None:
    """Nothing could be cut to it otherwise."""
    for times in (None, IterationTime(fixed_s=0.1)):
        with pytest.raises(InputError, match=r"max_iteration_s: 0\.5 is not accepted by itself; with the `times` that"):
            Engine(model(), num_blocks=20, max_iteration_s=0.5, times=times)
    with pytest.raises(InputError, match="max_iteration_s: -1 is not accepted"):
        Engine(model(), num_blocks=20, max_iteration_s=-1)


def test_one_token_to_draw_from_is_greedy() -> None:
    """Whatever the temperature, with top_k = 1 or a tiny top_p the likeliest token is drawn."""
    engine = Engine(model(), num_blocks=20)
    greedy = tokens(engine, SamplingParams(max_tokens=12))
    assert tokens(engine, SamplingParams(max_tokens=12, temperature=2.0, top_k=1, seed=5)) == greedy
    assert tokens(engine, SamplingParams(max_tokens=12, temperature=2.0, top_p=1e-9, seed=5)) == greedy


def test_draws_have_the_frequencies_of_the_distribution() -> None:
    """Over many seeds, first tokens are drawn as often as the softmax of the logits says."""
    engine = Engine(model(), num_blocks=300)
    params = [SamplingParams(max_tokens=1, temperature=1.0, seed=seed) for seed in range(2000)]
    drawn = torch.tensor([done.token_ids[0] for done in engine.generate([PROMPTS[0]] * 2000, params)])
    counts = torch.bincount(drawn, minlength=CONFIG.vocab_size).double() / 2000
    weights = random_weights(CONFIG, torch.Generator().manual_seed(1))
    from plain_model import plain_logits

    share = plain_logits(CONFIG, weights, PROMPTS[0])[-1].double().softmax(-1)
    assert float((counts - share).abs().max()) < 5 * (0.25 / 2000) ** 0.5


def test_a_stop_token_ends_a_request_and_is_its_last_token() -> None:
    """The end-of-text token too, unless it is ignored."""
    engine = Engine(model(), num_blocks=20)
    free = tokens(engine, SamplingParams(max_tokens=30, ignore_eos=True))[0]
    stop = free[7]
    first = free.index(stop)
    params = SamplingParams(max_tokens=30, ignore_eos=True, stop_token_ids=(stop,))
    assert engine.generate([PROMPTS[0]], params)[0].token_ids == free[: first + 1]


def test_output_ends_at_the_context_length() -> None:
    """Prompt and output together have at most max_positions tokens."""
    engine = Engine(model(), num_blocks=20)
    done = engine.generate([PROMPTS[2]], SamplingParams(max_tokens=1000, ignore_eos=True))[0]
    assert len(done.token_ids) == CONFIG.max_positions - len(PROMPTS[2])
    assert done.record.outcome is Outcome.FINISHED


def test_a_prompt_that_is_too_long_is_rejected_with_the_numbers_and_the_others_go_on() -> None:
    """By the context length, or by the pool."""
    engine = Engine(model(), FCFS(), num_blocks=2)
    too_long, fits, beyond = engine.generate([[4] * 200, [4] * 10, [4] * 60], SamplingParams(max_tokens=2))
    assert too_long.record.outcome is Outcome.REJECTED
    assert "200" in too_long.record.reason and "64" in too_long.record.reason
    assert beyond.record.outcome is Outcome.REJECTED and "2" in beyond.record.reason
    assert fits.record.outcome is Outcome.FINISHED and len(fits.token_ids) == 2
    assert engine.pool.free_blocks == 2


@pytest.mark.parametrize(
    ("prompt", "named"), [([], "empty"), ([97], "97"), ([-1], "-1"), ([0.5], "0.5"), ("a text", "tokenizer")]
)
def test_a_bad_prompt_is_named(prompt: list[int] | str, named: str) -> None:
    """Nothing runs, and the message has the value."""
    engine = Engine(model(), num_blocks=20)
    with pytest.raises(InputError, match=named):
        engine.generate([[5], prompt])
    assert engine.session.worker.num_unfinished == 0
    assert len(engine.generate([[5]])[0].token_ids) > 0


@pytest.mark.parametrize("prompt", [b"abc", bytearray(b"a"), 5, None])
def test_what_is_neither_text_nor_tokens_is_refused(prompt: Any) -> None:
    """Bytes too, which are no token ids, and might be no UTF-8."""
    engine = Engine(model(), num_blocks=20)
    with pytest.raises(InputError, match=r"prompt: .* is not accepted; a text or a sequence of token ids is"):
        engine.generate([prompt])


@pytest.mark.parametrize("prompt", ["a\ud800b", "caf\udcc3"])
def test_a_prompt_that_is_not_utf8_is_refused(prompt: str) -> None:
    """Case prompt-not-utf8: a text with half of a surrogate pair; nothing runs, and nothing is left behind."""
    bare = model()
    engine = Engine(Model("tiny", bare.decoder, built()), num_blocks=20)
    for call in (lambda: engine.generate([[5], prompt]), lambda: list(engine.stream(prompt))):
        with pytest.raises(InputError, match=r"prompt: character \d, .* is not Unicode text"):
            call()
    assert engine.session.worker.num_unfinished == 0
    assert len(engine.generate([[5]])[0].token_ids) > 0


def test_a_text_with_tokens_that_the_model_does_not_know_is_refused() -> None:
    """Where the tokenizer has more tokens than the model: the token is named."""
    engine = Engine(Model("tiny", model().decoder, built()), num_blocks=20)
    with pytest.raises(InputError, match="prompt: token 265 is not known to the model; 0 to 96 are"):
        engine.generate(["<tool>"])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_runs_by_the_same_code(dtype: torch.dtype) -> None:
    """First tokens are mostly those of fp32; the numbers of tokens always."""
    engine = Engine(model(dtype), num_blocks=20)
    found = tokens(engine, SamplingParams(max_tokens=8, ignore_eos=True))
    exact = tokens(Engine(model(), num_blocks=20), SamplingParams(max_tokens=8, ignore_eos=True))
    assert [len(tokens) for tokens in found] == [8, 8, 8]
    assert sum(a[0] == b[0] for a, b in zip(found, exact, strict=True)) >= 2


@pytest.mark.parametrize(("text", "size"), [("512MiB", 2**29), ("1.5GB", 1_500_000_000), ("7", 7), ("2k", 2000)])
def test_memory_as_people_write_it(text: str, size: int) -> None:
    """Decimal and binary units."""
    assert parse_bytes("cache_mem", text) == size


@pytest.mark.parametrize("text", ["", "many", "-1MiB", "1.5.2G", "nan"])
def test_memory_that_is_no_number_is_named(text: str) -> None:
    """With what is accepted."""
    with pytest.raises(InputError, match="cache_mem"):
        parse_bytes("cache_mem", text)


def test_memory_for_less_than_a_block_is_refused() -> None:
    """The message has what a block takes."""
    with pytest.raises(InputError, match=str(2 * 16 * 2 * 32 * 4)):
        num_blocks(model(), 100)
    assert num_blocks(model(), "1MiB") == 2**20 // (2 * 16 * 2 * 32 * 4)


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("1MiB", 4), ("1.3MiB", 5), ("256KiB", 1)])
def test_swap_space_is_in_whole_blocks(text: str, count: int) -> None:
    """Of 256 KiB; 0 is none at all, and what is less than a block is refused with what one takes."""
    assert host_blocks(text, 2**18) == count
    with pytest.raises(InputError, match="swap_space: '7' is not accepted; a block takes 262144 bytes"):
        host_blocks("7", 2**18)
