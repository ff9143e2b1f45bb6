"""Deadlines of tokens: chunks by slack, prompts by deadline and length, relegation; as QoServe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.due_times import due_s, latest_start_s
from aptsched.policies.option_checks import check_watermark
from aptsched.policies.prompt_queue import beside_decodes, num_admitted, sorted_rows
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.view import View
from aptsched.support import checks
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError

LEAST_CHUNK = 128  # tokens of an iteration, decodes among them, that are fed however late decodes are
MARGIN = 1.2  # times the predicted time of an iteration has to be within the slack


@dataclass(frozen=True)
class QoServe:
    """As QoServe (Niyama): all decodes, and as much of prompts as their deadlines allow; who will be late goes last.

    Token i of a request is due at arrival + TTFT + (i - 1) TPOT. Every iteration feeds all decodes. Beside them it
    feeds as many tokens of prompts as it can be predicted to end before the first of their next tokens is due. Prompts
    go by arrival + TTFT + `alpha_s_per_token` x tokens left of the prompt, whether begun or waiting; those that have
    not begun and cannot make the first token any more go behind all others (relegation). Who waits is admitted in that
    order, while the blocks of its whole prompt are there. When blocks run out, the latest arrivals are preempted.

    Parameters
    ----------
    alpha_s_per_token : float
        By how much a token of a prompt puts it off.
    max_chunk : int
        Most tokens of an iteration; the loop's token budget applies too.
    fixed_chunk : int
        Tokens of an iteration without `chunking`.
    chunking, relegation, hybrid : bool
        Each part of the method; without `hybrid` prompts go by deadline alone. Without any it is Sarathi-Serve by
        earliest deadline, as QoServe is compared with.
    watermark : float
        Share of the pool that admission leaves free.

    Notes
    -----
    Source: Goel et al., QoServe (ASPLOS 2026; as Niyama arXiv 2503.22562), and its code. Stated: deadlines, order,
    relegation, chunks by the least slack, 8 ms a token (1 ms where load is low), 2500 tokens at most; of the code, the
    margin of 1.2 and at least 128 tokens. Assumed: a job whose whole output is due at one time has that for its TTFT.

    Departures: iterations are predicted by the view's times, where QoServe has a model of its own; relegation asks how
    long the prompt takes alone, the code how long at the mean rate of prompts so far. The code has a grid of chunks,
    halves it where fewer than 32,000 tokens are free, and cannot run out of blocks. A request that the pool can never
    hold with a KV cache is rejected.
    """

    alpha_s_per_token: float = 0.008
    max_chunk: int = 2500
    fixed_chunk: int = 256
    chunking: bool = True
    relegation: bool = True
    hybrid: bool = True
    watermark: float = 0.01

    def __post_init__(self) -> None:
        checks.seconds("alpha_s_per_token", self.alpha_s_per_token)
        for name in ("max_chunk", "fixed_chunk"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: {getattr(self, name)} is not accepted; at least 1 is")
        check_watermark(self.watermark)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        of = sorted_rows(view)
        if not len(of.begun) and not len(of.waiting):
            return beside_decodes(view, of, of.decodes, of.begun, 0)
        prompts = np.concatenate([of.begun, of.waiting])
        latest_s = latest_start_s(view, prompts) if self.relegation else np.full(len(prompts), np.inf)
        late = latest_s < view.now_s
        until_s = latest_s[~late].min(initial=np.inf).item()
        prompts = prompts[np.lexsort((self._key_s(view, prompts), late & ~view.running[prompts]))]
        waits = ~view.running[prompts]
        count = num_admitted(view, of, prompts[waits], self.watermark)
        prompts = prompts[~waits | (waits.cumsum() <= count)]
        return beside_decodes(view, of, of.decodes, prompts, self.chunk(view, of.decodes), until_s)

    def chunk(self, view: View, decodes: Ints) -> int:
        """Tokens of prompts that are fed beside the decodes."""
        most = (self.max_chunk if self.chunking else self.fixed_chunk) - len(decodes)
        if not self.chunking or not len(decodes):
            return max(0, most)
        slack_s = max(0.0, due_s(view, decodes).min().item() - view.now_s)
        context = sum_of(view.num_cached[decodes])
        within = view.times.prompt_tokens_within(slack_s / MARGIN, context, num_decodes=len(decodes))
        return max(0, LEAST_CHUNK - len(decodes), int(min(within, most)))

    def _key_s(self, view: View, rows: Ints) -> Floats:
        """By what prompts are ordered, [r], the least first."""
        alpha_s = self.alpha_s_per_token if self.hybrid else 0.0
        return due_s(view, rows) + alpha_s * view.num_remaining[rows]
