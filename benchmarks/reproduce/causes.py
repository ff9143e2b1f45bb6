"""What a difference may come from: one condition changed at a time, and which change closes most of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from benchmarks.reproduce.figures import closes_half
from benchmarks.reproduce.trial import Conditions

CAUSES: Mapping[str, Callable[[Conditions], Conditions]] = {
    "half as long": lambda given: replace(given, output_scale=given.output_scale / 2),
    "lengths as drawn": lambda given: replace(given, output_scale=1.0),
    "short prompts": lambda given: replace(given, max_prompt_tokens=1024),
    "our policy": lambda given: replace(given, printed=False),
    "TTFT 4 s": lambda given: replace(given, ttft_s=4.0),
    "absorbed": lambda given: replace(given, hidden_attention="absorbed"),
    "free": lambda given: replace(given, executed_rho_s_per_block=0.0),
    "roofline": lambda given: replace(given, cost="roofline"),
    "rho 1.03 ms": lambda given: replace(given, rho_s_per_block=1.03e-3),
    "500 requests": lambda given: replace(given, num_requests=given.num_requests // 2),
    "TTFT 0.5 s": lambda given: replace(given, ttft_s=0.5),
    "TBT 4 s": lambda given: replace(given, tpot_s=4.0),
    "TBT 0.2 s": lambda given: replace(given, tpot_s=0.2),
    "twice the rate": lambda given: replace(given, rate_times=2.0),
}
MEANT: Mapping[str, str] = {
    "half as long": "outputs of half the scaled lengths",
    "lengths as drawn": "outputs of the sets as they are, not scaled",
    "short prompts": "without prompts of more than 1,024 tokens, as vLLM's benchmark draws from ShareGPT",
    "our policy": "`aptserve`, hidden states rebuilt, in place of `aptserve:as=paper`",
    "TTFT 4 s": "objectives: a TTFT of 4 s in place of 1 s",
    "absorbed": "hidden states are read without being rebuilt; the policy believes that they are rebuilt",
    "free": "rebuilding takes no time, and the policy knows it: hidden states cost nothing",
    "roofline": "prefills and decodes as fast as first principles say, in place of fits",
    "rho 1.03 ms": "the policy believes that a block takes 1.03 ms to rebuild, as the authors' prototype calibrates",
    "500 requests": "500 requests in place of 1,000, as the released client draws",
    "TTFT 0.5 s": "objectives: a TTFT of 0.5 s in place of 1 s",
    "TBT 4 s": "objectives: a P99 of the gaps of 4 s in place of 1 s",
    "TBT 0.2 s": "objectives: a P99 of the gaps of 0.2 s in place of 1 s",
    "twice the rate": "twice the rate that stands for one that is not at hand (figures 9, 10); else no change",
}


@dataclass(frozen=True)
class Rerun:
    """Our figure with one condition changed, beside that without, of the same trials otherwise.

    Attributes
    ----------
    cause : str
    before, after : float
    published : float
    """

    cause: str
    before: float
    after: float
    published: float

    @property
    def closes_half(self) -> bool:
        """Whether it closes at least half of the gap."""
        return closes_half(self.before, self.after, self.published)

    @property
    def left(self) -> float:
        """What is left of the gap, as a part of it; infinite where there was none."""
        gap = abs(self.before - self.published)
        return abs(self.after - self.published) / gap if gap else float("inf")


def explained_by(reruns: list[Rerun]) -> Rerun | None:
    """The rerun that leaves least of the gap, if it closes at least half of it; None if none does."""
    closing = [each for each in reruns if each.closes_half]
    return min(closing, key=lambda each: each.left, default=None)
