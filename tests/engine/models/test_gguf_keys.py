"""Every metadata key of a Llama GGUF file is used as llama.cpp uses it, or said, or refused by name."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import gguf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from checkpoints import LLAMA3_ROPE, logits_of, random_model, write_gguf
from engine.models import gguf_file
from engine.models.gguf_header import read_header
from engine.models.gguf_keys import HARMLESS, NEUTRAL, PREFIX, USED, check_keys
from plain_model import plain_logits

TOKEN_IDS = list(range(3, 43))
FACTOR, LINEAR, TYPE = "llama.rope.scaling.factor", "llama.rope.scale_linear", "llama.rope.scaling.type"
each_file = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def logits_match(path: Path, model: Any) -> bool:
    config, weights, _ = gguf_file.load(path)
    return bool((plain_logits(config, weights, TOKEN_IDS) - logits_of(model, TOKEN_IDS)).abs().max() <= 1e-4)


def scaled(factor: float, **changes: Any) -> Any:
    rope = {"rope_type": "linear", "rope_theta": 10000.0, "factor": factor}
    return random_model("llama", rope_parameters=rope, **changes)


@each_file
@given(
    st.sampled_from([2.0, 4.0, 8, 1.0, 0.0]),
    st.sampled_from([None, "linear", "none"]),
    st.sampled_from([(FACTOR,), (LINEAR,), (FACTOR, LINEAR)]),
)
def test_a_rope_factor_counts(tmp_path: Path, factor: float, kind: str | None, keys: tuple[str, ...]) -> None:
    """Case gguf-rope-factor-without-type: as llama.cpp, a type that is absent is linear, and a factor of 0 is none."""
    metadata = dict.fromkeys(keys, factor) | ({} if kind is None else {TYPE: kind})
    model = scaled(1.0 if kind == "none" or factor == 0 else factor)
    write_gguf(tmp_path / "tiny.gguf", model, metadata=metadata)
    assert logits_match(tmp_path / "tiny.gguf", model)


def test_a_rope_factor_beside_factors_of_its_own(tmp_path: Path) -> None:
    """Frequencies are divided by both, as in llama.cpp."""
    write_gguf(tmp_path / "tiny.gguf", random_model("llama", rope_parameters=LLAMA3_ROPE), metadata={FACTOR: 2.0})
    config = gguf_file.load(tmp_path / "tiny.gguf")[0]
    write_gguf(tmp_path / "plain.gguf", random_model("llama", rope_parameters=LLAMA3_ROPE))
    plain = gguf_file.load(tmp_path / "plain.gguf")[0]
    assert config.rope_scaling is not None and plain.rope_scaling is not None
    assert config.rope_scaling.factors == tuple(2.0 * factor for factor in plain.rope_scaling.factors)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({FACTOR: 2.0, LINEAR: 3.0}, r"llama.rope.scaling.factor, llama.rope.scale_linear: \[2.0, 3.0\] differ"),
        ({FACTOR: 0.5}, "llama.rope.scaling.factor: 0.5 is not accepted; a number from 1 to"),
        ({FACTOR: float("nan")}, "llama.rope.scaling.factor: nan is not accepted"),
        ({FACTOR: True}, "llama.rope.scaling.factor: True is not accepted; a number is needed"),
        ({TYPE: "yarn", FACTOR: 4.0}, "llama.rope.scaling.type: 'yarn' is not supported; 'none' and 'linear' are"),
        ({"llama.rope.scaling.attn_factor": 1.2}, "llama.rope.scaling.attn_factor: 1.2.* is not supported; 1.0 is"),
        ({"llama.attention.scale": 0.5}, "llama.attention.scale: 0.5 is not supported; head_dim.-0.5, 0.288675, is"),
        ({"llama.attention.causal": False}, "llama.attention.causal: False is not supported; True is"),
        ({"llama.vocab_size": 98}, "llama.vocab_size: 98 is not accepted; 99, the embedding's, is"),
        ({"general.type": "adapter"}, "general.type: 'adapter' is not supported; 'model' is"),
        ({"adapter.lora.alpha": 16.0}, "adapter.lora.alpha: 16.0: adapters are not supported"),
        ({"split.count": 2}, "split.count: 2 is not supported; 0 or 1 is"),
        ({"tokenizer.ggml.bos_token_id": 2**31}, "bos and eos tokens: 2147483648 is not accepted"),
    ],
)
def test_a_key_that_would_change_the_result(tmp_path: Path, metadata: dict[str, Any], message: str) -> None:
    """The file, the key, its value, and what is accepted."""
    write_gguf(tmp_path / "tiny.gguf", random_model("llama"), metadata=metadata)
    with pytest.raises(InputError, match=f"tiny.gguf: {message}"):
        gguf_file.load(tmp_path / "tiny.gguf")


def test_the_scale_that_is_used_anyway(tmp_path: Path) -> None:
    """As a float32, and as llama.cpp's 0, which is none."""
    model = random_model("llama")
    for scale in (12**-0.5, 0.0):
        write_gguf(tmp_path / "tiny.gguf", model, metadata={"llama.attention.scale": scale})
        assert logits_match(tmp_path / "tiny.gguf", model)


