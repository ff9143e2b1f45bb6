"""What serving a request now is worth: by the chance to miss a deadline otherwise, and by what moving it takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.outlook import Outlook
from aptsched.scheduling.view import View
from aptsched.support.checks import Floats

REACTION_S = 0.15  # after which a request that comes first is served, on the mean
MARGIN_S = 0.6  # of slack with which a request comes back from the host
SHORTEST = 0.01  # of the longest pause: no pause counts as shorter
IDLE = 0.5  # of a move: what it is worth to bring a request back early, where nobody needs the blocks


@dataclass(frozen=True)
class ServiceValue:
    """Seconds of the machine that it is worth to have a request in the pool in the next iteration.

    A request that is not served now is served when it comes first, after a time that is exponential with the mean
    `REACTION_S`. So it loses its objectives with the chance exp(-slack / `REACTION_S`), and serving it now is worth
    that chance times what a request is worth; of one without slack it is worth more the longer it waits. To let a
    request that runs go, it is moved to the host and back, for a pause of at most its slack: what is worth sparing is
    the time of the moves for each `pause_s` of its memory. It is worth twice as much where it would end in that time,
    as its blocks are then free without any move.

    Attributes
    ----------
    pause_s : float
        The longest that a request which has begun waits for its next token.
    """

    pause_s: float

    def seconds(self, view: View, of: Outlook, slack_s: Floats, ends: Floats, worth_s: float) -> Floats:
        """The value of each request, [n], above 0.

        Parameters
        ----------
        slack_s : float array, [n]
            By when each has to be served at the latest, from now.
        ends : float array, [n]
            The chance that it ends within a pause if it is served.
        worth_s : float
            What a request is worth.
        """
        slack_s = np.where(of.waiting, slack_s, np.minimum(slack_s, self.pause_s - view.now_s + view.pending_since_s))
        ahead_s = np.maximum(slack_s, 0.0)
        urgency = np.where(slack_s > 0, np.exp(-ahead_s / REACTION_S), 1.0 - slack_s / self.pause_s)
        move_s = self._move_s(view)
        pause = np.clip((ahead_s - MARGIN_S) / self.pause_s, SHORTEST, 1.0)
        kept_s = 2.0 * move_s * (1.0 + ends) / pause
        early_s = IDLE * move_s / (1.0 + ahead_s / self.pause_s)
        value_s: Floats = urgency * worth_s + np.where(of.running, kept_s, early_s)
        return value_s

    def _move_s(self, view: View) -> Floats:
        """Seconds to move each request to the host, or back; where there is no host, half of a prefill; above 0."""
        times, blocks = view.times, np.maximum(view.num_held + view.num_swapped, 1)
        if view.num_host_blocks and times.swap_s_per_block:
            move_s: Floats = times.swap_s_per_block * blocks
        else:
            move_s = 0.5 * np.maximum(times.per_token_s * view.num_tokens, 1e-6 * blocks)
        return move_s
