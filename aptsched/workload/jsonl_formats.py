"""JSON-lines traces: Mooncake's, and those of vLLM's timed_trace."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator

import numpy as np

from aptsched.checks import Ints
from aptsched.errors import InputError
from aptsched.workload import cells
from aptsched.workload.rows import Rows
from aptsched.workload.trace import Trace

MOONCAKE_BLOCK_TOKENS = 512
TIMED_TRACE_BLOCK_TOKENS = 16
FIELDS = ("timestamp", "input_length", "output_length")


def read_jsonl(path: str, lines: Iterator[tuple[int, str]]) -> Trace:
    """The trace in numbered JSON lines, one object a request.

    Mooncake's traces and vLLM's timed_trace have the same fields (timestamp, input_length, output_length, hash_ids),
    but Mooncake counts milliseconds and vLLM, unless told a multiplier, seconds. What tells them apart:

    1. a timestamp with a fraction is in seconds;
    2. else the hash ids, one for each 512 tokens in Mooncake's traces, for each 16 by vLLM's default: the size that
       gives the right number of ids for more of the rows decides;
    3. else, where nothing does, timestamps written as 1.0 are seconds and those written as 1 milliseconds.
    """
    rows = Rows(array("d"))
    num_hashes = array("q")
    has_decimals = False
    for line, text in lines:
        if not text.strip():
            continue
        request = _request(path, line, text)
        time, prompt, output = _values(path, line, request)
        rows.append(time, prompt, output)
        hashes = request.get("hash_ids")
        num_hashes.append(len(hashes) if isinstance(hashes, list) else 0)
        has_decimals |= isinstance(request["timestamp"], float)
    return rows.trace(path, 1 if _in_seconds(rows, np.asarray(num_hashes), has_decimals) else 1000)


def _request(path: str, line: int, text: str) -> dict[str, object]:
    where = f"{path}, line {line}: {cells.shown(text.strip())}"
    try:
        request = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise InputError(f"{where} is not JSON ({reason}); one object a line is accepted") from error
    if not isinstance(request, dict):
        raise InputError(f"{where} is not a JSON object; one object a line is accepted")
    return request


def _values(path: str, line: int, request: dict[str, object]) -> tuple[float, int, int]:
    for name in FIELDS:
        if name not in request:
            raise InputError(
                f"{path}, line {line}, column {name}: missing in an object of {cells.shown(', '.join(request))}; "
                f"{', '.join(FIELDS)} are needed"
            )
    name, value = "timestamp", request["timestamp"]
    try:
        time = cells.seconds(_number(value))
        name, value = "input_length", request["input_length"]
        prompt = cells.count(_number(value), 1)
        name, value = "output_length", request["output_length"]
        return time, prompt, cells.count(_number(value), 0)
    except cells.Refused as refusal:
        raise cells.bad_row(path, line, name, value, str(refusal)) from None


def _number(value: object) -> object:
    return None if isinstance(value, str) else value  # a number in quotes is a sign of another format


def _in_seconds(rows: Rows, num_hashes: Ints, has_decimals: bool) -> bool:
    times, prompts = np.asarray(rows.times), np.asarray(rows.prompts)
    if (times != np.floor(times)).any():
        return True
    fits_vllm, fits_mooncake = (
        int((num_hashes == -(-prompts // size)).sum()) for size in (TIMED_TRACE_BLOCK_TOKENS, MOONCAKE_BLOCK_TOKENS)
    )
    return fits_vllm > fits_mooncake or (fits_vllm == fits_mooncake and has_decimals)
