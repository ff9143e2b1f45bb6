"""What policies may believe of a cost: one linear function, fitted to typical iterations."""

from __future__ import annotations

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.scheduling.iteration_time import IterationTime
from engine.simulator.cost import Cost
from engine.simulator.work import Work

TYPICAL_PREFILL = 1024  # tokens of the prefill from which the believed time of a token is taken
TYPICAL_CONTEXT = 4096
TYPICAL_BATCH = 64  # requests of the decode from which the believed time of another one is taken


def believed(cost: Cost, rho_s_per_block: float | None = None) -> IterationTime:
    """The cost as policies may believe it: one linear function, fitted to typical iterations.

    These are decodes of one request and of `TYPICAL_BATCH`, without context and with it, and a prefill of
    `TYPICAL_PREFILL` tokens. A decode's token has its own price: it waits for memory, where a prompt's is multiplied.

    Parameters
    ----------
    rho_s_per_block : float, optional
        Believed in place of the true times that hidden states take.
    """
    lone_s, many_s = (float(cost.seconds(Work(decode_seqs=size))) for size in (1, TYPICAL_BATCH))
    decode_s = max(0.0, many_s - lone_s) / (TYPICAL_BATCH - 1)
    fixed_s = max(0.0, lone_s - decode_s)
    prefill_s = float(cost.seconds(Work(prefill_tokens=TYPICAL_PREFILL, prefill_squares=TYPICAL_PREFILL**2)))
    per_token_s = max(0.0, prefill_s - fixed_s) / TYPICAL_PREFILL
    context_s = float(cost.seconds(Work(decode_seqs=1, context_tokens=TYPICAL_CONTEXT))) - lone_s
    rebuild_s = BLOCK_SIZE * cost.rebuild_s_per_token
    times = IterationTime(
        fixed_s,
        per_token_s,
        context_s / TYPICAL_CONTEXT,
        rho_s_per_block=rebuild_s if cost.absorbed is None else BLOCK_SIZE * _absorbed_more_s(cost),
        dequantise_s_per_block=BLOCK_SIZE * cost.dequantise_s_per_token,
        rebuild_s_per_block=rebuild_s,
        per_decode_s=decode_s - per_token_s,
        swap_s_per_block=cost.swap_s_per_block,
    )
    return times if rho_s_per_block is None else times.with_rebuilding(rho_s_per_block)


def _absorbed_more_s(cost: Cost) -> float:
    """Seconds that a cached token in hidden form takes more than in KV form, in a decode; below 0 where it takes less.

    By a decode with twice the typical context against one with that, so that what is fixed counts for no token.
    """
    hidden_s, kv_s = (
        float(cost.seconds(decode(2 * TYPICAL_CONTEXT)) - cost.seconds(decode(TYPICAL_CONTEXT)))
        for decode in (_absorbed_decode, _kv_decode)
    )
    return (hidden_s - kv_s) / TYPICAL_CONTEXT


def _kv_decode(num_cached: int) -> Work:
    return Work(decode_seqs=1, context_tokens=num_cached)


def _absorbed_decode(num_cached: int) -> Work:
    return Work(decode_seqs=1, absorbed_tokens=num_cached, absorbed_pairs=num_cached, absorbing_tokens=1)
