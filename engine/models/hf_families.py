"""Families of decoder-only models by the `model_type` of their config.json: parts, biases, and defaults of fields.

Sources: the configurations and models of transformers 5, against which each is tested.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from aptsched.support.errors import InputError
from engine.models.architecture import LLAMA, OPT, Architecture
from engine.models.experts import Experts
from engine.models.hf_experts import EXPERT_FIELDS, OWN_SIZE, experts_of
from engine.models.size_checks import check_size

Json = Mapping[str, Any]
Flag = bool | str  # true, false, or the name of the field that says so


@dataclass(frozen=True)
class Family:
    """The parts and defaults of a `model_type`.

    Parameters
    ----------
    architecture : Architecture
    qkv_bias, out_bias, mlp_bias, head_bias : bool or str
        Whether q, k and v, the output of attention, the MLP and the output matrix have a bias, or the field that says
        so.
    defaults : mapping
        Values of absent fields, as in transformers.
    ffn_multiple : int or None
        intermediate_size over hidden_size if no field has it; None if a field has to.
    vary : function or None
        From a config.json to the fields of the architecture that it changes.
    varied_by : tuple of str
        The fields of the config.json that `vary` reads.
    experts : function or None
        From a config.json and the number of layers to the experts of a family that is a mixture of experts.
    """

    architecture: Architecture
    qkv_bias: Flag = "attention_bias"
    out_bias: Flag = "attention_bias"
    mlp_bias: Flag = "mlp_bias"
    head_bias: Flag = False
    defaults: Json = field(default_factory=dict)
    ffn_multiple: int | None = None
    vary: Callable[[Json], Mapping[str, Any]] | None = None
    varied_by: tuple[str, ...] = ()
    experts: Callable[[Json, int], Experts | None] | None = None

    @property
    def fields(self) -> frozenset[str]:
        """Fields that are used beside the sizes."""
        flags = (self.qkv_bias, self.out_bias, self.mlp_bias, self.head_bias)
        of_experts = EXPERT_FIELDS if self.experts else ()
        return frozenset({*self.varied_by, *(flag for flag in flags if isinstance(flag, str)), *of_experts})


def _gpt(name: str, positions: str, **more: Any) -> Family:
    """A family with two matrices in the MLP, LayerNorm, biases everywhere, and an MLP of 4 d."""
    architecture = Architecture(name, is_gated=False, norm="layer", positions=positions)
    return Family(architecture, qkv_bias=True, out_bias=True, mlp_bias=True, ffn_multiple=4, **more)


def _falcon_norms(config: Json) -> Mapping[str, Any]:
    """The norms of Falcon: attention and MLP read the same norm, or in the newer kind of decoder one each."""
    if config.get("new_decoder_architecture", False):
        stated = config.get("num_ln_in_parallel_attn")
        return {"num_layer_norms": 2 if stated is None else check_size("num_ln_in_parallel_attn", stated, 2)}
    return {"num_layer_norms": 1 if config.get("parallel_attn", True) else 2}


def _stablelm_norms(config: Json) -> Mapping[str, Any]:
    of_heads = {"qk_norm": "all heads"} if config.get("qk_layernorm") else {}
    return {"num_layer_norms": 1 if config.get("use_parallel_residual") else 2, **of_heads}


def _ernie_experts(config: Json, num_layers: int) -> Experts | None:
    if config.get("use_bias"):
        raise InputError("use_bias: True is not accepted: biases of experts are not counted; false is")
    return experts_of(config, num_layers, size_field=OWN_SIZE, has_router_bias=True)


def _head_norms(config: Json) -> Mapping[str, Any]:
    return {"qk_norm": "head"} if config.get("use_qk_norm") else {}


TIED = {"tie_word_embeddings": True}
FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.architecture.name: family
        for family in (
            Family(
                OPT,
                *("enable_bias", "enable_bias", "enable_bias"),
                defaults={"enable_bias": True, "activation_function": "relu", **TIED},
            ),
            Family(LLAMA, defaults={"hidden_act": "silu", "rms_norm_eps": 1e-6}),
            Family(Architecture("mistral"), False, False, False, defaults={"sliding_window": 4096}),
            Family(Architecture("qwen2"), True, False, False, defaults={"use_sliding_window": False}),
            Family(
                Architecture("qwen3", qk_norm="head"),
                mlp_bias=False,
                defaults={"head_dim": 128, "use_sliding_window": False},
            ),
            Family(Architecture("gemma"), mlp_bias=False, defaults={"head_dim": 256, **TIED}),
            Family(Architecture("granite")),
            Family(Architecture("smollm3"), defaults={"use_sliding_window": False, **TIED}),
            Family(Architecture("arcee", is_gated=False)),
            Family(Architecture("helium"), out_bias=False, defaults={"head_dim": 128}),
            Family(Architecture("ernie4_5"), "use_bias", "use_bias", "use_bias", defaults={"head_dim": 128, **TIED}),
            Family(
                Architecture("seed_oss"),
                out_bias="attention_out_bias",
                defaults={"attention_bias": True, "head_dim": 128},
            ),
            Family(
                Architecture("glm"), out_bias=False, mlp_bias=False, defaults={"attention_bias": True, "head_dim": 128}
            ),
            Family(
                Architecture("glm4", num_layer_norms=4),
                out_bias=False,
                mlp_bias=False,
                defaults={"attention_bias": True, "head_dim": 128},
            ),
            Family(Architecture("olmo", norm="no weights"), mlp_bias=False),
            Family(Architecture("olmo2", qk_norm="all heads"), mlp_bias=False),
            Family(
                Architecture("cohere", norm="layer without bias", num_layer_norms=1),
                mlp_bias=False,
                defaults=TIED,
                vary=lambda config: {"qk_norm": "all heads"} if config.get("use_qk_norm") else {},
                varied_by=("use_qk_norm",),
            ),
            Family(
                Architecture("stablelm", norm="layer"),
                "use_qkv_bias",
                False,
                False,
                vary=_stablelm_norms,
                varied_by=("use_parallel_residual", "qk_layernorm"),
            ),
            Family(Architecture("nemotron", is_gated=False, norm="layer")),
            Family(Architecture("phi3"), False, False, False),
            Family(
                Architecture("phi", is_gated=False, norm="layer", num_layer_norms=1),
                *(True, True, True, True),
                vary=lambda config: {"qk_norm": "head"} if config.get("qk_layernorm") else {},
                varied_by=("qk_layernorm",),
            ),
            Family(
                Architecture("starcoder2", is_gated=False, norm="layer"),
                *("use_bias", "use_bias", "use_bias"),
                defaults={"use_bias": True, **TIED},
            ),
            Family(
                Architecture("gpt_neox", is_gated=False, norm="layer"),
                mlp_bias=True,
                defaults={"attention_bias": True},
                varied_by=("use_parallel_residual",),
            ),
            Family(
                Architecture("gptj", is_gated=False, norm="layer", num_layer_norms=1),
                *(False, False, True, True),
                ffn_multiple=4,
            ),
            Family(
                Architecture("falcon", is_gated=False, norm="layer"),
                *("bias", "bias", "bias"),
                defaults={"multi_query": True, "max_position_embeddings": 2048, **TIED},  # absent in published files
                ffn_multiple=4,
                vary=_falcon_norms,
                varied_by=("new_decoder_architecture", "parallel_attn", "num_ln_in_parallel_attn"),
            ),
            Family(Architecture("mixtral"), False, False, False, experts=experts_of),
            Family(
                Architecture("qwen2_moe"),
                *("qkv_bias", False, False),
                defaults={"qkv_bias": True, "use_sliding_window": False},
                experts=partial(experts_of, size_field=OWN_SIZE, can_be_dense=True, has_shared_gate=True),
            ),
            Family(
                Architecture("qwen3_moe", qk_norm="head"),
                mlp_bias=False,
                defaults={"use_sliding_window": False},
                experts=partial(experts_of, size_field=OWN_SIZE, can_be_dense=True),
            ),
            Family(Architecture("olmoe", qk_norm="all heads"), mlp_bias=False, experts=experts_of),
            Family(Architecture("granitemoe"), mlp_bias=False, experts=experts_of),
            Family(Architecture("granitemoeshared"), mlp_bias=False, experts=experts_of),
            Family(
                Architecture("glm4_moe"),
                *("attention_bias", False, False),
                vary=_head_norms,
                varied_by=("use_qk_norm",),
                experts=partial(experts_of, size_field=OWN_SIZE),
            ),
            Family(Architecture("ernie4_5_moe"), "use_bias", "use_bias", False, defaults=TIED, experts=_ernie_experts),
            Family(Architecture("phimoe", norm="layer"), mlp_bias=False, head_bias="lm_head_bias", experts=experts_of),
            _gpt("gpt2", "learned", defaults=TIED),
            _gpt("gpt_bigcode", "learned", defaults={"multi_query": True, **TIED}),
            Family(
                Architecture("bloom", is_gated=False, norm="layer", num_outer_norms=2, positions="none"),
                *(True, True, True),
                defaults=TIED,
                ffn_multiple=4,
            ),
        )
    }
)


def assumed_family(model_type: str, activation: str) -> Family:
    """The family assumed for an unknown `model_type`: a Llama, whose MLP is gated or not by its activation."""
    return Family(Architecture(model_type, is_gated=activation in GATING))


GATING = ("silu", "swish", "swiglu", "geglu")  # activations that are used with a gate
