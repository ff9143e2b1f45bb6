"""A trace with its own arrivals whose requests have a TTFT each, by how long their prompts take alone."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from aptsched.support import files
from aptsched.support.checks import Floats
from aptsched.support.errors import InputError
from aptsched.workload.readers import read_trace
from aptsched.workload.trace import Trace
from engine.models.find_config import find_config
from engine.simulator.cost import find_cost
from engine.simulator.gpu_file import find_gpu
from engine.simulator.work import Work

LEAST_S, TIMES = 1.0, 3.0  # the TTFT: so many times the request's own prefill, and at least so long
COLUMNS = ("arrived_at_s", "prompt_tokens", "output_tokens", "slo_ttft_s")


def ttft_s(trace: Trace, model: str, gpu: str) -> Floats:
    """The TTFT of each request on a model and GPU, [r]: its prompt alone is one prefill by the computed cost."""
    cost = find_cost(None, find_config(model), find_gpu(gpu), 1)
    alone_s = cost.seconds(Work(prefill_tokens=trace.prompt_tokens, prefill_squares=trace.prompt_tokens**2))
    return np.maximum(LEAST_S, TIMES * np.asarray(alone_s, np.float64))


def with_own_ttft(path: Path, out: Path, model: str, gpu: str) -> Path:
    """Write a trace anew with a TTFT for each request, and return where.

    Raises
    ------
    InputError
        The trace cannot be read, or has no arrivals.
    """
    trace = read_trace(path)
    if trace.arrived_at_s is None:
        raise InputError(f"trace: {path} has no arrivals; a trace with them is accepted")
    given = (trace.arrived_at_s, trace.prompt_tokens, trace.output_tokens, ttft_s(trace, model, gpu))
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(zip(*(column.tolist() for column in given), strict=True))
    files.write(out, text.getvalue())
    return out