def test_every_key_of_the_gguf_package_is_looked_at() -> None:
    """What is not known of those for language models is of parts that a Llama does not have, and is said."""
    groups = (gguf.Keys.LLM, gguf.Keys.Attention, gguf.Keys.Rope)
    keys = {
        value.replace("{arch}", "llama") for group in groups for value in vars(group).values() if "{arch}" in str(value)
    }
    known = {PREFIX + key for key in USED | HARMLESS} | NEUTRAL.keys()
    notices = check_keys(dict.fromkeys(sorted(keys - known), 1))
    assert len(notices) == 1 and notices[0].endswith("not known, and not used")
    scaling = {key for key in keys if key.startswith("llama.rope.")}
    assert scaling <= known


KEY_VALUES = st.booleans() | st.integers(0, 5) | st.sampled_from([0.0, 1.0, 1.5, float("inf"), "x", 2**33])


@each_file
@given(st.sampled_from(sorted({*NEUTRAL, *(PREFIX + key for key in HARMLESS), "llama.of_nobody"})), KEY_VALUES)
def test_a_key_changes_nothing_or_is_named(tmp_path: Path, key: str, value: Any) -> None:
    """Whatever value it has: the logits without it, or a message or notice with its name."""
    model = random_model("llama")
    write_gguf(tmp_path / "tiny.gguf", model, metadata={key: value})
    try:
        config = gguf_file.load(tmp_path / "tiny.gguf")[0]
    except InputError as error:
        message = str(error)
    else:
        message = " ".join(config.notices)
        assert logits_match(tmp_path / "tiny.gguf", model)
    is_harmless = key.removeprefix(PREFIX) in HARMLESS
    assert (key in message) != is_harmless or (key in NEUTRAL and not message)


def test_how_tokens_would_be_chosen_is_said(tmp_path: Path) -> None:
    """What the file recommends is not used."""
    metadata = {"general.sampling.temp": 0.5, "general.sampling.top_k": 20, "llama.of_nobody": 1}
    write_gguf(tmp_path / "tiny.gguf", random_model("llama"), metadata=metadata)
    assert gguf_file.load(tmp_path / "tiny.gguf")[0].notices == (
        "general.sampling: temp 0.5, top_k 20: not used; how tokens are chosen is what the options say",
        "metadata: llama.of_nobody: not known, and not used",
    )


def test_a_key_or_tensor_that_is_given_twice(tmp_path: Path) -> None:
    """None of the two is passed over in silence."""
    path = tmp_path / "tiny.gguf"
    write_gguf(path, random_model("llama"), metadata={"llama.some_key_1": 1, "llama.some_key_2": 2})
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"llama.some_key_2", b"llama.some_key_1"))
    with pytest.raises(InputError, match=r"'llama.some_key_1': given twice, which is not accepted; once is"):
        gguf_file.load(path)
    path.write_bytes(whole.replace(b"blk.1.attn_norm.weight", b"blk.2.attn_norm.weight"))
    with pytest.raises(InputError, match=r"'blk.2.attn_norm.weight': given twice"):
        gguf_file.load(path)


def test_tensors_with_bytes_in_common(tmp_path: Path) -> None:
    """An offset that points into another tensor is damage."""
    path = tmp_path / "tiny.gguf"
    write_gguf(path, random_model("llama"))
    whole, header = path.read_bytes(), read_header(path)
    start = min(tensor.first_byte for tensor in header.tensors.values())
    name = b"blk.1.attn_norm.weight"
    at = whole.index(name) + len(name) + 4 + 8 + 4  # number of axes, one axis, type
    assert struct.unpack_from("<Q", whole, at)[0] == header.tensors[name.decode()].first_byte - start
    path.write_bytes(whole[:at] + struct.pack("<Q", 0) + whole[at + 8 :])
    with pytest.raises(InputError, match=r"it begins at byte \d+, within '.*'; tensors apart are accepted"):
        gguf_file.load(path)
