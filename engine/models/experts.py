"""Mixtures of experts: layers whose MLP is many, of which each token goes through a few."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.support.errors import InputError
from engine.models.size_checks import MAX_SIZE, check_size


@dataclass(frozen=True)
class Experts:
    """The experts of a model's layers.

    Parameters
    ----------
    num_experts, num_active : int
        Routed experts of a layer, and how many of them a token goes through.
    intermediate_size : int
        Of the MLP of each.
    shared_size : int
        intermediate_size of the experts that all tokens go through, together; 0 where there are none.
    has_shared_gate : bool
        Whether the shared experts' output is weighted by a product with hidden_size numbers.
    has_router_bias : bool
        Whether the router has a number for each expert beside its matrix.
    num_dense_layers : int
        Layers with one MLP in place of experts.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.
    """

    num_experts: int
    num_active: int
    intermediate_size: int
    shared_size: int = 0
    has_shared_gate: bool = False
    has_router_bias: bool = False
    num_dense_layers: int = 0

    def __post_init__(self) -> None:
        for name in ("num_experts", "num_active", "intermediate_size"):
            check_size(name, getattr(self, name), MAX_SIZE)
        if self.num_active > self.num_experts:
            raise InputError(f"num_active: {self.num_active} is not accepted; up to the {self.num_experts} experts are")

    @property
    def missed_share(self) -> float:
        """The chance that a token does not go through a given expert, where all are as likely: 1 - k/E.

        Of b tokens, all miss it with the b-th power of that, so that they go through E (1 - (1 - k/E)^b) experts, as
        expected. Routers that prefer some experts go through fewer.
        """
        return 1 - self.num_active / self.num_experts
