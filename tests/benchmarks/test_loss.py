"""How far distributions of next tokens are apart, on numbers that can be checked by hand."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmarks.loss import difference, summary


def test_a_distribution_against_another_one() -> None:
    """0.6 ln(0.6 / 0.3) + 0.4 ln(0.4 / 0.7) nats, and another token is likeliest; against itself nothing differs."""
    one, other = torch.tensor([[0.6, 0.4]]).log(), torch.tensor([[0.3, 0.7]]).log()
    found = difference(torch.cat([one, one]), torch.cat([other, one + 5]))
    assert found.agrees.tolist() == [False, True]
    assert np.allclose(found.divergence, [0.6 * math.log(2) + 0.4 * math.log(4 / 7), 0], atol=1e-6)


def test_a_summary_is_of_all_texts_together() -> None:
    """Each token counts once, whichever text it is of."""
    same, less = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    texts = [difference(same.expand(3, 2), same.expand(3, 2)), difference(same, less)]
    found = summary(texts)
    assert (found["tokens"], found["same_token_likeliest"]) == (4, "75.00%")
    assert math.isclose(found["mean_KL"], found["largest_KL"] / 4)
