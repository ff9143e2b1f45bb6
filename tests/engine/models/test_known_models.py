"""Models by name against published figures."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest

from aptsched import InputError
from aptsched.scheduling.forms import CacheForm
from engine.models.architecture import Architecture
from engine.models.known_models import MODELS, known_name
from engine.models.plain_sizes import plain_sizes

PUBLISHED = {
    "opt-125m": 125_239_296,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "qwen2.5-14b": 14_770_033_664,
    "smollm2-135m": 134_515_008,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters(name: str) -> None:
    """The weights add up to the number of parameters published with the model."""
    assert MODELS[name].num_params == PUBLISHED[name]


@pytest.mark.parametrize(("name", "gigabytes"), [("opt-13b", 25.71), ("opt-30b", 59.95), ("opt-66b", 131.4)])
def test_weights_of_opt(name: str, gigabytes: float) -> None:
    """16-bit weights of OPT in gigabytes."""
    assert MODELS[name].weight_bytes(2) / 1e9 == pytest.approx(gigabytes, rel=3e-4)


@pytest.mark.parametrize(("name", "kv"), [("opt-13b", 819_200), ("opt-30b", 1_376_256), ("opt-66b", 2_359_296)])
def test_bytes_of_a_token(name: str, kv: int) -> None:
    """A KV token of OPT in 16-bit numbers, and twice as many in 32-bit ones."""
    assert (MODELS[name].kv_bytes(2), MODELS[name].kv_bytes(4)) == (kv, 2 * kv)


def test_hidden_ratios() -> None:
    """1/2 without shared heads, 2 for Llama-3-8B, 5/2 for Qwen2.5-14B: there the hidden form is not offered."""
    names = ("opt-13b", "llama-2-7b", "llama-3-8b", "qwen2.5-14b")
    assert [MODELS[name].cache_ratio for name in names] == [Fraction(1, 2), Fraction(1, 2), 2, Fraction(5, 2)]
    assert [MODELS[name].cache().offers(CacheForm.HIDDEN) for name in names] == [True, True, False, False]


def test_a_model_is_known_by_its_sizes() -> None:
    """Whatever its name, and not by its name where a size differs."""
    for name, config in MODELS.items():
        assert known_name(dataclasses.replace(config, name="mine")) == name
        assert known_name(dataclasses.replace(config, vocab_size=7)) == ""


@pytest.mark.parametrize(
    ("changes", "biases"),
    [
        ({}, "none"),
        ({"qkv_bias": True}, "qkv"),
        ({"attention_bias": True}, "qkv+out"),
        ({"attention_bias": True, "mlp_bias": True}, "all"),
        ({"mlp_bias": True, "head_bias": True}, "mlp+head"),
        ({"attention_bias": True, "mlp_bias": True, "head_bias": True}, "qkv+out+mlp+head"),
    ],
)
def test_biases_in_results(changes: dict[str, Any], biases: str) -> None:
    """All of a layer, none, or the matrices that have one."""
    config = dataclasses.replace(MODELS["qwen2.5-14b"], qkv_bias=False)
    assert plain_sizes(dataclasses.replace(config, **changes))["biases"] == biases


@pytest.mark.parametrize("kind", ["norm", "qk_norm", "positions"])
def test_a_kind_of_part_that_is_not_known(kind: str) -> None:
    """It is named, with those that are."""
    kinds: dict[str, Any] = {kind: "odd"}
    with pytest.raises(InputError, match=f"{kind}: 'odd' is not known; "):
        Architecture("mine", **kinds)


@pytest.mark.parametrize("module", ["engine.models.config", "engine.models.find_config", "engine.study.simulate"])
def test_what_a_model_is_needs_no_torch(module: str) -> None:
    """In an interpreter of its own; nor what reads weights; nor do simulations."""
    code = (
        f"import sys, {module}; print(sorted({{'torch', 'gguf', 'safetensors', 'transformers'}} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert found.stdout == "[]\n"
