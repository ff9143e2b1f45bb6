"""What new tokens attend to by the plain path: whole prefills alone, chunks alone, decodes in groups of like length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.device.upload import Put
from engine.runner.forms.form_blocks import AttendCached, FormBlocks

GROUP_BYTES = 16 * 2**20  # most bytes that a group of requests reads in a layer
PADDING_BYTES = 2**19  # most bytes of padding that a group may read: about the cost of one more group


@dataclass(frozen=True, eq=False)
class Prefill:
    """Tokens of one request from its first one on, which attend only to each other.

    Attributes
    ----------
    tokens : slice
        Their place among the iteration's tokens.
    as_read : function
        `FormBlocks.as_read` of the request's form.
    """

    tokens: slice
    as_read: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Group:
    """Requests in one form whose new tokens attend to all cached tokens of their request.

    Attributes
    ----------
    tokens : slice
        Place of the new tokens among the iteration's, request by request.
    attend : function
        From a layer and Q of the new tokens to what attention to the cached tokens gives.
    """

    tokens: slice
    attend: AttendCached


@dataclass(frozen=True, eq=False)
class Entries:
    """Entries of an iteration in the order of their tokens.

    Attributes
    ----------
    start, count, form : int array, [b]
        Tokens cached before, new tokens, and form.
    table : int array, [b, most blocks of any]
    """

    start: Ints
    count: Ints
    form: Ints
    table: Ints

    def tokens(self, first: int, end: int) -> slice:
        """The place of the tokens of some entries."""
        ends = self.count.cumsum()
        return slice(int(ends[first] - self.count[first]), int(ends[end - 1]))


def prefill(entries: Entries, forms: Mapping[int, FormBlocks], entry: int) -> Prefill:
    """A whole prefill."""
    return Prefill(entries.tokens(entry, entry + 1), forms[entries.form[entry]].as_read)


def group(entries: Entries, forms: Mapping[int, FormBlocks], put: Put, first: int, end: int) -> Group:
    """One group of the entries from `first` to `end`, in one form and with the same number of new tokens."""
    form, stop = forms[entries.form[first]], (entries.start + entries.count)[first:end]
    until = entries.start[first:end, None] + np.arange(int(entries.count[first]))  # the position of each new token
    visible = np.arange(form.length(int(stop.max()))) <= until[:, None, :, None]
    attend = form.attender(entries.table[first:end], stop, put(visible))
    return Group(entries.tokens(first, end), attend)


def decodes(entries: Entries, forms: Mapping[int, FormBlocks], first: int, end: int) -> list[tuple[int, int]]:
    """Where groups of decodes begin and end: each has one form, little padding, and a bounded size."""
    lengths, of = (entries.start + entries.count).tolist(), entries.form.tolist()
    cuts, padding = [first], 0
    for i in range(first, end):
        head, form = cuts[-1], forms[of[cuts[-1]]]
        padding += (lengths[head] - lengths[i]) * form.token_bytes
        too_much = (i + 1 - head) * form.length(lengths[head]) * form.token_bytes > GROUP_BYTES
        if i > head and (of[i] != of[head] or padding > PADDING_BYTES or too_much):
            cuts.append(i)
            padding = 0
    return list(pairwise([*cuts, end])) if first < end else []
