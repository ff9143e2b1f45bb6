"""The fields of a config.json: those used, those without effect here, those that must have no effect."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.faults import listed

Json = Mapping[str, Any]
NUM_SAID = 20  # most fields that a notice names

USED = {
    "opt": {"ffn_dim", "activation_function", "enable_bias"},
    "llama": {
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "hidden_act",
        "rms_norm_eps",
        "rope_theta",
        "rope_scaling",
        "rope_parameters",
        "original_max_position_embeddings",
        "partial_rotary_factor",
        "attention_bias",
        "mlp_bias",
    },
}
USED_BY_BOTH = {
    "architectures",
    "model_type",
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "max_position_embeddings",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
}
# Fields that change transformers' computation for some models, each with the values that change nothing; so does null.
NEUTRAL: dict[str, dict[str, tuple[object, ...]]] = {
    "opt": {
        "do_layer_norm_before": (True,),
        "_remove_final_layer_norm": (False,),
        "layer_norm_elementwise_affine": (True,),
    },
    "llama": {},
}
NEUTRAL_IN_BOTH: dict[str, tuple[object, ...]] = {
    "quantization_config": (),
    "compression_config": (),
    "is_causal": (True,),
    "is_encoder_decoder": (False,),
    "add_cross_attention": (False,),
    "use_sliding_window": (False,),
    "attention_chunk_size": (),
    "per_layer_config": ({},),
    "kv_sharing_modes": ({},),
    "pruned_heads": ({},),
    "num_local_experts": (0, 1),
    "attn_logit_softcapping": (0.0,),
    "final_logit_softcapping": (0.0,),
    "attention_multiplier": (1.0,),
    "embedding_multiplier": (1.0,),
    "residual_multiplier": (1.0,),
    "logits_scaling": (1.0,),
    "logit_scale": (1.0,),
    "clip_qkv": (),
    "qk_norm": (False,),
    "use_qk_norm": (False,),
    "alibi": (False,),
}
OF_TRAINING = {
    "activation_dropout",
    "attention_dropout",
    "dropout",
    "gradient_checkpointing",
    "init_std",
    "initializer_range",
    "layerdrop",
    "pad_token_id",  # its embedding is read like any other
    "use_cache",
}
OF_OTHER_TASKS = {
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "finetuning_task",
    "id2label",
    "is_decoder",
    "label2id",
    "num_labels",
    "prefix",  # put before a prompt by pipelines: OPT's begin-of-text token, which its tokenizer adds
    "problem_type",
    "return_dict",
    "sep_token_id",
    "task_specific_params",
    "tie_encoder_decoder",
}
OF_THE_WAY_IT_IS_RUN = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_flash_attn_2_enabled",
    "attn_implementation",
    "chunk_size_feed_forward",
    "dtype",  # what the weights are held in is an option
    "experts_implementation",
    "output_attentions",
    "output_hidden_states",
    "pretraining_tp",  # the same sums, in parts
    "tf_legacy_loss",
    "torch_dtype",
    "torchscript",
    "use_bfloat16",
}
NAMES = {"_commit_hash", "_name_or_path", "name_or_path", "tokenizer_class", "transformers_version"}
HARMLESS = OF_TRAINING | OF_OTHER_TASKS | OF_THE_WAY_IT_IS_RUN | NAMES
# Fields of how transformers' `generate` chooses tokens by default, each with the values that leave it to the logits.
GENERATION: dict[str, tuple[object, ...]] = {
    "do_sample": (False,),
    "temperature": (1.0,),
    "top_k": (0, 50),  # 50 is transformers' default for sampling
    "top_p": (1.0,),
    "min_p": (0.0,),
    "top_h": (),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "length_penalty": (1.0,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "num_return_sequences": (1,),
    "early_stopping": (False,),
    "guidance_scale": (1.0,),
    "exponential_decay_length_penalty": (),
    "bad_words_ids": (),
    "force_words_ids": (),
    "constraints": (),
    "suppress_tokens": ([],),
    "begin_suppress_tokens": ([],),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "sequence_bias": (),
    "stop_strings": (),
    "max_length": (20,),
    "max_new_tokens": (),
    "max_time": (),
    "min_length": (0,),
    "min_new_tokens": (),
    "remove_invalid_values": (False,),
    "renormalize_logits": (False,),
    "token_healing": (False,),
    "watermarking_config": (),
    "dola_layers": (),
}
IN_GENERATION_CONFIG = {
    "_from_model_config",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "bos_token_id",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "continuous_batching_config",
    "decoder_start_token_id",
    "disable_compile",
    "eos_token_id",
    "is_assistant",
    "low_memory",
    "max_cache_len",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "return_dict",
    "return_dict_in_generate",
    "speculation_type",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "use_mtp",
}


def check_fields(config: Json, model_type: str) -> tuple[str, ...]:
    """Notices about fields that are not used; none about those without effect.

    Raises
    ------
    InputError
        A field changes the computation and is not supported: the message has the field, its value and what is accepted.
    """
    neutral = NEUTRAL_IN_BOTH | NEUTRAL[model_type]
    if model_type == "opt":
        neutral["word_embed_proj_dim"] = (config.get("hidden_size"),)
    for field, accepted in neutral.items():
        if not is_neutral(config.get(field), accepted):
            options = " or ".join(map(shown, accepted)) or "null"
            raise InputError(f"{field}: {shown(config[field])} is not supported; {options} is")
    _check_attention(config)
    known = USED[model_type] | USED_BY_BOTH | HARMLESS | neutral.keys() | GENERATION.keys() | IN_GENERATION_CONFIG
    return (*_of_generation("config.json", config), *unknown_fields(config, known | {"sliding_window", "layer_types"}))


def generation_notices(content: Json) -> tuple[str, ...]:
    """Notices about a generation_config.json: how tokens are chosen is left to the options."""
    known = GENERATION.keys() | IN_GENERATION_CONFIG
    return (
        *_of_generation("generation_config.json", content),
        *unknown_fields(content, known, "generation_config.json"),
    )


def is_neutral(value: object, accepted: Collection[object]) -> bool:
    """Whether a value is null or one of those accepted; true does not count as 1."""
    return value is None or any(
        value == each and isinstance(value, bool) == isinstance(each, bool) for each in accepted
    )


def _check_attention(config: Json) -> None:
    """Raise InputError unless all layers attend to all earlier tokens."""
    window, positions = config.get("sliding_window"), config.get("max_position_embeddings")
    if window is not None and not (
        type(window) is int and type(positions) is int and window >= positions  # true is no number
    ):
        raise InputError(
            f"sliding_window: {shown(window)} is not supported; null is, or at least max_position_embeddings"
        )
    kinds = config.get("layer_types")
    is_full = isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)
    if kinds is not None and not (is_full and len(kinds) == config.get("num_hidden_layers")):
        raise InputError(f"layer_types: {shown(kinds)} is not supported; null or 'full_attention' for each layer is")


def _of_generation(file: str, content: Json) -> tuple[str, ...]:
    said = [
        f"{field} {shown(content[field])}"
        for field, accepted in GENERATION.items()
        if not is_neutral(content.get(field), accepted)
    ]
    return (
        (f"{file}: {listed(said, num_named=NUM_SAID)}: not used; how tokens are chosen is what the options say",)
        if said
        else ()
    )


def unknown_fields(content: Json, known: Collection[str], file: str = "config.json") -> tuple[str, ...]:
    """Notices about fields that are not known."""
    unknown = [shown(field)[1:-1] for field, value in content.items() if field not in known and value is not None]
    return (f"{file}: {listed(unknown, num_named=NUM_SAID)}: not known, and not used",) if unknown else ()
