"""Tells by their names which columns of a trace are times, and in which unit; what is not certain is not guessed."""

from __future__ import annotations

import re
import unicodedata
from enum import Enum

UNITS_PER_S = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milli", "millisecond", "milliseconds"), 10**3),
    **dict.fromkeys(("us", "usec", "usecs", "micros", "micro", "microsecond", "microseconds", "\u03bcs"), 10**6),
    **dict.fromkeys(("ns", "nsec", "nsecs", "nanos", "nano", "nanosecond", "nanoseconds"), 10**9),
}
CLOCK = {"time", "ts", "t", "date", "datetime", "epoch", "clock", "when", "stamp", "timestamp", "timestamps"}
ARRIVAL = {"arrival", "arrivals", "arrived", "arrive", "arrives"}
EVENTS = {  # events whose time is that of arrival, as a client or a queue logs it
    *(
        "created",
        "creation",
        "submitted",
        "submission",
        "received",
        "sent",
        "issued",
        "requested",
        "queued",
        "enqueued",
    ),
    *("start", "started", "begin", "began", "offset"),
}
GAPS = {"gap", "gaps", "interval", "intervals", "iat"}
FILLERS = {
    "request",
    "requests",
    "req",
    "query",
    "at",
    "of",
    "in",
    "the",
    "since",
    "from",
    "unix",
    "utc",
    "log",
    "event",
}
OF_OTHERS = {  # a name with one of these is a duration, or no time at all
    *("ttft", "tbt", "tpot", "itl", "slo", "sla", "latency", "latencies", "duration", "elapsed", "timeout", "timeouts"),
    *("deadline", "ttl", "lifetime", "runtime", "uptime", "response", "processing", "queue", "queueing", "queuing"),
    *("wait", "waiting", "service", "execution", "exec", "inference", "generation", "prefill", "decode", "decoding"),
    *("compute", "gpu", "cpu", "think", "thinking", "total", "budget", "limit", "spent", "taken", "cost", "to", "per"),
    *("token", "tokens", "zone", "timezone", "tz", "id", "ids", "index", "rate", "rps", "qps", "count", "number"),
    *("process", "pattern", "type", "kind", "by", "times"),
}


class Kind(Enum):
    """What the name of a column says of its values."""

    ARRIVAL = "the time of arrival"
    TIME = "a time, whose is not certain"
    OTHER = "no time"


def kind(name: str) -> Kind:
    """Whether a column of this name has the times of arrival, some other time, or no time.

    `timestamp`, `arrived_at`, `arrivalTimeMs` and `created_at` are times of arrival; `end_time`, `inter_arrival_s` and
    `request_time` (which servers log for how long a request took) some other time; `ttft_s` and `elapsed_time` none.
    """
    all_words = words(name)
    rest = [word for word in all_words if word not in UNITS_PER_S]
    if not rest:
        return Kind.TIME if all_words else Kind.OTHER
    if OF_OTHERS.intersection(rest):
        return Kind.OTHER
    if set(rest) <= CLOCK | ARRIVAL | EVENTS | FILLERS and _names_arrival(rest, len(all_words) > len(rest)):
        return Kind.ARRIVAL
    return Kind.TIME if rest[-1] == "at" or any(map(_is_like_a_time, rest)) else Kind.OTHER


def units_per_s(name: str) -> int | None:
    """The unit of time in a name: 1000 for `arrived_at_ms`; None where it has none, or several."""
    units = [UNITS_PER_S[word] for word in words(name) if word in UNITS_PER_S]
    return units[0] if len(units) == 1 else None


def words(name: str) -> list[str]:
    """The words of a name in lower case, whether written as arrived_at_s, "Arrived at (s)" or arrivedAtS."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name))
    return re.findall(r"[^\W\d_]+|\d+", parted.lower())


def _names_arrival(rest: list[str], has_unit: bool) -> bool:
    """Whether these words together name a time of arrival; each of them can be part of such a name."""
    if rest == ["offset"]:
        return has_unit  # without a unit it may be a position in a file
    if "time" in rest and {"request", "requests", "req", "query"}.intersection(rest):
        return bool(set(rest) & (ARRIVAL | EVENTS | (CLOCK - {"time"})))
    return bool(set(rest) & (CLOCK | ARRIVAL | EVENTS))


def _is_like_a_time(word: str) -> bool:
    return word in CLOCK | GAPS or word.endswith("time") or word.startswith(("time", "arriv", "interarriv", "epoch"))
