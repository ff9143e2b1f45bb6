"""Built-in workloads, for those who have no trace: generators fitted to published statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from aptsched.support.errors import InputError
from aptsched.workload import ranges
from aptsched.workload.arrivals import gamma_arrivals
from aptsched.workload.lengths import LengthModel
from aptsched.workload.mix import Mix, is_mix, read_mix
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.trace import Trace

DEFAULT_RATE_PER_S, DEFAULT_CV = 3.0, 1.0  # of what has no arrivals and says none


@dataclass(frozen=True)
class Workload:
    """A length model and its default arrivals.

    Attributes
    ----------
    description : str
        What it is fitted to.
    prompt, output : LengthModel
    max_total_tokens : int or None
        Most prompt and output tokens of one request in the source.
    rate_per_s, cv : float
        Default arrivals.
    """

    description: str
    prompt: LengthModel
    output: LengthModel
    max_total_tokens: int | None
    rate_per_s: float
    cv: float


WORKLOADS: Mapping[str, Workload] = MappingProxyType(
    {
        "sharegpt": Workload(
            "chat: first turns of ShareGPT, Llama-2 tokenizer, at most 2048 tokens",
            prompt=LengthModel(mean=163, p50=60, p90=457, p99=1218, shortest=4, longest=1723),
            output=LengthModel(mean=471, p50=470, p90=865, p99=1002, shortest=4, longest=1024),
            max_total_tokens=2048,
            rate_per_s=3.0,
            cv=1.0,
        ),
        "humaneval": Workload(
            "code: HumanEval prompts and canonical solutions, OPT tokenizer",
            prompt=LengthModel(mean=171, p50=146, p90=278, p99=489, shortest=55, longest=629),
            output=LengthModel(mean=98, p50=79, p90=194, p99=413, shortest=9, longest=514),
            max_total_tokens=None,
            rate_per_s=6.0,
            cv=1.0,
        ),
        "longbench": Workload(
            "summaries: multi_news of LongBench, OPT tokenizer, at most 2048 tokens",
            prompt=LengthModel(mean=1217, p50=1285, p90=1718, p99=1802, shortest=138, longest=1841),
            output=LengthModel(mean=248, p50=251, p90=335, p99=402, shortest=84, longest=411),
            max_total_tokens=2048,
            rate_per_s=1.5,
            cv=1.0,
        ),
        "azure-code": Workload(
            "code completion: one hour of Azure's LLM inference service in 2023, bursty",
            prompt=LengthModel(mean=2048, p50=1469, p90=5188, p99=7436, shortest=3, longest=7437),
            output=LengthModel(mean=28, p50=13, p90=55, p99=251, shortest=6, longest=1899),
            max_total_tokens=None,
            rate_per_s=2.57,
            cv=13.2,
        ),
    }
)


def generate(
    name: str, num_requests: int, rng: np.random.Generator, rate_per_s: float | None = None, cv: float | None = None
) -> Trace:
    """Draw a trace of a built-in workload.

    Prompt and output lengths are independent and have the mean, median, 90th and 99th percentile published for the
    source, and its shortest and longest values:

    ==========  ==============================  ========================  ==========================
    workload    prompt, mean / p50 / p90 / p99  output                    default arrivals
    ==========  ==============================  ========================  ==========================
    sharegpt    163 / 60 / 457 / 1218           471 / 470 / 865 / 1002    3 per s, Poisson
    humaneval   171 / 146 / 278 / 489           98 / 79 / 194 / 413       6 per s, Poisson
    longbench   1217 / 1285 / 1718 / 1802       248 / 251 / 335 / 402     1.5 per s, Poisson
    azure-code  2048 / 1469 / 5188 / 7436       28 / 13 / 55 / 251        2.57 per s, gamma, CV 13.2
    ==========  ==============================  ========================  ==========================

    Parameters
    ----------
    name : str
        One of `WORKLOADS`, or a mix of them with their shares, as "sharegpt:0.7,longbench:0.3". Of a mix each request's
        part is drawn, and is its tenant; arrivals are by default 3 a second, Poisson.
    num_requests : int
        At least 1.
    rng : numpy.random.Generator
    rate_per_s, cv : float, optional
        Other arrivals than the default (see `gamma_arrivals`).

    Returns
    -------
    Trace
        [num_requests]. Arrivals are rounded to microseconds, as logs have them. Where the source was cut at 2048 tokens
        a request, an output that would exceed it is cut, and it is said.

    Raises
    ------
    InputError
        An unknown name, with those that there are; a parameter out of range.

    Notes
    -----
    Sources of the lengths. sharegpt: first turns of ShareGPT conversations with at least 4 tokens in prompt and
    output, as processed for Sarathi-Serve (OSDI '24). humaneval: Chen et al., "Evaluating Large Language Models Trained
    on Code" (arXiv 2107.03374). longbench: Bai et al., "LongBench" (ACL 2024), multi_news. azure-code:
    AzureLLMInferenceTrace_code of AzurePublicDataset, with its arrivals; Patel et al., "Splitwise" (ISCA 2024). The
    rates of sharegpt and longbench are those of Apt-Serve's tables 4 and 5 (SIGMOD 2025); that of humaneval, whose
    requests are short, is our choice.
    """
    if is_mix(str(name)):
        return _mixed(read_mix(name, WORKLOADS), num_requests, rng, rate_per_s, cv)
    workload = WORKLOADS.get(name)
    if workload is None:
        raise InputError(f"workload: {name!r} is not known; {', '.join(WORKLOADS)} are accepted")
    num_requests = ranges.whole("num_requests", num_requests)
    prompts = workload.prompt.sample(num_requests, rng)
    outputs = workload.output.sample(num_requests, rng)
    most, notices = workload.max_total_tokens, list[str]()
    if most is not None and (prompts + outputs > most).any():
        outputs = np.minimum(outputs, most - prompts)
        notices.append(f"{name}: outputs end where prompt and output come to {most} tokens, as in its source.")
    rate_per_s = workload.rate_per_s if rate_per_s is None else rate_per_s
    arrived = gamma_arrivals(num_requests, rate_per_s, workload.cv if cv is None else cv, rng).round(6)
    return Trace(arrived, prompts, outputs, notices=tuple(notices))


def _mixed(mix: Mix, num_requests: int, rng: np.random.Generator, rate_per_s: float | None, cv: float | None) -> Trace:
    """Requests of several workloads, each drawn which; lengths are drawn of every part for every request."""
    num_requests = ranges.whole("num_requests", num_requests)
    share = np.array(mix.shares)
    part = rng.choice(len(share), num_requests, p=share / share.sum())
    drawn = [generate(name, num_requests, rng) for name in mix.names]
    of_each = np.arange(num_requests)
    prompts, outputs = (
        np.stack([getattr(trace, name) for trace in drawn])[part, of_each]
        for name in ("prompt_tokens", "output_tokens")
    )
    rate_per_s = DEFAULT_RATE_PER_S if rate_per_s is None else rate_per_s
    arrived = gamma_arrivals(num_requests, rate_per_s, DEFAULT_CV if cv is None else cv, rng)
    notices = (*mix.notices, *(notice for trace in drawn for notice in trace.notices))
    return Trace(arrived.round(6), prompts, outputs, notices=notices, own=OwnColumns(tenant=part, tenants=mix.names))
