"""What the scheduler believes an iteration takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from aptsched.support import checks


@dataclass(frozen=True)
class IterationTime:
    """Seconds of an iteration, linear in what it does; `aptsched calibrate` measures it.

    Parameters
    ----------
    fixed_s : float
        Of any iteration.
    per_token_s : float
        Of each token fed, in prefill or decode.
    per_context_token_s : float
        Of each cached token that is read.
    rho_s_per_block : float
        What a hidden request adds for each block m that it would need with a KV cache: rho of Apt-Serve, section 4.2.
    """

    fixed_s: float = 0.0
    per_token_s: float = 0.0
    per_context_token_s: float = 0.0
    rho_s_per_block: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            checks.seconds(name, value)

    def predict(self, num_tokens: int, num_context_tokens: int = 0, num_hidden_kv_blocks: int = 0) -> float:
        """Seconds of an iteration that feeds `num_tokens`, reads `num_context_tokens` and rebuilds so many blocks m."""
        return (
            self.fixed_s
            + self.per_token_s * num_tokens
            + self.per_context_token_s * num_context_tokens
            + self.rho_s_per_block * num_hidden_kv_blocks
        )
