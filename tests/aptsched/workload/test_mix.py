"""Mixes of workloads: shares, parts as tenants, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from aptsched import InputError
from aptsched.workload import WORKLOADS, generate
from aptsched.workload.mix import read_mix


def test_each_request_is_of_the_part_that_is_its_tenant() -> None:
    """In about the shares that were asked for, with lengths within those of its part."""
    trace = generate("humaneval:0.7,longbench:0.3", 4000, np.random.default_rng(0))
    assert trace.own.tenants == ("humaneval", "longbench") and trace.own.tenant is not None
    assert np.bincount(trace.own.tenant) / 4000 == pytest.approx([0.7, 0.3], abs=0.03)
    for number, name in enumerate(trace.own.tenants):
        lengths, model = trace.prompt_tokens[trace.own.tenant == number], WORKLOADS[name].prompt
        assert model.shortest <= lengths.min() <= lengths.max() <= model.longest
        assert lengths.mean() == pytest.approx(model.mean, rel=0.05)


def test_equal_seeds_give_equal_mixes() -> None:
    """Parts, lengths and arrivals; another seed gives others."""
    first, again, other = (generate("sharegpt:0.5,azure-code:0.5", 50, np.random.default_rng(s)) for s in (1, 1, 2))
    for name in ("arrived_at_s", "prompt_tokens", "output_tokens"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))
    assert np.array_equal(first.own.tenant, again.own.tenant)  # type: ignore[arg-type]


def test_shares_are_taken_in_proportion_and_it_is_said() -> None:
    """7 and 3 are 0.7 and 0.3; of shares that come to 1 nothing is said."""
    made = read_mix("sharegpt:7, longbench:3", WORKLOADS)
    assert made.shares == (0.7, 0.3)
    assert made.notices == ("The shares of the mix come to 10, so they are taken as 0.7 sharegpt, 0.3 longbench.",)
    assert read_mix("sharegpt:0.1,longbench:0.2,humaneval:0.7", WORKLOADS).notices == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sharegpt,longbench", "part 'sharegpt' is not accepted; a name and a share above 0"),
        ("sharegpt:0,longbench:1", "part 'sharegpt:0' is not accepted"),
        ("sharegpt:nan", "part 'sharegpt:nan' is not accepted"),
        ("sharegpt:-1,longbench:2", "part 'sharegpt:-1' is not accepted"),
        ("sharegpt:0.5,sharegpt:0.5", "part 'sharegpt' is there twice"),
        ("chat:0.5,sharegpt:0.5", "part 'chat' is not known; sharegpt, humaneval"),
        ("sharegpt:0.5,", "part '' is not known"),
    ],
)
def test_what_is_no_mix_is_refused(text: str, message: str) -> None:
    """By the part that is wrong."""
    with pytest.raises(InputError, match=message):
        generate(text, 5, np.random.default_rng(0))
