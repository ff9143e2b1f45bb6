"""What a model is: its sizes, and what its layers are made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from aptsched.cache import hidden_ratio
from aptsched.errors import InputError
from engine.models.rope import RopeScaling

ARCHITECTURES = ("opt", "llama")
ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
MAX_SIZE = 2**24  # so that bytes of a tensor stay far from overflow
MAX_LAYERS = 2**10
SIZES = (
    "vocab_size",
    "hidden_size",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "intermediate_size",
    "max_positions",
)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and kinds of a model.

    Parameters
    ----------
    architecture : str
        "opt": learned positions, LayerNorm before each half of a layer, an MLP of two matrices.
        "llama": RoPE, RMSNorm, a gated MLP of three matrices.
    vocab_size, hidden_size, num_layers, num_heads, num_kv_heads, head_dim, intermediate_size : int
        num_heads is a multiple of num_kv_heads. OPT has as many KV heads as heads, and hidden_size = num_heads *
        head_dim; with Llama hidden_size is on its own, and head_dim is even.
    max_positions : int
        Most tokens of a request, prompt and output.
    activation : str
        "relu", "gelu" (by the error function), "gelu_tanh" or "silu".
    norm_eps : float
    rope_theta : float
        Llama alone.
    rope_scaling : RopeScaling or None
        Llama alone.
    attention_bias, mlp_bias : bool
        Whether all matrices of that half of a layer have a bias.
    tied : bool
        Whether the output matrix is the embedding.
    bos_token_id : int or None
    eos_token_ids : tuple of int
        Tokens that end a text.
    name : str

    Raises
    ------
    InputError
        A value that is not accepted: field, value, what is.
    """

    architecture: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    max_positions: int
    activation: str
    norm_eps: float
    rope_theta: float = 10000.0
    rope_scaling: RopeScaling | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"architecture: {self.architecture!r} is not supported; {' and '.join(ARCHITECTURES)} are")
        for field in SIZES:
            check_size(field, getattr(self, field), MAX_LAYERS if field == "num_layers" else MAX_SIZE)
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation: {self.activation!r} is not supported; {', '.join(ACTIVATIONS)} are")
        for field in ("norm_eps", "rope_theta"):
            value = getattr(self, field)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
                raise InputError(f"{field}: {value!r} is not accepted; a number above 0 is")
        self._check_heads()
        for token_id in (*self.eos_token_ids, *([] if self.bos_token_id is None else [self.bos_token_id])):
            if not isinstance(token_id, int) or isinstance(token_id, bool) or token_id < 0:
                raise InputError(f"bos and eos tokens: {token_id!r} is not accepted; token numbers of at least 0 are")

    def _check_heads(self) -> None:
        heads, kv_heads, dim = self.num_heads, self.num_kv_heads, self.head_dim
        if heads % kv_heads:
            raise InputError(f"num_kv_heads: {kv_heads} is not accepted; a divisor of the {heads} heads is")
        if self.architecture == "opt":
            if kv_heads != heads:
                raise InputError(f"num_kv_heads: {kv_heads} is not accepted; OPT has as many as heads, {heads}")
            if heads * dim != self.hidden_size:
                raise InputError(
                    f"head_dim: {dim} is not accepted; OPT needs hidden_size / num_heads = {self.hidden_size} / {heads}"
                )
        elif dim % 2:
            raise InputError(f"head_dim: {dim} is not accepted; an even number is, as RoPE turns pairs of dimensions")
        factors = () if self.rope_scaling is None else self.rope_scaling.factors
        if self.rope_scaling is not None and self.rope_scaling.kind == "factors" and len(factors) != dim // 2:
            raise InputError(f"rope factors: {len(factors)} are not accepted; head_dim / 2 = {dim // 2} are")

    @property
    def cache_ratio(self) -> Fraction:
        """bytes(hidden) / bytes(KV) of a token."""
        return hidden_ratio(self.hidden_size, self.num_kv_heads, self.head_dim)

    @property
    def num_qkv_rows(self) -> int:
        """Rows of q, k and v together."""
        return (self.num_heads + 2 * self.num_kv_heads) * self.head_dim


def check_size(field: str, value: object, largest: int = MAX_SIZE) -> int:
    """The value, a whole number from 1 to `largest`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise InputError(f"{field}: {value!r} is not accepted; a whole number from 1 to {largest} is")
    return value
