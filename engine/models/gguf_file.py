"""Models from a Llama GGUF file, dequantised by the gguf package."""

from __future__ import annotations

import os

import torch

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.architecture import LLAMA
from engine.models.assemble import Shape, assemble, tensor_shapes, with_equal_head
from engine.models.config import ModelConfig
from engine.models.faults import listed, located, renamed
from engine.models.gguf_header import Header, TensorInfo, read_header
from engine.models.gguf_keys import KEYS, PREFIX, check_keys, head_dim, number, rope_factor
from engine.models.gguf_special_tokens import end_token_ids, token_id
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.rope_scaling import RopeScaling
from engine.models.tokenizer import Tokenizer
from engine.models.weights import Weights

OUTSIDE = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}
IN_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
ROPE_FACTORS = "rope_freqs.weight"


def load(
    path: str | os.PathLike[str], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[ModelConfig, Weights, Tokenizer | None]:
    """The model in a GGUF file, and its tokenizer where it has one.

    Tensors are dequantised one at a time. The rows of q and k, which GGUF has in the order of interleaved RoPE, are
    put back into the order in which dimension i turns with dimension i + head_dim / 2.

    Raises
    ------
    InputError
        The file is not a whole GGUF file of a Llama model, or has something unsupported: the message says what.
    """
    header = read_header(path)
    with located(path):
        config = _config(header)
        _check(config, header)
        tokenizer = tokenizer_of(header.metadata)
        _check_vocabulary(config, header)

    def read(name: str, shape: Shape) -> torch.Tensor:
        tensor = _tensor(header, _gguf_name(name))
        if ".q_proj." in name or ".k_proj." in name:
            pairs = tensor.reshape(-1, config.head_dim // 2, 2, *tensor.shape[1:])
            return pairs.transpose(1, 2).reshape(tensor.shape)
        return tensor

    config = with_equal_head(config, read, dtype)
    return config, assemble(config, read, dtype, device), tokenizer


def _config(header: Header) -> ModelConfig:
    metadata, tensors = header.metadata, header.tensors
    architecture = metadata.get("general.architecture")
    if architecture != "llama":
        raise InputError(f"general.architecture: {shown(architecture)} is not supported; 'llama' is")
    notices = check_keys(metadata)
    heads, hidden = number(metadata, "attention.head_count"), number(metadata, "embedding_length")
    with renamed({field: PREFIX + key for field, key in KEYS.items()}):
        return ModelConfig(
            architecture=LLAMA,
            vocab_size=_vocab_size(header),
            hidden_size=hidden,
            num_layers=number(metadata, "block_count"),
            num_heads=heads,
            num_kv_heads=number(metadata, "attention.head_count_kv", heads),
            head_dim=head_dim(metadata, hidden, heads),
            intermediate_size=number(metadata, "feed_forward_length"),
            max_positions=number(metadata, "context_length"),
            activation="silu",
            norm_eps=number(metadata, "attention.layer_norm_rms_epsilon"),
            rope_theta=number(metadata, "rope.freq_base", 10000.0),
            rope_scaling=_rope_scaling(header),
            attention_bias="blk.0.attn_q.bias" in tensors,
            mlp_bias="blk.0.ffn_gate.bias" in tensors,
            tied="output.weight" not in tensors,
            bos_token_id=token_id(metadata, "bos_token_id"),
            eos_token_ids=end_token_ids(metadata),
            name=str(metadata.get("general.name", header.path.stem)),
            notices=notices,
        )


def _vocab_size(header: Header) -> int:
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or not embedding.shape:
        raise InputError("token_embd.weight: the tensor is missing; [vocab_size, hidden_size] is needed")
    said = header.metadata.get(f"{PREFIX}vocab_size", embedding.shape[0])
    if said != embedding.shape[0]:
        raise InputError(
            f"{PREFIX}vocab_size: {shown(said)} is not accepted; {embedding.shape[0]}, the embedding's, is"
        )
    return embedding.shape[0]


def _rope_scaling(header: Header) -> RopeScaling | None:
    factor = rope_factor(header.metadata)
    if ROPE_FACTORS in header.tensors:  # Llama 3.1 and later: a divisor for each frequency
        factors = _tensor(header, ROPE_FACTORS).flatten().tolist()
        return RopeScaling("factors", factors=tuple(factor * each for each in factors))
    return None if factor == 1.0 else RopeScaling("linear", factor=factor)


def _gguf_name(name: str) -> str:
    module, _, kind = name.rpartition(".")
    if not module.startswith("layers."):
        return f"{OUTSIDE[module]}.{kind}"
    _, number, inner = module.split(".", 2)
    return f"blk.{number}.{IN_LAYER[inner]}.{kind}"


def _check(config: ModelConfig, header: Header) -> None:
    needed = {_gguf_name(name): shape for name, shape in tensor_shapes(config).items()}
    if ROPE_FACTORS in header.tensors:
        needed[ROPE_FACTORS] = (config.head_dim // 2,)
    faults = [
        f"{name}: the tensor is missing; shape {list(shape)} is needed"
        if found is None
        else f"{name}: shape {list(found.shape)} is not accepted; {list(shape)} is needed"
        for name, shape in needed.items()
        if (found := header.tensors.get(name)) is None or found.shape != shape
    ]
    faults += [f"{name}: not a tensor of this model" for name in header.tensors if name not in needed]
    if faults:
        raise InputError(listed(faults, "; "))


def _check_vocabulary(config: ModelConfig, header: Header) -> None:
    tokens = header.metadata.get("tokenizer.ggml.tokens", ())
    if len(tokens) > config.vocab_size:
        rows = f"{config.vocab_size} are, the rows of token_embd.weight"
        raise InputError(f"tokenizer.ggml.tokens: {len(tokens)} are not accepted; up to {rows}")


def _tensor(header: Header, name: str) -> torch.Tensor:
    import numpy as np
    from gguf.constants import GGMLQuantizationType
    from gguf.quants import dequantize

    info: TensorInfo = header.tensors[name]
    raw = np.fromfile(header.path, np.uint8, info.num_bytes, offset=info.first_byte)
    if info.type_name in ("F32", "F16"):
        return torch.from_numpy(raw.view(np.float32 if info.type_name == "F32" else np.float16).reshape(info.shape))
    try:
        with np.errstate(all="ignore"):  # a damaged scale is no number
            values = dequantize(raw.reshape(*info.shape[:-1], -1), GGMLQuantizationType[info.type_name])
    except NotImplementedError as error:
        raise InputError(f"{header.path}: {name}: tensor type {info.type_name} is not supported ({error})") from error
    return torch.from_numpy(values).reshape(info.shape)
