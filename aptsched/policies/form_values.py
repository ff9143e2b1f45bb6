"""The values and weights of the forms that requests may be given, as a batch-composition problem has them."""

from __future__ import annotations

from dataclasses import dataclass, field

from aptsched.policies.composition import forms_table
from aptsched.policies.form_charges import charged_for_life, charged_once, worthwhile
from aptsched.policies.form_choice import (
    KV_ALONE,
    in_kv_alone,
    lighter_than_kv,
    on_offer,
    running_forms,
    waiting_forms,
)
from aptsched.policies.output_lengths import OutputLengths
from aptsched.scheduling.forms import KV
from aptsched.scheduling.view import View
from aptsched.support.checks import Bools, Floats, Ints


@dataclass(frozen=True)
class FormValues:
    """Charges the values of requests for the forms of a set.

    Attributes
    ----------
    forms, charge : str
        As of `AptServe`: a set of `FORM_SETS`, and one of `CHARGES`.
    promote : bool
        Whether running requests may become KV.
    lengths : OutputLengths
        The lengths seen so far, of which charges for life are made.
    """

    forms: str
    charge: str
    promote: bool
    lengths: OutputLengths = field(default_factory=OutputLengths)

    def offered(self, view: View) -> tuple[int, ...]:
        """The forms that requests may be given, the lightest last; with charges for life only those worth offering."""
        offer = on_offer(view.cache, self.forms)
        return offer if self.charge == "paper" else worthwhile(offer, view)

    def of_waiting(self, view: View, rows: Ints, value_s: Floats, blocks: Ints) -> tuple[Floats, Ints]:
        """Values and weights, [r, f], of requests that wait; `blocks`, [r], are those of their lightest forms."""
        offer = self.offered(view)
        if offer == KV_ALONE:
            return value_s[:, None], blocks[:, None]
        return self._charged(view, rows, value_s, *waiting_forms(view, view.num_tokens[rows], offer))

    def of_running(
        self, view: View, rows: Ints, value_s: Floats, blocks: Ints, spare: int, all_run: bool
    ) -> tuple[Floats, Ints]:
        """Values and weights, [r, f], of running requests; `blocks`, [r], are those of their own forms.

        They keep their form, may become KV within `spare` blocks, or, if not all run on, shrink. A promotion that is
        charged for life is one for life: it is made only where all run on, so that nobody is preempted for it.
        """
        own = view.form[rows]
        most_more = {} if all_run else dict.fromkeys(lighter_than_kv(view.cache, self.forms), -1)
        if not most_more and in_kv_alone(own):
            return value_s[:, None], blocks[:, None]
        if self.promote and KV in self.offered(view) and (all_run or self.charge == "paper"):
            most_more[KV] = spare
        return self._charged(view, rows, value_s, *running_forms(view, rows, own, blocks, most_more))

    def _charged(self, view: View, rows: Ints, value_s: Floats, blocks: Ints, offered: Bools) -> tuple[Floats, Ints]:
        if self.charge == "paper":
            charges_s = charged_once(view, value_s, blocks, offered)
        else:
            charges_s = charged_for_life(view, view.form[rows], self.lengths.expected_left(view), blocks, offered)
        return forms_table(value_s, charges_s, blocks, offered)
