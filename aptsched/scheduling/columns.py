"""The one list of the columns known of unfinished requests, each a line with its name, type and meaning.

The class of a column says which object keeps it and which may read it. The request table, `View`, `RequestRecord` and
requests.csv are made from these classes, so a new column is one line here, and the code that fills it.
"""

# Without `from __future__ import annotations`: the types below are read.
from dataclasses import dataclass, fields
from typing import Annotated, Any, Generic, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Bools, Floats, Ints

Objects = npt.NDArray[np.object_]
Whole = TypeVar("Whole", int, Ints)  # a number in the record of one request, an array over many
Real = TypeVar("Real", float, Floats)

DTYPES: dict[Any, type[np.generic]] = {
    Objects: np.object_,
    Bools: np.bool_,
    Floats: np.float64,
    Real: np.float64,
    Ints: np.int64,
    Whole: np.int64,
}


@dataclass(frozen=True, eq=False)
class IdentityColumns(Generic[Whole, Real]):
    """Columns that identify a request: in the table, seen by policies, and recorded."""

    request_id: Annotated[Whole, "Its number, which no other unfinished request has."]
    arrived_at_s: Annotated[Real, "When it arrived, in seconds on the clock of the loop."]
    num_prompt_tokens: Annotated[Whole, "Tokens of its prompt."]


@dataclass(frozen=True, eq=False, kw_only=True)
class LabelColumns(Generic[Whole]):
    """What whoever sent a request says of it: in the table, seen by policies, and recorded."""

    tenant: Annotated[Whole, "Whose it is, as a number; the results of a study say the name."]
    priority: Annotated[Whole, "The lower, the more urgent; 0 unless it is said."]


@dataclass(frozen=True, eq=False, kw_only=True)
class CountColumns(Generic[Whole]):
    """Counts of events of a request: in the table, seen by policies, recorded when it ends, summed up over a run."""

    num_preemptions: Annotated[Whole, "How often its cache was thrown away, to be computed again later."]
    num_promotions: Annotated[Whole, "How often its cache was converted in place to another form."]
    num_swap_outs: Annotated[Whole, "How often its cache was copied to the host, to give its blocks to others."]
    num_recomputed_tokens: Annotated[Whole, "Tokens fed again after a preemption; counted when its cache goes."]


@dataclass(frozen=True, eq=False)
class ObservedColumns(IdentityColumns[Ints, Floats], LabelColumns[Ints], CountColumns[Ints]):
    """Columns of the table that policies see."""

    pending_since_s: Annotated[
        Floats, "Since when it waits for its next token: its newest token, or its arrival (Apt-Serve, section 4.2)."
    ]
    slo_ttft_s: Annotated[Floats, "Objective of its time to first token, in seconds."]
    slo_tpot_s: Annotated[Floats, "Objective of its time per output token after the first, in seconds."]
    objective_s: Annotated[Floats, "Objective of its next token, in seconds: TTFT for the first, then TPOT."]
    missed_slo: Annotated[Bools, "Whether a token so far came later than its objective."]
    num_tokens: Annotated[
        Ints, "Prompt and output so far: all of them are cached after the iteration that yields the next token."
    ]
    cap_tokens: Annotated[Ints, "Tokens of prompt and output that it cannot exceed, as far as a server knows."]


@dataclass(frozen=True, eq=False)
class PoolColumns:
    """Columns about a request's cache, which policies see; kept by the block pool."""

    num_cached: Annotated[Ints, "Tokens in the cache, or in its copy on the host; below num_tokens."]
    form: Annotated[Ints, "`CacheForm` of the tokens cached; 0 where none are."]
    num_held: Annotated[Ints, "Blocks held in the pool."]
    num_swapped: Annotated[Ints, "Blocks held on the host; who holds some is swapped out, and holds none in the pool."]


@dataclass(frozen=True, eq=False)
class InternalColumns:
    """Columns of the table that only the loop needs, and no policy sees."""

    request: Annotated[Objects, "The request itself."]
    stop_token_ids: Annotated[Objects, "Tokens that end it, a frozenset."]
    end_tokens: Annotated[Ints, "Tokens, of prompt and output, at which it is over."]
    slot: Annotated[Ints, "Its row in the block pool; 0 where nothing is cached."]
    most_lost_tokens: Annotated[Ints, "Most tokens that were ever cached when it was preempted."]


def dtypes(*groups: type) -> dict[str, type[np.generic]]:
    """The numpy type of each column of these classes, by name."""
    return {each.name: DTYPES[get_args(each.type)[0]] for group in groups for each in fields(group)}


def meanings(*groups: type) -> dict[str, str]:
    """The meaning of each column of these classes, by name."""
    return {each.name: get_args(each.type)[1] for group in groups for each in fields(group)}


LABELS = tuple(dtypes(LabelColumns))
COUNTS = tuple(dtypes(CountColumns))
