"""A model's configuration: its sizes, the parts of its layers, and the numbers of weights and bytes that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.token_sizes import TWO_BYTES, hidden_ratio
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.architecture import EXECUTABLE, OPT, Architecture
from engine.models.experts import Experts
from engine.models.rope_scaling import RopeScaling
from engine.models.size_checks import MAX_SIZE, check_number, check_size

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "silu")  # those that the engine computes
LARGEST = {"num_layers": 2**10, "max_positions": 2**22}  # no file bounds what is made for each position
RANGES = {"norm_eps": (1e-30, 1e30), "rope_theta": (1e-6, 2.0**63)}  # so that results fit into float32
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
    """Sizes and kinds of a decoder-only model, which the engine runs if it is an OPT or a Llama.

    Parameters
    ----------
    architecture : Architecture
        The parts of its layers.
    vocab_size, hidden_size, num_layers, num_heads, num_kv_heads, head_dim, intermediate_size : int
        num_heads is a multiple of num_kv_heads. OPT has as many KV heads as heads, and hidden_size = num_heads *
        head_dim; with Llama hidden_size is on its own, and head_dim is even.
    max_positions : int
        Most tokens of a request, prompt and output: up to 2^22.
    activation : str
        Activation of the MLP. OPT and Llama: "relu", "gelu" (by the error function), "gelu_tanh" or "silu".
    norm_eps : float
        From 1e-30 to 1e30.
    rope_theta : float
        From 1e-6 to 2^63. Only used with RoPE.
    rope_scaling : RopeScaling or None
        Only used with RoPE.
    attention_bias : bool
        Whether q, k, v and the output of attention have a bias.
    qkv_bias : bool
        Whether q, k and v have a bias even if the output of attention has none. The engine runs no such model.
    mlp_bias : bool
        Whether all matrices of the MLP have a bias.
    head_bias : bool
        Whether the output matrix has a bias. The engine runs no such model.
    tied : bool
        Whether the output matrix is the embedding.
    experts : Experts or None
        Of a mixture of experts, whose dense layers have an MLP of intermediate_size. The engine runs no such model.
    bos_token_id : int or None
    eos_token_ids : tuple of int
        Tokens that end a text.
    name : str
    notices : tuple of str
        A line for each thing in the files that is not used or was assumed; ignored when models are compared.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """

    architecture: Architecture
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
    qkv_bias: bool = False
    mlp_bias: bool = False
    head_bias: bool = False
    tied: bool = False
    experts: Experts | None = None
    bos_token_id: int | None = None
    eos_token_ids: tuple[int, ...] = ()
    name: str = ""
    notices: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for size in SIZES:
            check_size(size, getattr(self, size), LARGEST.get(size, MAX_SIZE))
        for number, (least, most) in RANGES.items():
            check_number(number, getattr(self, number), least, most)
        if self.num_heads % self.num_kv_heads:
            raise InputError(
                f"num_kv_heads: {self.num_kv_heads} is not accepted; a divisor of the {self.num_heads} heads is"
            )
        if self.experts is not None and not 0 <= self.experts.num_dense_layers < self.num_layers:
            raise InputError(
                f"num_dense_layers: {self.experts.num_dense_layers} is not accepted; fewer than the {self.num_layers} "
                "layers are"
            )
        if self.num_heads * self.head_dim > MAX_SIZE:
            raise InputError(
                f"head_dim: {self.head_dim} is not accepted with {self.num_heads} heads; a product up to {MAX_SIZE} is"
            )
        if self.architecture in EXECUTABLE.values():
            self._check_executable()
        for token_id in (*self.eos_token_ids, *([] if self.bos_token_id is None else [self.bos_token_id])):
            if not isinstance(token_id, int) or isinstance(token_id, bool) or not 0 <= token_id <= MAX_TOKEN_ID:
                raise InputError(
                    f"bos and eos tokens: {shown(token_id)} is not accepted; token numbers from 0 to 2^31 - 1 are"
                )

    def _check_executable(self) -> None:
        """Raise InputError unless the forward pass supports this activation and these heads."""
        heads, kv_heads, dim = self.num_heads, self.num_kv_heads, self.head_dim
        if self.activation not in ACTIVATIONS:
            raise InputError(f"activation: {shown(self.activation)} is not supported; {', '.join(ACTIVATIONS)} are")
        if self.architecture == OPT:
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
    def kv_size(self) -> int:
        """Values of K and V of a token in one layer."""
        return 2 * self.num_kv_heads * self.head_dim

    @property
    def common_matrices(self) -> int:
        """Weights in the matrices of all layers that every token is multiplied with: all but routed experts."""
        attention = self.hidden_size * (2 * self.num_heads * self.head_dim + self.kv_size)
        if self.experts is None:
            return self.num_layers * (attention + self._mlp(self.intermediate_size))
        mixed, dense = self._num_mixed_layers, self.experts.num_dense_layers
        router = self.hidden_size * (self.experts.num_experts + self.experts.has_shared_gate)
        each = router + self._mlp(self.experts.shared_size)
        return self.num_layers * attention + dense * self._mlp(self.intermediate_size) + mixed * each

    @property
    def expert_matrices(self) -> int:
        """Weights of the routed experts of all layers."""
        if self.experts is None:
            return 0
        return self._num_mixed_layers * self.experts.num_experts * self._mlp(self.experts.intermediate_size)

    @property
    def active_matrices(self) -> int:
        """Weights in the matrices of all layers that a token is multiplied with."""
        if self.experts is None:
            return self.common_matrices
        return self.common_matrices + self.expert_matrices * self.experts.num_active // self.experts.num_experts

    def _mlp(self, intermediate_size: int) -> int:
        """Weights in the matrices of an MLP."""
        return (3 if self.architecture.is_gated else 2) * self.hidden_size * intermediate_size

    @property
    def _num_mixed_layers(self) -> int:
        """Layers with experts."""
        return 0 if self.experts is None else self.num_layers - self.experts.num_dense_layers

    @property
    def embedding(self) -> int:
        """Weights of the embedding; the output matrix has as many."""
        return self.vocab_size * self.hidden_size

    @property
    def num_position_rows(self) -> int:
        """Rows of a learned table of positions; 0 where there is none."""
        parts = self.architecture
        return self.max_positions + parts.num_unused_positions if parts.positions == "learned" else 0

    @property
    def num_params(self) -> int:
        """All weights."""
        parts = self.architecture
        norms = parts.norm_vectors * self.hidden_size
        layer = self._layer_biases + parts.num_layer_norms * norms + self._qk_norms
        tables = self.embedding * (1 if self.tied else 2) + self.num_position_rows * self.hidden_size
        head = self.vocab_size if self.head_bias else 0
        vectors = self.num_layers * layer + parts.num_outer_norms * norms + head + self._router_biases
        return self.common_matrices + self.expert_matrices + tables + vectors

    @property
    def _layer_biases(self) -> int:
        qkv = self.num_heads * self.head_dim + self.kv_size
        inner = (2 if self.architecture.is_gated else 1) * self.intermediate_size
        return (
            (qkv if self.attention_bias or self.qkv_bias else 0)
            + (self.hidden_size if self.attention_bias else 0)
            + (inner + self.hidden_size if self.mlp_bias else 0)
        )

    @property
    def _router_biases(self) -> int:
        if self.experts is None or not self.experts.has_router_bias:
            return 0
        return self._num_mixed_layers * self.experts.num_experts

    @property
    def _qk_norms(self) -> int:
        """Weights of the norms of q and k in a layer."""
        if self.architecture.qk_norm == "head":
            return 2 * self.architecture.norm_vectors * self.head_dim
        return (self.num_heads + self.num_kv_heads) * self.head_dim if self.architecture.qk_norm == "all heads" else 0

    def weight_bytes(self, number_bytes: float) -> int:
        """Bytes of all weights, each number of so many bytes; those of half a byte rounded up."""
        return math.ceil(number_bytes * self.num_params)

    def kv_bytes(self, number_bytes: float) -> int:
        """Bytes of K and V of a token in all layers, each number of so many bytes: whole also where these are half."""
        return int(number_bytes * self.num_layers * self.kv_size)

    @property
    def cache_ratio(self) -> Fraction:
        """bytes(hidden) / bytes(KV) of a token."""
        return hidden_ratio(self.hidden_size, self.num_kv_heads, self.head_dim)

    @property
    def absorb_up_to(self) -> int:
        """The most new tokens of a request for which attention over its hidden states is absorbed, not rebuilt.

        For each cached token, n new tokens cost 4 num_heads hidden_size n FLOPs absorbed: a score and a sum for each
        head, over hidden_size values. Rebuilt, they cost 2 hidden_size kv_size once, and 4 num_heads head_dim n. Both
        are equal at n = hidden_size num_kv_heads head_dim / (num_heads (hidden_size - head_dim)): about head_dim
        where each head has K and V of its own. With RoPE, K is rebuilt either way; what is left of both sides is half
        of the above, and the limit is the same.
        """
        absorbed_more = self.num_heads * (self.hidden_size - self.head_dim)
        if absorbed_more <= 0:  # then a hidden state is no longer than a head
            return self.max_positions
        return min(self.hidden_size * self.kv_size // (2 * absorbed_more), self.max_positions)

    def cache(self, kv_bytes: Fraction = TWO_BYTES) -> CacheShape:
        """The `CacheShape` of the model, without lossy forms, where numbers of K and V have so many bytes."""
        return CacheShape.of(self, kv_bytes)
