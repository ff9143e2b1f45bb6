"""What a model is: its sizes, and what its layers are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from aptsched.scheduling.forms import hidden_ratio
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.rope import RopeScaling
from engine.models.size_checks import MAX_SIZE, check_number, check_size

ARCHITECTURES = ("opt", "llama")
ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")
LARGEST = {"num_layers": 2**10, "max_positions": 2**22}  # what is made for each position is in no file
RANGES = {"norm_eps": (1e-30, 1e30), "rope_theta": (1e-6, 2.0**63)}  # so that float32 holds what comes of them
MAX_TOKEN_ID = 2**31 - 1
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
        Most tokens of a request, prompt and output: up to 2^22.
    activation : str
        "relu", "gelu" (by the error function), "gelu_tanh" or "silu".
    norm_eps : float
        From 1e-30 to 1e30.
    rope_theta : float
        From 1e-6 to 2^63. Llama alone.
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
    notices : tuple of str
        What the files have and is not used, a line each; no part of what the model is.

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
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise InputError(
                f"architecture: {shown(self.architecture)} is not supported; {' and '.join(ARCHITECTURES)} are"
            )
        for size in SIZES:
            check_size(size, getattr(self, size), LARGEST.get(size, MAX_SIZE))
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation: {shown(self.activation)} is not supported; {', '.join(ACTIVATIONS)} are")
        for number, (least, most) in RANGES.items():
            check_number(number, getattr(self, number), least, most)
        self._check_heads()
        for token_id in (*self.eos_token_ids, *([] if self.bos_token_id is None else [self.bos_token_id])):
            if not isinstance(token_id, int) or isinstance(token_id, bool) or not 0 <= token_id <= MAX_TOKEN_ID:
                raise InputError(
                    f"bos and eos tokens: {shown(token_id)} is not accepted; token numbers from 0 to 2^31 - 1 are"
                )

    def _check_heads(self) -> None:
        heads, kv_heads, dim = self.num_heads, self.num_kv_heads, self.head_dim
        if heads % kv_heads:
            raise InputError(f"num_kv_heads: {kv_heads} is not accepted; a divisor of the {heads} heads is")
        if heads * dim > MAX_SIZE:
            raise InputError(f"head_dim: {dim} is not accepted with {heads} heads; a product up to {MAX_SIZE} is")
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
