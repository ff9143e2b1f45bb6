"""The parts that layers of a decoder-only transformer are made of, apart from their sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

# Vectors of weights in a norm: a gain, and LayerNorm's bias.
NORM_VECTORS: Mapping[str, int] = MappingProxyType({"rms": 1, "layer": 2, "layer without bias": 1, "no weights": 0})
POSITIONS = ("rope", "learned", "none")
QK_NORMS = ("none", "head", "all heads")


@dataclass(frozen=True)
class Architecture:
    """The parts of a model.

    Parameters
    ----------
    name : str
        The `model_type` of its config.json.
    is_gated : bool
        Whether the MLP has three matrices, down(activation(gate) * up), or two, down(activation(up)).
    norm : str
        "rms" (RMSNorm), "layer" (LayerNorm), "layer without bias", or "no weights" (LayerNorm without gain and bias).
    num_layer_norms : int
        Norms of hidden_size values in a layer: two, or one where attention and MLP read the same.
    num_outer_norms : int
        Norms of hidden_size values outside the layers: the one before the output matrix, and any of the embedding.
    qk_norm : str
        Norms of q and of k: "none", one of "head" for all heads, or one over "all heads", which has no bias.
    positions : str
        "rope", "learned" (a table of a row for each position) or "none" (also ALiBi, which has no weights).
    num_unused_positions : int
        Rows of a learned table that belong to no position.
    """

    name: str
    is_gated: bool = True
    norm: str = "rms"
    num_layer_norms: int = 2
    num_outer_norms: int = 1
    qk_norm: str = "none"
    positions: str = "rope"
    num_unused_positions: int = 0

    def __post_init__(self) -> None:
        kinds = {"norm": NORM_VECTORS, "positions": POSITIONS, "qk_norm": QK_NORMS}
        for field, accepted in kinds.items():
            if getattr(self, field) not in accepted:
                raise InputError(f"{field}: {shown(getattr(self, field))} is not known; {', '.join(accepted)} are")

    @property
    def norm_vectors(self) -> int:
        """Vectors of weights in a norm."""
        return NORM_VECTORS[self.norm]


# The architectures that the engine runs: Zhang et al., arXiv 2205.01068; Touvron et al., arXiv 2302.13971.
OPT = Architecture("opt", is_gated=False, norm="layer", positions="learned", num_unused_positions=2)
LLAMA = Architecture("llama")
EXECUTABLE: Mapping[str, Architecture] = MappingProxyType({each.name: each for each in (OPT, LLAMA)})
