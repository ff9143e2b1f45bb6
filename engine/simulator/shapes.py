"""Models by their public shapes: all that the cost of an iteration depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from aptsched.scheduling.forms import BLOCK_SIZE, CacheShape, hidden_ratio
from aptsched.support.errors import InputError

BYTES = 2  # of a number: weights, K, V and hidden states are 16-bit floats
BIASES = ("all", "qkv", "none")


@dataclass(frozen=True)
class ModelShape:
    """A decoder-only transformer by its sizes.

    Attributes
    ----------
    name : str
    num_layers, hidden_size, num_heads, num_kv_heads, head_dim, intermediate_size, vocab_size : int
    max_positions : int
        Context length: most tokens of a request, prompt and output.
    gated : bool
        Whether the MLP has three matrices (Llama) or two (OPT).
    tied : bool
        Whether the output matrix is the embedding.
    num_position_rows : int
        Of a learned position table; 0 with RoPE.
    biases : str
        Which matrices have a bias: "all" (of a layer, and of its norms), "qkv" or "none".
    """

    name: str
    num_layers: int
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    max_positions: int
    gated: bool = True
    tied: bool = False
    num_position_rows: int = 0
    biases: str = "none"

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) is int and value < (0 if name == "num_position_rows" else 1):
                raise InputError(f"{name}: {value} is not accepted; a whole number of at least 1 is")
        if self.biases not in BIASES:
            raise InputError(f"biases: {self.biases!r} is not accepted; {', '.join(BIASES)} are")

    @property
    def kv_size(self) -> int:
        """Values of K and V of a token in one layer."""
        return 2 * self.num_kv_heads * self.head_dim

    @property
    def layer_matrices(self) -> int:
        """Weights in the matrices of one layer."""
        attention = self.hidden_size * (2 * self.num_heads * self.head_dim + self.kv_size)
        return attention + (3 if self.gated else 2) * self.hidden_size * self.intermediate_size

    @property
    def embedding(self) -> int:
        """Weights of the embedding, and of the output matrix."""
        return self.vocab_size * self.hidden_size

    @property
    def num_params(self) -> int:
        """All weights."""
        d, qkv = self.hidden_size, self.num_heads * self.head_dim + self.kv_size
        each = {"all": qkv + d + self.intermediate_size + d, "qkv": qkv, "none": 0}[self.biases]
        norms = 2 * d if self.biases == "all" else d  # LayerNorm has a bias, RMSNorm none
        layers = self.num_layers * (self.layer_matrices + each + 2 * norms)
        tables = self.embedding * (1 if self.tied else 2) + self.num_position_rows * d
        return layers + tables + norms

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return BYTES * self.num_params

    @property
    def kv_bytes(self) -> int:
        """Bytes of K and V of a token in all layers."""
        return BYTES * self.num_layers * self.kv_size

    @property
    def hidden_bytes(self) -> int:
        """Bytes of the hidden states of a token in all layers."""
        return BYTES * self.num_layers * self.hidden_size

    @property
    def cache_ratio(self) -> Fraction:
        """bytes(hidden) / bytes(KV) of a token."""
        return hidden_ratio(self.hidden_size, self.num_kv_heads, self.head_dim)

    def cache(self, block_size: int = BLOCK_SIZE) -> CacheShape:
        """How its tokens go into blocks."""
        return CacheShape(self.cache_ratio, block_size)


def _opt(name: str, num_layers: int, hidden_size: int, num_heads: int) -> ModelShape:
    """OPT (Zhang et al., arXiv 2205.01068, table 1): an MLP of 4 d, a learned table of 2048 positions and 2 rows."""
    return ModelShape(
        name, num_layers, hidden_size, num_heads, num_heads, hidden_size // num_heads, 4 * hidden_size, 50272, 2048,
        gated=False, tied=True, num_position_rows=2050, biases="all",
    )  # fmt: skip


MODELS: Mapping[str, ModelShape] = MappingProxyType(
    {
        shape.name: shape
        for shape in (
            _opt("opt-125m", 12, 768, 12),
            _opt("opt-13b", 40, 5120, 40),
            _opt("opt-30b", 48, 7168, 56),
            _opt("opt-66b", 64, 9216, 72),
            # Touvron et al., arXiv 2307.09288, and the configurations published with the weights.
            ModelShape("llama-2-7b", 32, 4096, 32, 32, 128, 11008, 32000, 4096),
            ModelShape("llama-2-13b", 40, 5120, 40, 40, 128, 13824, 32000, 4096),
            ModelShape("llama-2-70b", 80, 8192, 64, 8, 128, 28672, 32000, 4096),
            # Grattafiori et al., arXiv 2407.21783; the first release, of 8,192 positions.
            ModelShape("llama-3-8b", 32, 4096, 32, 8, 128, 14336, 128256, 8192),
            # Qwen2.5 technical report, arXiv 2412.15115; 32,768 positions without YaRN.
            ModelShape("qwen2.5-14b", 48, 5120, 40, 8, 128, 13824, 152064, 32768, biases="qkv"),
            # The configuration published with the weights.
            ModelShape("smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, tied=True),
        )
    }
)


def find_model(name: str) -> ModelShape:
    """The model of that name.

    Raises
    ------
    InputError
        There is none; the names that there are.
    """
    shape = MODELS.get(name.lower())
    if shape is None:
        raise InputError(f"model: {name!r} is not known; {', '.join(MODELS)} are accepted")
    return shape
