"""What mixtures of experts cost: weights by hand and as published, and how many of them an iteration reads."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from aptsched import InputError
from engine.models.architecture import LLAMA
from engine.models.config import ModelConfig
from engine.models.experts import Experts
from engine.models.hf_config import from_hf
from engine.models.hf_families import FAMILIES
from engine.models.hf_sizes import sizes_from_hf
from engine.models.known_models import MODELS
from engine.simulator.cost import by_roofline, find_cost
from engine.simulator.gpu_memory import num_blocks
from engine.simulator.gpus import GPUS
from engine.simulator.roofline import roofline
from engine.simulator.work import Work

H100, MIXTRAL = GPUS["h100"], MODELS["mixtral-8x7b"]
# Two layers, the first dense; one head of 4 values; 3 experts of 5, of which 2 are active, and a shared one of 7.
TINY = ModelConfig(
    *(FAMILIES["qwen2_moe"].architecture, 10, 4, 2, 1, 1, 4, 6, 32),
    activation="silu",
    norm_eps=1e-6,
    experts=Experts(3, 2, 5, shared_size=7, has_shared_gate=True, num_dense_layers=1),
)


def test_matrices_by_hand() -> None:
    """Attention of 4 x 16 in both layers; a dense MLP of 3 x 4 x 6; routers and gate 4 x 4; experts 3 x 4 x 5 each."""
    assert TINY.common_matrices == 2 * 64 + 72 + (16 + 84)
    assert (TINY.expert_matrices, TINY.active_matrices) == (3 * 60, TINY.common_matrices + 2 * 60)


@pytest.mark.parametrize(
    ("name", "billions", "active_billions"), [("mixtral-8x7b", 46.7028, 12.9), ("qwen3-30b-a3b", 30.5321, 3.35)]
)
def test_weights_as_published(name: str, billions: float, active_billions: float) -> None:
    """All of them, and those of a token with embedding and output matrix."""
    config = MODELS[name]
    assert config.num_params / 1e9 == pytest.approx(billions, abs=1e-4)
    assert (config.active_matrices + 2 * config.embedding) / 1e9 == pytest.approx(active_billions, rel=0.01)


@pytest.mark.parametrize("num_tokens", [1, 2, 3])
@pytest.mark.parametrize(("num_experts", "num_active"), [(e, k) for e in range(1, 6) for k in range(1, e + 1)])
def test_experts_read_are_those_that_any_token_goes_through(num_experts: int, num_active: int, num_tokens: int) -> None:
    """The share that the roofline reads is the mean over all ways in which tokens may choose theirs."""
    found = roofline(dataclasses.replace(TINY, experts=Experts(num_experts, num_active, 5)), H100)
    only_experts = dataclasses.replace(found, weights_s=0.0, per_token_s=0.0)
    share_read = float(only_experts.seconds(Work(decode_seqs=num_tokens))) / found.experts_s
    choices = itertools.combinations(range(num_experts), num_active)
    read = [len(set().union(*each)) for each in itertools.product(map(set, choices), repeat=num_tokens)]
    assert share_read == pytest.approx(sum(read) / len(read) / num_experts)


def test_a_lone_decode_reads_what_it_meets_and_many_read_all() -> None:
    """Mixtral: 2 of 8 experts for one token, 7.2 for 8, all for a long prompt."""
    found = roofline(MIXTRAL, H100)
    bytes_per_s = H100.bandwidth_bytes_per_s * H100.efficiency.bandwidth
    alone_s = 2 * (MIXTRAL.active_matrices + MIXTRAL.embedding) / bytes_per_s
    assert float(found.seconds(Work(decode_seqs=1))) == pytest.approx(alone_s)
    eight_s = found.weights_s + found.experts_s * (1 - 0.75**8)
    assert float(found.seconds(Work(decode_seqs=8))) == pytest.approx(eight_s)
    many = dataclasses.replace(found, per_token_s=0.0, per_square_s=0.0)
    assert float(many.seconds(Work(prefill_tokens=4096))) == pytest.approx(found.weights_s + found.experts_s)


def test_all_experts_take_memory_and_few_take_time() -> None:
    """Mixtral fits on 2 x H100 beside 1,000 blocks, and a token is multiplied with 12.6 of 46.4 billion weights."""
    with pytest.raises(InputError, match=r"mixtral-8x7b does not fit on 1 x h100.*tp 2 is accepted"):
        num_blocks(MIXTRAL, H100)
    assert num_blocks(MIXTRAL, H100, 2) > 1000
    flops_per_s = H100.flops_per_s * H100.efficiency.compute
    assert roofline(MIXTRAL, H100).per_token_s == pytest.approx(2 * MIXTRAL.active_matrices / flops_per_s)


def test_experts_that_all_tokens_go_through_are_a_dense_model() -> None:
    """Two halves of an MLP, both active, take what the whole MLP takes, but for the router."""
    dense = dataclasses.replace(TINY, architecture=LLAMA, experts=None, intermediate_size=8)
    halves = dataclasses.replace(dense, architecture=TINY.architecture, experts=Experts(2, 2, 4))
    routers = 2 * 2 * 4
    assert halves.num_params == dense.num_params + routers
    assert halves.active_matrices == dense.active_matrices + routers
    work = Work(decode_seqs=3, context_tokens=30)
    more_s = 2 * routers / (H100.bandwidth_bytes_per_s * H100.efficiency.bandwidth)
    taken_s = [float(by_roofline(config, H100).seconds(work)) for config in (halves, dense)]
    assert taken_s[0] == pytest.approx(taken_s[1] + more_s)


QWEN: dict[str, object] = {"model_type": "qwen3_moe"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_experts_per_tok": 9}, "num_experts_per_tok: 9 is not accepted; up to the 8 experts are"),
        ({"num_experts_per_tok": None}, "num_experts_per_tok: it is missing"),
        ({"num_local_experts": -1}, "num_local_experts: -1 is not accepted"),
        ({"num_local_experts": 8, "num_experts": 4}, "num_experts, num_local_experts: .* differ"),
        ({"mlp_only_layers": 3}, "mlp_only_layers: 3 is not accepted; a list of layers is"),
        ({"decoder_sparse_step": 0}, "decoder_sparse_step: 0 is not accepted"),
        ({"intermediate_size": "big"}, "intermediate_size: 'big' is not accepted"),
        ({"num_local_experts": 0}, "num_local_experts: 0 is not accepted; a whole number from 1"),
        (QWEN | {"moe_intermediate_size": None}, "moe_intermediate_size: it is missing"),
        (QWEN | {"moe_intermediate_size": "big"}, "moe_intermediate_size: 'big' is not accepted"),
    ],
)
def test_bad_experts(changes: dict[str, object], message: str) -> None:
    """What is missing or out of range is named as in the file."""
    sizes = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2, "vocab_size": 99}
    config = {"model_type": "mixtral", **sizes, "intermediate_size": 80, "max_position_embeddings": 128}
    with pytest.raises(InputError, match=message):
        sizes_from_hf({**config, "num_local_experts": 8, "num_experts_per_tok": 2, **changes})


def test_the_engine_runs_no_experts() -> None:
    """It refuses them by name, and fits are of none."""
    with pytest.raises(InputError, match="architectures: 'MixtralForCausalLM' is not supported"):
        from_hf({"architectures": ["MixtralForCausalLM"], "model_type": "mixtral"})
    assert "roofline" in find_cost(None, MIXTRAL, GPUS["a100-80gb"], 2).source
