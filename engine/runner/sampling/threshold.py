"""The least logit that top_k and top_p leave, found digit by digit: a fixed number of passes, whatever the logits are.

Floats of one sign are in the order of their bits, so a logit is a whole number of three digits of `BITS` bits. For each
digit the entries that share those before it are counted, and their shares are added up, by its value; the least value
is taken at which what is above it still leaves room. That is a radix select, with sums beside the counts.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

BITS = 11  # of a digit
VALUES = 1 << BITS


def by_threshold(logits: torch.Tensor, shares: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """As `likeliest.likeliest`; nothing here depends on the content of a tensor but other tensors' content."""
    keys, most, share = ordered(logits), top_k[:, None], top_p[:, None]
    num_bits = 8 * keys.element_size()
    equal = torch.ones_like(keys, dtype=torch.bool)  # all whose digits so far are those of the least
    count = torch.zeros_like(most)  # of those above
    mass = torch.zeros_like(share)
    for shift in range(num_bits - BITS, -BITS, -BITS):
        bits = BITS + min(shift, 0)  # the last digit may be shorter
        digit = (keys >> max(shift, 0)).bitwise_and_((1 << bits) - 1).long()
        value = torch.where(equal, digit, VALUES)
        counts = _sums(value, torch.ones_like(value))
        above, above_mass = _above(counts), _above(_sums(value, shares.double()))
        fits = (counts > 0) & (count + above < most) & (mass + above_mass < share)
        chosen = fits.byte().argmax(-1, keepdim=True)
        count, mass = count + above.gather(1, chosen), mass + above_mass.gather(1, chosen)
        equal &= digit == chosen
    least = logits.masked_fill(~equal, -torch.inf).amax(-1, keepdim=True)
    each = shares.masked_fill(~equal, 0).amax(-1, keepdim=True).double()
    num_left = torch.minimum(most - count, _num_below(share, mass, each, logits.shape[1]))
    return (logits > least) | equal & (equal.cumsum(-1, dtype=torch.int32) <= num_left.clamp_min(1))


def ordered(logits: torch.Tensor) -> torch.Tensor:
    """Whole numbers whose bits, from the highest, are in the order of the logits; equal logits have equal ones."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32)) + 0.0  # -0 becomes 0
    bits = exact.view(torch.int32 if exact.element_size() == 4 else torch.int64)
    highest = torch.iinfo(bits.dtype).min
    return torch.where(bits < 0, ~bits, bits ^ highest)


def _sums(value: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    """Sums of amounts, [b, n], by value, [b, VALUES]; those of the value `VALUES` are left out."""
    found = amounts.new_zeros(len(value), VALUES + 1)
    return found.scatter_add_(1, value, amounts)[:, :VALUES]


def _above(sums: torch.Tensor) -> torch.Tensor:
    """For each value the sum of all above it, [b, VALUES]."""
    return F.pad(sums[:, 1:].flip(-1).cumsum(-1).flip(-1), (0, 1))


def _num_below(share: torch.Tensor, mass: torch.Tensor, each: torch.Tensor, most: int) -> torch.Tensor:
    """How many equal entries begin below a share, where those above have a mass, and each as much, [b, 1]."""
    count = ((share - mass) / each).ceil().clamp_(0, most)  # off by one at most, by rounding
    count = torch.where(mass + (count - 1) * each >= share, count - 1, count)
    return torch.where(mass + count * each < share, count + 1, count).long()
