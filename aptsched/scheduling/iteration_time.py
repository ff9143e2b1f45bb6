"""The time of an iteration as the scheduler predicts it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from aptsched.scheduling.forms import FORM_ENTRIES, Charge
from aptsched.support import checks

# Beyond the time of KV form, or of a token of a prompt, so they may be below 0.
ADDED = ("rho_s_per_block", "dequantise_s_per_block", "per_decode_s", "prefill_s")
# Left out of files where they are 0.
OPTIONAL = ("dequantise_s_per_block", "per_decode_s", "prefill_s", "swap_s_per_block")


@dataclass(frozen=True)
class IterationTime:
    """Seconds of an iteration, linear in what it does; `aptsched calibrate` measures it.

    Parameters
    ----------
    fixed_s : float
        Fixed time of any iteration.
    per_token_s : float
        For each token fed, in prefill or decode.
    per_context_token_s : float
        For each cached token that is read.
    rho_s_per_block : float
        Time that a request in hidden form adds to each iteration, beyond the same request in KV form, for each block m
        that it would need there: rho of Apt-Serve, section 4.2, where K and V are rebuilt. Below 0 where attention is
        absorbed and reads fewer bytes.
    dequantise_s_per_block : float
        The same for a request whose K and V are dequantised; below 0 where reading fewer bytes saves more than that.
    rebuild_s_per_block : float
        Time that converting a request from hidden to KV form takes, once, for each block m.
    per_decode_s : float
        What a decode, a request that feeds one token after cached ones, takes beyond `per_token_s`. Below 0 where a
        prompt's tokens wait for multiplication, and those of a decode for memory that is read anyway.
    prefill_s : float
        What an iteration that feeds tokens of any prompt takes beside that. Below 0 where multiplication then hides the
        reads of memory that other iterations wait for.
    swap_s_per_block : float
        Time that copying a block to the host or back takes, in an iteration that does; 0 where nobody knows.
    """

    fixed_s: float = 0.0
    per_token_s: float = 0.0
    per_context_token_s: float = 0.0
    rho_s_per_block: float = 0.0
    dequantise_s_per_block: float = 0.0
    rebuild_s_per_block: float = 0.0
    per_decode_s: float = 0.0
    prefill_s: float = 0.0
    swap_s_per_block: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.seconds(name, value, below_0=name in ADDED)

    def with_rebuilding(self, rho_s_per_block: float) -> IterationTime:
        """The same times with this rho: K and V of a hidden request are rebuilt in each iteration, and in conversions.

        Raises
        ------
        InputError
            rho is no finite number of seconds of at least 0.
        """
        checks.seconds("rho_s_per_block", rho_s_per_block)
        return replace(self, rho_s_per_block=rho_s_per_block, rebuild_s_per_block=rho_s_per_block)

    @cached_property
    def added_s_per_block(self) -> tuple[float, ...]:
        """Seconds that a request adds to each iteration for each block m, by its form, which may be below 0."""
        of = {Charge.ABSORB: self.rho_s_per_block, Charge.DEQUANTISE: self.dequantise_s_per_block}
        return (0.0, *(of.get(entry.charge, 0.0) for entry in FORM_ENTRIES))

    def predict(
        self,
        num_tokens: int,
        num_context_tokens: int = 0,
        kv_blocks_by_form: Sequence[int] | None = None,
        num_decodes: int = 0,
    ) -> float:
        """Predict the seconds of an iteration, at least 0.

        Parameters
        ----------
        num_tokens, num_context_tokens : int
            Tokens fed, and cached tokens that are read; a token counts the same in every form.
        kv_blocks_by_form : sequence of int, [f], optional
            Blocks m of the requests in each form.
        num_decodes : int
            Of the tokens fed those that are decodes.
        """
        seconds = self.fixed_s + self.per_token_s * num_tokens + self.per_context_token_s * num_context_tokens
        seconds += self.per_decode_s * num_decodes + self.prefill_s * (num_tokens > num_decodes)
        if kv_blocks_by_form is not None:
            seconds += sum(each_s * m for each_s, m in zip(self.added_s_per_block, kv_blocks_by_form, strict=True))
        return max(0.0, seconds)

    def prompt_tokens_within(
        self,
        seconds: float,
        num_context_tokens: int = 0,
        kv_blocks_by_form: Sequence[int] | None = None,
        num_decodes: int = 0,
    ) -> float:
        """How many tokens of prompts can be fed beside decodes in so many seconds; 0 where not any.

        Infinity where tokens take no time. The other parameters are those of `predict`.
        """
        without_s = self.predict(num_decodes, num_context_tokens, kv_blocks_by_form, num_decodes)
        spare_s = seconds - without_s - self.prefill_s
        if spare_s < 0:
            return 0.0
        return spare_s / self.per_token_s if self.per_token_s else math.inf

    def as_fields(self) -> dict[str, float]:
        """The fields as in files, where those that are `OPTIONAL` are left out if they are 0."""
        return {name: value for name, value in asdict(self).items() if value or name not in OPTIONAL}
