"""JSON-lines traces: Mooncake's, those of vLLM's timed_trace, and Alibaba's of Bailian."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from aptsched.workload import arrival_column, cells
from aptsched.workload.arrival_column import ArrivalColumn
from aptsched.workload.own_columns import OWN, TENANT
from aptsched.workload.rows import Rows, add_row
from aptsched.workload.trace import Trace

MOONCAKE_BLOCK_TOKENS = 512
TIMED_TRACE_BLOCK_TOKENS = 16
TIMESTAMP = "timestamp"
LENGTHS = ("input_length", "output_length")
HASHES = "hash_ids"  # only used to tell the unit of time: shared prefixes are not modelled
BAILIAN = frozenset(("chat_id", "parent_chat_id"))  # the fields that only Bailian's objects have
BAILIAN_FIELDS = ("chat_id", "parent_chat_id", "type", "turn")
MOST_UNUSED = 1000  # names kept at most, for each object of a file may have other names


@dataclass
class _Objects:
    """What the reader has noted about the objects, beside their rows.

    Attributes
    ----------
    arrivals : ArrivalColumn or None
        The field of the arrivals, where it is not a number called `timestamp`.
    num_hashes : array of int
        Hash ids of each request.
    has_decimals : bool
        Whether a timestamp is written as 1.0.
    is_bailian : bool
        Whether the objects are Bailian's, which count seconds.
    unused : set of str
        Fields that are not known.
    """

    arrivals: ArrivalColumn | None
    num_hashes: array[int] = field(default_factory=lambda: array("q"))
    has_decimals: bool = False
    is_bailian: bool = False
    unused: set[str] = field(default_factory=set)

    @property
    def time(self) -> str:
        """The field that has the arrivals."""
        return TIMESTAMP if self.arrivals is None else self.arrivals.name

    def parse_time(self, value: object) -> float:
        """Parse a value of the field of arrivals to a number of units, or raise `cells.Refused`."""
        if self.arrivals is None:
            return cells.seconds(_number(value))
        return self.arrivals.parse(value if self.arrivals.has_dates else _number(value))

    def add(self, request: dict[str, object]) -> None:
        """Note a further object."""
        hashes = request.get(HASHES)
        self.num_hashes.append(len(hashes) if isinstance(hashes, list) else 0)
        self.has_decimals |= isinstance(request[self.time], float)
        of_bailian = BAILIAN <= request.keys()
        self.is_bailian |= of_bailian
        known = {self.time, *LENGTHS, HASHES, *OWN, *(BAILIAN_FIELDS if of_bailian else ())}
        unused = request.keys() - self.unused - known
        if unused and len(self.unused) < MOST_UNUSED:
            self.unused.update(unused)

    def notices(self) -> Iterator[str]:
        """Lines that say which field is taken for the arrivals, if not `timestamp`, and which are not used."""
        if self.arrivals is not None:
            yield self.arrivals.notice
        if self.unused:
            yield f"Fields of the trace that are not known, and not used: {cells.named_columns(sorted(self.unused))}."


def read_jsonl(path: str, lines: Iterator[tuple[int, str]], most: int | None) -> Trace:
    """The trace in numbered JSON lines, one object a request, and no more than `most` of them.

    The time is `timestamp`, or else the field that `arrival_column.find_arrivals` finds in the first object.
    Mooncake's traces and vLLM's timed_trace have the same fields (timestamp, input_length, output_length, hash_ids),
    but Mooncake counts milliseconds, also in fractions, and vLLM, unless told a multiplier, seconds. What tells them
    apart, in the rows that are read:

    1. the hash ids, one for each 512 tokens in Mooncake's traces, one for each 16 by vLLM's default: the size that
       explains the number of ids in more rows decides, if it explains most of the rows that have ids;
    2. otherwise timestamps written as 1.5 or 1.0 are taken as seconds and those written as 1 as milliseconds, and a
       notice says so.

    Bailian's have the same fields and chats (`chat_id`, `parent_chat_id`, `turn`), count seconds, and their `type`
    (text, search, image, file) is taken for the tenant. A chat's turns are requests of their own, as they arrived.
    """
    rows, seen = Rows(array("d"), most), None
    for line, text in lines:
        if not text.strip():
            continue
        request = _request(path, line, text)
        if seen is None:
            seen = _Objects(_arrivals(f"{path}, line {line}", request))
            rows.times = array("d" if seen.arrivals is None else seen.arrivals.typecode)
        own = {name: request[name] for name in OWN if name in request}
        called = {TENANT: "type"} if BAILIAN <= request.keys() and TENANT not in own else {}
        own |= {name: request.get(field) for name, field in called.items()}
        add_row(rows, path, line, *_values(path, line, request, seen), own, called)
        seen.add(request)
        if rows.are_enough:
            break
    assert seen is not None  # the reader has seen that the file is not empty
    if seen.arrivals is not None:
        return rows.trace(path, seen.arrivals.units_per_s, tuple(seen.notices()))
    if seen.is_bailian:
        return rows.trace(path, 1, tuple(seen.notices()))
    units_per_s, assumed = _unit(rows, np.asarray(seen.num_hashes), seen.has_decimals)
    return rows.trace(path, units_per_s, (*assumed, *seen.notices()))


def _request(path: str, line: int, text: str) -> dict[str, object]:
    where = f"{path}, line {line}: {shown(text.strip())}"
    try:
        request = DECODER.decode(text)
    except cells.Refused as refusal:
        raise InputError(f"{path}, line {line}, {refusal}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{where} is not JSON ({error.msg}); one object a line is accepted") from error
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply; one object a line is accepted") from error
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise InputError(f"{where} has a number of thousands of digits; whole numbers to 2**32 are accepted") from error
    if not isinstance(request, dict):
        raise InputError(f"{where} is not a JSON object; one object a line is accepted")
    return request


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of its fields; one that is given twice is refused."""
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise cells.Refused(f"column {cells.named_columns([twice])}: given twice in an object; once is accepted")
    return result


