"""Smallest volume first: who takes least memory for least time is admitted first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.oracle import TrueLengths
from aptsched.policies.outputs_by_prompt import OutputsByPrompt
from aptsched.policies.reordered import decide_in_order
from aptsched.policies.vllm_v1 import VLLMv1
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.checks import Floats, Ints


def volume(num_prompt_tokens: Ints, output: Floats) -> Floats:
    """Tokens cached, summed over the iterations of a request's life, [n]: s o + (o^2 + o) / 2.

    Source: section 2.2 of the paper that `SVF` names.
    """
    tokens: Floats = num_prompt_tokens * output + (output**2 + output) / 2
    return tokens


@dataclass(eq=False)
class SVF:
    """Smallest volume first, as SVF: vLLM v1 on requests sorted by the memory that they take, summed over their lives.

    A request of s prompt tokens whose output is predicted to be o tokens has volume s o + (o^2 + o) / 2. Waiting
    requests are admitted by rising volume, and the first that is not admitted holds up those behind it; running ones
    go on. When blocks run out, those of the largest volumes are preempted, and recomputed.

    Parameters
    ----------
    one_bit : bool
        Whether outputs are only told apart as short and long: each has the mean of its kind.

    Notes
    -----
    Source: Kong, Qi, Ye and Zhou, Geometry-Aware Online Scheduling for LLM Serving (arXiv 2606.22327), section 2.2 for
    the order and 1-bit SVF, section 4 for the place in vLLM. Its theorem 3.2, latencies at most 1 + 2 / (1 - a) times
    the least in sum where all arrive at once and none peaks above a share a of memory, is of true lengths and of an
    admission that looks ahead so that nobody is preempted; vLLM's does not.

    Assumed: an output is predicted as the mean of those that finished with prompts of like size, where the paper trains
    BERT on the prompts' texts; long is what exceeds the median of all that were seen; who is preempted. Predictions are
    those of `OutputsByPrompt`. `svf:lengths=true` knows true lengths, as the paper's Oracle-SVF.
    The policy remembers lengths: make a new object for each run.
    """

    one_bit: bool = False

    def __post_init__(self) -> None:
        self._outputs = OutputsByPrompt()

    def on_record(self, record: RequestRecord) -> None:
        """Learns the output length of a request that has finished."""
        self._outputs.add(record)

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        output = self._outputs.mean(view.num_prompt_tokens, np.zeros_like(view.num_tokens))
        return by_volume(view, output, self._outputs.seen() if self.one_bit else None)


@dataclass(frozen=True)
class SVFTrueLengths:
    """SVF on true output lengths, as the paper's Oracle-SVF: no server knows them.

    Parameters
    ----------
    oracle : TrueLengths
        The true lengths; this field marks a policy that sees more than a server can know.
    one_bit : bool
        Whether outputs are only told apart as short and long: each has the mean of its kind.
    """

    oracle: TrueLengths
    one_bit: bool = False

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        output, all_of_them = self.oracle.of(view.request_id), self.oracle.num_output_tokens
        return by_volume(view, output.astype(np.float64), all_of_them.astype(np.float64) if self.one_bit else None)


def by_volume(view: View, output: Floats, seen: Floats | None) -> Plan:
    """The plan of vLLM v1 for requests by rising volume, if these are their outputs, [n].

    Where outputs `seen` are given, each is the mean of those of its kind, short or long.
    """
    if seen is not None and len(seen):
        is_long, longer = output > np.median(seen), seen > np.median(seen)
        long = seen[longer].mean() if longer.any() else seen[0]
        output = np.where(is_long, long, seen[~longer].mean())
    return decide_in_order(VLLMv1(), view, np.argsort(volume(view.num_prompt_tokens, output), kind="stable"))
