"""Published and measured fits: seconds of prefill and decode, linear in the amounts of work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
        Decode from `LARGE_BATCH` requests on.

    Notes
    -----
    The fits are of iterations that do either prefill or decode. For a mixed iteration, in which all tokens go through
    the same matrices, we take the prefill's time with one token more for each decode, plus the reading of the context;
    and at least the time of the decodes alone. A chunk reads the context before it at the decode's price.
    """

    prefill: Line
    decode: Line
    large: Line | None = None

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        decode_s = self._decode_s(work)
        tokens = work.prefill_tokens + work.decode_seqs
        prefill_s = (
            self.prefill.fixed_s
            + self.prefill.first_s * tokens
            + self.prefill.second_s * work.prefill_squares
            + self.decode.first_s * work.context_tokens
        )
        return choose(work.prefill_tokens > 0, larger(prefill_s, decode_s), decode_s)

    def _decode_s(self, work: Work) -> Amount:
        found = _decode(self.decode, work)
        if self.large is not None:
            found = choose(work.decode_seqs >= LARGE_BATCH, _decode(self.large, work), found)
        return choose(work.decode_seqs > 0, found, 0.0)


def _decode(line: Line, work: Work) -> Amount:
    return line.fixed_s + line.first_s * work.context_tokens + line.second_s * work.decode_seqs


def _ms(fixed: float, first: float, second: float) -> Line:
    return Line(fixed / 1e3, first / 1e3, second / 1e3)


MEASURED_ON = "a100-80gb"  # by Zhong et al., DistServe (OSDI 2024): the fits published with its simulator
# (model, GPUs)
DISTSERVE: Mapping[tuple[str, int], FittedCost] = MappingProxyType(
    {
        ("opt-13b", 1): FittedCost(
            _ms(18.10, 0.10191, 7.12e-6), _ms(19.93, 0.000627, 0.0385), _ms(7.17, 0.000580, 0.1583)
        ),
        ("opt-13b", 2): FittedCost(
            _ms(14.74, 0.06858, 2.45e-6), _ms(13.29, 0.000341, 0.0630), _ms(10.64, 0.000312, 0.0856)
        ),
        ("opt-66b", 2): FittedCost(
            _ms(43.06, 0.27423, 2.25e-5), _ms(48.29, 0.000942, 0.1276), _ms(28.73, 0.000474, 0.2962)
        ),
        ("opt-66b", 4): FittedCost(
            _ms(29.44, 0.15135, 8.32e-6), _ms(30.76, 0.000452, 0.0633), _ms(27.47, 0.000405, 0.1248)
        ),
    }
)
