"""Published and measured fits: seconds of prefill and decode, linear in the amounts of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from aptsched.support import checks
from engine.simulator.work import Amount, Work, choose, larger

LARGE_BATCH = 95  # from so many requests on DistServe's second line for decodes holds


@dataclass(frozen=True)
class Line:
    """Three coefficients of a linear fit, in seconds, none below 0."""

    fixed_s: float
    first_s: float
    second_s: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.seconds(name, value)


@dataclass(frozen=True)
class FittedCost:
    """Prefill = fixed + first * tokens + second * sum(tokens^2); decode = fixed + first * context + second * requests.

    Parameters
    ----------
    prefill, decode : Line
    large : Line, optional
        Decode from `LARGE_BATCH` requests on, where it takes longer than by the other line: alone it would make a
        decode of 95 requests faster than one of 94.
    weights_s : float
        The least that a pass with any tokens takes: reading the weights.

    Notes
    -----
    The fits are of iterations that do either prefill or decode. A mixed iteration is one pass. It reads the weights and
    the cache once, as a decode does, and takes the longer of that and of multiplying all tokens, at the prefill's
    slope, beside reading the cache. Then comes the prefill's attention; and all take at least what the prefill takes
    alone. So matrices were measured: on A100, those of Llama-2-7B take 8.3 ms for 1 token, 11 for 128, 31 for 512 and
    122 for 2,048 (the profile published with Vidur), near the longer of both and not their sum.
    """

    prefill: Line
    decode: Line
    large: Line | None = None
    weights_s: float = 0.0

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        cache_s = self.decode.first_s * work.context_tokens
        decode_s = choose(work.decode_seqs > 0, self._decode_s(work), 0.0)
        if isinstance(work.prefill_tokens, int) and not work.prefill_tokens:
            return decode_s
        read_s = larger(decode_s, self.weights_s + cache_s)
        multiplied_s = self.prefill.first_s * (work.prefill_tokens + work.decode_seqs) + cache_s
        squares_s = self.prefill.second_s * work.prefill_squares
        alone_s = self.prefill.fixed_s + self.prefill.first_s * work.prefill_tokens + squares_s
        mixed_s = larger(alone_s, larger(read_s, multiplied_s) + squares_s)
        return choose(work.prefill_tokens > 0, mixed_s, decode_s)

    def slower_memory(self, factor: float) -> FittedCost:
        """The fits on a GPU whose memory takes `factor` times as long: a decode's reads of weights and cache do."""
        decode = replace(self.decode, fixed_s=factor * self.decode.fixed_s, first_s=factor * self.decode.first_s)
        large = self.large and replace(self.large, first_s=factor * self.large.first_s)
        return replace(self, decode=decode, large=large, weights_s=factor * self.weights_s)

    def _decode_s(self, work: Work) -> Amount:
        found = _decode(self.decode, work)
        if self.large is None:
            return found
        return choose(work.decode_seqs >= LARGE_BATCH, larger(found, _decode(self.large, work)), found)


def _decode(line: Line, work: Work) -> Amount:
    return line.fixed_s + line.first_s * work.context_tokens + line.second_s * work.decode_seqs


def _ms(fixed: float, first: float, second: float) -> Line:
    return Line(fixed / 1e3, first / 1e3, second / 1e3)


def _published(prefill: Line, decode: Line, large: Line) -> FittedCost:
    """Fits as published, where a pass reads the weights in the fixed time of a decode."""
    return FittedCost(prefill, decode, large, weights_s=decode.fixed_s)


MEASURED_ON = "a100-80gb"  # by Zhong et al., DistServe (OSDI 2024): the fits published with its simulator
# (model, GPUs)
DISTSERVE: Mapping[tuple[str, int], FittedCost] = MappingProxyType(
    {
        ("opt-13b", 1): _published(
            _ms(18.10, 0.10191, 7.12e-6), _ms(19.93, 0.000627, 0.0385), _ms(7.17, 0.000580, 0.1583)
        ),
        ("opt-13b", 2): _published(
            _ms(14.74, 0.06858, 2.45e-6), _ms(13.29, 0.000341, 0.0630), _ms(10.64, 0.000312, 0.0856)
        ),
        ("opt-66b", 2): _published(
            _ms(43.06, 0.27423, 2.25e-5), _ms(48.29, 0.000942, 0.1276), _ms(28.73, 0.000474, 0.2962)
        ),
        ("opt-66b", 4): _published(
            _ms(29.44, 0.15135, 8.32e-6), _ms(30.76, 0.000452, 0.0633), _ms(27.47, 0.000405, 0.1248)
        ),
    }
)
