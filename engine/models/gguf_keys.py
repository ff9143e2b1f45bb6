"""The keys of a Llama GGUF file's metadata: those used, those without effect here, those that must have no effect.

Sources: the keys of the gguf package, and their meaning in llama.cpp (src/llama-model.cpp).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.faults import listed
from engine.models.hf_fields import NUM_SAID, is_neutral
from engine.models.size_checks import check_number

Metadata = Mapping[str, Any]

PREFIX = "llama."
# Fields of a ModelConfig by their keys.
KEYS = {
    "hidden_size": "embedding_length",
    "num_layers": "block_count",
    "num_heads": "attention.head_count",
    "num_kv_heads": "attention.head_count_kv",
    "intermediate_size": "feed_forward_length",
    "max_positions": "context_length",
    "norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
}
USED = {
    *KEYS.values(),
    "attention.key_length",
    "attention.value_length",
    "attention.scale",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scale_linear",
    "vocab_size",
}
# Keys that change the computation, each with the values that change nothing.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "general.type": ("model",),
    "split.count": (0, 1),
    "llama.activation_sparsity_scale": (0.0,),
    "llama.attention.causal": (True,),
    "llama.attention.clamp_kqv": (0.0,),
    "llama.attention.max_alibi_bias": (0.0,),
    "llama.attention.output_scale": (0.0, 1.0),
    "llama.attention.shared_kv_layers": (0,),
    "llama.attention.sliding_window": (0,),
    "llama.attention.temperature_length": (0,),
    "llama.attention.temperature_scale": (0.0,),
    "llama.attn_logit_softcapping": (0.0,),
    "llama.embedding_scale": (0.0, 1.0),
    "llama.expert_count": (0,),
    "llama.final_logit_softcapping": (0.0,),
    "llama.logit_scale": (0.0, 1.0),
    "llama.nextn_predict_layers": (0,),
    "llama.residual_scale": (0.0, 1.0),
    "llama.rope.dimension_sections": ([], [0, 0, 0], [0, 0, 0, 0]),
    "llama.rope.scaling.alpha": (0.0,),
    "llama.rope.scaling.attn_factor": (1.0,),
    "llama.rope.scaling.yarn_attn_factor": (1.0,),
    "llama.rope.scaling.yarn_ext_factor": (0.0, -1.0),  # below 0: as the type says
    "llama.rope.scaling.yarn_log_multiplier": (0.0,),
    "llama.swin_norm": (False,),
    "llama.tensor_data_layout": ("Meta AI original pth",),
    "llama.use_parallel_residual": (False,),
}
HARMLESS = {
    "attention.layer_norm_epsilon",  # of LayerNorm: a Llama has RMSNorm
    "attention.key_length_swa",  # of layers with a window: there are none
    "attention.sliding_window_pattern",
    "attention.value_length_swa",
    "rope.dimension_count_swa",
    "rope.freq_base_swa",
    "expert_feed_forward_length",  # of experts: there are none
    "expert_gating_func",
    "expert_group_count",
    "expert_group_used_count",
    "expert_shared_count",
    "expert_used_count",
    "expert_weights_norm",
    "expert_weights_scale",
    "interleave_moe_layer_step",
    "leading_dense_block_count",
    "moe_every_n_layers",
    "pooling_type",  # of embeddings, not of logits
    "rope.scaling.finetuned",  # a remark on the weights
    "rope.scaling.original_context_length",  # of YaRN, as the next two
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
}


def check_keys(metadata: Metadata) -> tuple[str, ...]:
    """Notices about keys that are not used; none about those without effect.

    Raises
    ------
    InputError
        A key changes the computation and is not supported: the message has the key, its value and what is accepted.
    """
    for key, accepted in NEUTRAL.items():
        if not is_neutral(metadata.get(key), accepted):
            raise InputError(f"{key}: {shown(metadata[key])} is not supported; {' or '.join(map(shown, accepted))} is")
    for key in metadata:
        if key.startswith("adapter."):
            raise InputError(f"{key}: {shown(metadata[key])}: adapters are not supported; a model of its own is")
    known = {PREFIX + key for key in USED | HARMLESS} | NEUTRAL.keys()
    unknown = [shown(key)[1:-1] for key in metadata if key.startswith(PREFIX) and key not in known]
    sampling = [
        f"{key.removeprefix('general.sampling.')} {shown(value)}"
        for key, value in metadata.items()
        if key.startswith("general.sampling.")
    ]
    notices = []
    if sampling:
        said = listed(sampling, num_named=NUM_SAID)
        notices.append(f"general.sampling: {said}: not used; how tokens are chosen is what the options say")
    if unknown:
        notices.append(f"metadata: {listed(unknown, num_named=NUM_SAID)}: not known, and not used")
    return tuple(notices)


def number(metadata: Metadata, key: str, default: float | None = None) -> Any:
    """The number under a key of the architecture."""
    value = metadata.get(PREFIX + key, default)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InputError(f"{PREFIX}{key}: {shown(value)} is not accepted; a number is needed")
    return value


def head_dim(metadata: Metadata, hidden: int, heads: int) -> int:
    """Values of a head; K, V and the values that RoPE turns have to be as many."""
    dim: int = number(metadata, "attention.key_length", hidden // max(heads, 1))
    for key in ("attention.value_length", "rope.dimension_count"):
        if number(metadata, key, dim) != dim:
            raise InputError(f"{PREFIX}{key}: {metadata[PREFIX + key]} is not supported; head_dim, {dim}, is")
    scale, plain = number(metadata, "attention.scale", 0.0), max(dim, 1) ** -0.5
    if scale != 0 and not abs(scale - plain) <= 1e-6 * plain:  # 0 means not given in llama.cpp
        raise InputError(f"{PREFIX}attention.scale: {scale} is not supported; head_dim^-0.5, {plain:g}, is")
    return dim


def rope_factor(metadata: Metadata) -> float:
    """The factor that all frequencies are divided by.

    As in llama.cpp, a missing type is "linear", a factor of 0 means none, and `rope.scale_linear` is the older name of
    `rope.scaling.factor`.
    """
    kind = metadata.get(f"{PREFIX}rope.scaling.type", "linear")
    if kind not in ("none", "linear"):
        raise InputError(f"{PREFIX}rope.scaling.type: {shown(kind)} is not supported; 'none' and 'linear' are")
    keys = [key for key in ("rope.scaling.factor", "rope.scale_linear") if PREFIX + key in metadata]
    factors = {key: number(metadata, key) or 1.0 for key in keys}
    if len(set(factors.values())) > 1:
        raise InputError(f"{', '.join(PREFIX + key for key in keys)}: {list(factors.values())} differ; one is accepted")
    if kind == "none" or not factors:
        return 1.0
    key, factor = next(iter(factors.items()))
    return check_number(PREFIX + key, factor, 1, 2.0**63)
