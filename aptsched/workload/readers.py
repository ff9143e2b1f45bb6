"""Traces from files: the format is recognised from the content, whatever the file is called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import BinaryIO

from aptsched.support import file_progress, files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from aptsched.workload.csv_formats import ACCEPTED, read_csv
from aptsched.workload.jsonl_formats import read_jsonl
from aptsched.workload.trace import Trace

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
MAX_LINE = 2**24  # bytes; a file that is no text may be one endless line


def read_trace(path: str | os.PathLike[str], num_requests: int | None = None) -> Trace:
    """Read a trace file, UTF-8 text in one of seven formats.

    ==================  ==================================================  ===============================
    format              columns                                             time
    ==================  ==================================================  ===============================
    ours, CSV           prompt_tokens, output_tokens, arrived_at_s or none  seconds
    Azure, CSV          TIMESTAMP, ContextTokens, GeneratedTokens           date and time, UTC unless zoned
    BurstGPT, CSV       Timestamp, Request tokens, Response tokens          seconds
    ServeGen, CSV       timestamp, input_tokens, output_tokens              seconds
    Mooncake, JSONL     timestamp, input_length, output_length              milliseconds
    timed_trace, JSONL  timestamp, input_length, output_length              seconds
    Bailian, JSONL      the same, chat_id, parent_chat_id, type, turn       seconds
    ==================  ==================================================  ===============================

    Each may have columns `slo_ttft_s`, `slo_tpot_s`, `tenant` and `priority` beside these (`OwnColumns`).

    In a CSV of ours, or in JSON lines without `timestamp`, the arrivals may be called otherwise where their unit is
    certain: by a unit in the name, such as `timestamp_ms`, or because the values are dates and times. A name that looks
    like a time and is neither is refused (see `time_names.kind`).

    Parameters
    ----------
    path : path
        A regular file: neither a directory nor a pipe nor a device.
    num_requests : int, optional
        Where the trace has arrivals, read only the first so many requests, in the order of the file; what follows is
        not looked at. A trace of lengths alone is always read whole, as is every trace where this is None.

    Returns
    -------
    Trace
        Its `notices` say which columns are not known and not used, what is taken for the arrivals under another name or
        in an assumed unit, how many rows were left out, and that rows were sorted.
        Sorted by arrival (requests that arrive together keep their order), the first arrival at 0. Requests with 0
        output tokens are kept: they failed or were cut off, but they came and waited. BurstGPT logs most of its failed
        requests with 0 request tokens too; such rows are left out and counted in `num_dropped`. In every other format
        a prompt of 0 tokens is a bad row.

    Raises
    ------
    InputError
        The file cannot be read, is of no known format, has no rows, or has a bad row: file, line, column, value and
        what is accepted.

    Notes
    -----
    Mooncake and timed_trace are told apart as `jsonl_formats.read_jsonl` says. Blank lines are skipped; a byte order
    mark, either line ending and quoted cells are read. Columns that a format is known to have, and that say nothing of
    arrivals and lengths (`CsvFormat.without_use`, `hash_ids`), are left out without a notice.

    Sources: AzurePublicDataset (LLM inference traces of 2023 and 2024), BurstGPT (arXiv 2401.17644), Mooncake
    (FAST '25), the timed_trace data set of vLLM's `bench serve`, ServeGen (arXiv 2505.09999), whose
    `save_requests_to_csv` writes its requests, and qwen-bailian-usagetraces-anon (USENIX ATC '25).
    """
    name = os.fspath(path)
    with files.reading(name) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return _read(name, _numbered_lines(name, file, size), num_requests)
        finally:
            file_progress.tell_read(name, size, size)


def _read(path: str, lines: Iterator[tuple[int, str]], most: int | None) -> Trace:
    first = next(((number, line) for number, line in lines if line.strip()), None)
    if first is None:
        raise InputError(f"{path}: the file is empty; {ACCEPTED}")
    number, line = first
    if line.lstrip().startswith("{"):
        return read_jsonl(path, chain([first], lines), most)
    if line.lstrip().startswith("["):
        raise InputError(f"{path}, line {number}: {shown(line.strip())} begins a JSON list; {ACCEPTED}")
    return read_csv(path, chain([line], (line for _, line in lines)), number, most)


def _numbered_lines(path: str, file: BinaryIO, size: int) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(iter(partial(file.readline, MAX_LINE), b""), 1):
        if len(raw) == MAX_LINE and not raw.endswith(b"\n"):
            raise InputError(f"{path}, line {number}: longer than {MAX_LINE} bytes is not accepted; {ACCEPTED}")
        if number % file_progress.EVERY == 0:
            file_progress.tell_read(path, file.tell(), size)
        if number == 1:
            raw = raw.removeprefix(BYTE_ORDER_MARK)
        try:
            line = raw.decode()
        except UnicodeDecodeError as error:
            raise _not_text(path, number, raw) from error
        if "\0" in line:
            raise _not_text(path, number, raw)
        yield number, line


def _not_text(path: str, number: int, raw: bytes) -> InputError:
    return InputError(f"{path}, line {number}: {shown(raw[:80])} is not UTF-8 text; {ACCEPTED}")