DECODER = json.JSONDecoder(object_pairs_hook=_once)


def _arrivals(where: str, request: dict[str, object]) -> ArrivalColumn | None:
    """The field of the arrivals, if that is not a number called `timestamp`; None if it is, or there is none."""
    if TIMESTAMP in request and not isinstance(request[TIMESTAMP], str):
        others = [name for name in request if name not in (*LENGTHS, HASHES, *OWN)]
        arrival_column.find_arrivals(where, others)  # raises where there are several
        return None
    return arrival_column.find_arrivals(where, list(request))


def _values(path: str, line: int, request: dict[str, object], seen: _Objects) -> tuple[float, int, int]:
    needed = (seen.time, *LENGTHS)
    for name in needed:
        if name not in request:
            raise InputError(
                f"{path}, line {line}, column {name}: missing in an object of {shown(', '.join(request))}; "
                f"{', '.join(needed)} are needed"
            )
    name, value = seen.time, request[seen.time]
    try:
        time = seen.parse_time(value)
        name, value = LENGTHS[0], request[LENGTHS[0]]
        prompt = cells.count(_number(value), 1)
        name, value = LENGTHS[1], request[LENGTHS[1]]
        return time, prompt, cells.count(_number(value), 0)
    except cells.Refused as refusal:
        raise cells.bad_row(path, line, name, value, str(refusal)) from None


def _number(value: object) -> object:
    return None if isinstance(value, str) else value  # a number in quotes is a sign of another format


def _unit(rows: Rows, num_hashes: Ints, has_decimals: bool) -> tuple[int, list[str]]:
    """Units a second, and notices of what was assumed where the file does not tell."""
    prompts = np.asarray(rows.prompts)
    in_seconds, in_milliseconds = (
        int((num_hashes == -(-prompts // size)).sum()) for size in (TIMED_TRACE_BLOCK_TOKENS, MOONCAKE_BLOCK_TOKENS)
    )
    if in_seconds != in_milliseconds and 2 * max(in_seconds, in_milliseconds) > np.count_nonzero(num_hashes):
        return (1 if in_seconds > in_milliseconds else 1000), []
    unit, written = ("seconds", "1.0") if has_decimals else ("milliseconds", "1")
    assumed = f"Whether timestamps are seconds or milliseconds is not certain: {unit} are assumed, as they are written"
    certain = "timestamp_s or timestamp_ms as the name of the field makes it certain"
    return (1 if has_decimals else 1000), [f"{assumed} as {written}; {certain}."]
