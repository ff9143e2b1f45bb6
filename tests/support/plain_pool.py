"""A block pool that is plain and slow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View


@dataclass
class Held:
    """What the plain pool knows of a request."""

    num_cached: int = 0
    form: int = 0
    num_held: int = 0
    num_swapped: int = 0


class PlainPool:
    """The rules of `Plan`, one request at a time."""

    def __init__(self, num_blocks: int, cache: CacheShape, num_host_blocks: int) -> None:
        self.free, self.free_host, self.cache, self.held = num_blocks, num_host_blocks, cache, dict[int, Held]()

    def blocks(self, num_tokens: int, form: int) -> int:
        """Blocks of so many tokens, counted up one token at a time."""
        ratio = Fraction(1) if form == CacheForm.KV else self.cache.ratios[CacheForm(form)]
        per_block = int(self.cache.block_size / ratio)
        blocks = 0
        while blocks * per_block < num_tokens:
            blocks += 1
        return blocks

    def drop(self, request_id: int) -> None:
        self.free += self.held[request_id].num_held
        self.free_host += self.held[request_id].num_swapped
        self.held[request_id] = Held()

    def swap_out(self, request_id: int) -> bool:
        held = self.held[request_id]
        if held.num_held > self.free_host:
            return False
        self.free, self.free_host = self.free + held.num_held, self.free_host - held.num_held
        self.held[request_id] = replace(held, num_held=0, num_swapped=held.num_held)
        return True

    def swap_in(self, request_id: int) -> bool:
        held = self.held[request_id]
        if held.num_swapped > self.free:
            return False
        self.free, self.free_host = self.free - held.num_swapped, self.free_host + held.num_swapped
        self.held[request_id] = replace(held, num_held=held.num_swapped, num_swapped=0)
        return True

    def take(self, request_id: int, num_cached: int, form: int) -> bool:
        held = self.held[request_id]
        num_held = self.blocks(num_cached, form)
        if held.num_swapped or num_held - held.num_held > self.free:
            return False
        self.free -= num_held - held.num_held
        self.held[request_id] = Held(num_cached, form, num_held)
        return True

    def shrinks(self, request_id: int, form: int) -> bool:
        held = self.held[request_id]
        return self.blocks(held.num_cached, form) < held.num_held

    def convert(self, request_id: int, form: int) -> bool:
        return self.take(request_id, self.held[request_id].num_cached, form)

    def apply(self, plan: Plan, view: View) -> tuple[list[int], ...]:
        """Requests swapped out, swapped in, converted, and in the batch."""
        ids = view.request_id
        for row in [*plan.reject, *plan.preempt]:
            self.drop(ids[row])
        out = [ids[row] for row in plan.swap_out if self.swap_out(ids[row])]
        back = [ids[row] for row in plan.swap_in if self.swap_in(ids[row])]
        forms = list(zip(ids[plan.convert].tolist(), plan.convert_to.tolist(), strict=True))
        shrinking = [self.shrinks(number, form) for number, form in forms]
        converted = [
            number
            for first in (True, False)
            for (number, form), shrinks in zip(forms, shrinking, strict=True)
            if shrinks == first and self.convert(number, form)
        ]
        served = []
        for row, num_tokens, form in zip(plan.request, plan.num_tokens, plan.form, strict=True):
            held = self.held[ids[row]]
            if self.take(ids[row], held.num_cached + num_tokens, held.form or form):
                served.append(ids[row])
        return out, back, converted, served
