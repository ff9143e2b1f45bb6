"""Ctrl-C and SIGTERM come where they are let through, once each, whoever is in between."""

from __future__ import annotations

import contextlib
import signal

import pytest

from aptsched.support import interrupts

pytestmark = pytest.mark.usefixtures("as_in_a_terminal")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_comes_where_it_is_let_through(number: int) -> None:
    """Not before, and only once; it is told from what somebody raises by himself."""
    with interrupts.terminable(), interrupts.held() as hold:
        signal.raise_signal(number)
        with pytest.raises(interrupts.Interrupted), hold:
            raise AssertionError("it has come")
        with hold:
            pass
    assert interrupts.exit_code() == (143 if number == signal.SIGTERM else 130)


def test_it_comes_at_the_end_if_it_was_never_let_through() -> None:
    """And the handlers are those of before."""
    with pytest.raises(interrupts.Interrupted), interrupts.held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_hold_within_a_hold_is_the_same() -> None:
    """The inner one raises nothing at its end."""
    with contextlib.suppress(interrupts.Interrupted), interrupts.held() as outer:
        with interrupts.held() as inner:
            signal.raise_signal(signal.SIGINT)
        assert inner is outer
        with pytest.raises(interrupts.Interrupted), outer:
            raise AssertionError("it has come")


@pytest.mark.parametrize("other", [None, ValueError])
def test_what_is_dropped_within_comes_again(other: type[Exception] | None) -> None:
    """Caught, or made into something else."""
    with interrupts.held() as hold:
        with contextlib.suppress(ValueError), hold:
            try:
                signal.raise_signal(signal.SIGINT)
            except BaseException:
                if other is not None:
                    raise other from None
        with pytest.raises(interrupts.Interrupted), hold:
            raise AssertionError("it has come again")


def test_sigterm_is_as_before_afterwards() -> None:
    """Where it was ignored it stays so."""
    with interrupts.terminable():
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interrupts.terminable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
