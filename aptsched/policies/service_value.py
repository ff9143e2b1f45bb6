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
LEAST_AWAY_S = 1e-6  # that a pause takes of the machine
IDLE = 0.25  # of what a pause takes: what it is worth to bring a request back early, where nobody needs the blocks


@dataclass(frozen=True)
class ServiceValue:
    """Seconds of the machine that it is worth to have a request in the pool in the next iteration.

    A request that is not served now is served when it comes first, after a time that is exponential with the mean
    `REACTION_S`. So it loses its objectives with the chance exp(-slack / `REACTION_S`), and serving it now is worth
    that chance times what a request is worth; of one without slack it is worth more the longer it waits. To let a
    request that runs go, it is moved to the host and back, or computed anew, whichever takes the machine less, for a
    pause of at most its slack: what is worth sparing is that time for each `pause_s` of its memory. It is worth twice
    as much where it would end in the pause, as its blocks are then free without any.

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
        slack_s = np.where(of.new, slack_s, np.minimum(slack_s, self.pause_s - view.now_s + view.pending_since_s))
        ahead_s = np.maximum(slack_s, 0.0)
        urgency = np.where(slack_s > 0, np.exp(-ahead_s / REACTION_S), 1.0 - slack_s / self.pause_s)
        away_s = np.maximum(np.minimum(of.swap_s, of.recompute_s), LEAST_AWAY_S)
        pause = np.clip((ahead_s - MARGIN_S) / self.pause_s, SHORTEST, 1.0)
        kept_s = away_s * (1.0 + ends) / pause
        early_s = IDLE * away_s / (1.0 + ahead_s / self.pause_s)
        value_s: Floats = urgency * worth_s + np.where(of.running, kept_s, early_s)
        return value_s
