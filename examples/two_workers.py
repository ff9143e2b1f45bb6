"""Two workers under one clock: how much sooner answers are complete when a router sends them to two.

python examples/two_workers.py
"""

import numpy as np

import engine
from aptsched import RequestRecord
from aptsched.policies import FCFS
from aptsched.workload import generate

MODEL = engine.find_config("opt-13b")
CACHE, COST = MODEL.cache(), engine.find_cost(None, MODEL, engine.find_gpu("a100-40gb"))


def served(num_workers: int) -> list[RequestRecord]:
    """The records of 300 requests of ShareGPT's lengths, 8 a second, each at the worker that is least loaded."""
    rng, records = np.random.default_rng(0), list[RequestRecord]()
    trace, arrived_at_s = generate("sharegpt", 300, rng), rng.exponential(1 / 8, 300).cumsum().tolist()
    workers = []
    for _ in range(num_workers):
        pool, executor = engine.BlockPool(700, CACHE), engine.ComputedExecutor(COST, CACHE)
        workers.append(engine.Worker(FCFS(), pool, executor, records.append, scheduling=engine.SchedulingTime()))
    lengths = zip(arrived_at_s, trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True)
    requests = [
        engine.Request(number, at_s, num_prompt_tokens, engine.SamplingParams(max_tokens=num_output_tokens))
        for number, (at_s, num_prompt_tokens, num_output_tokens) in enumerate(lengths)
    ]
    engine.Cluster(workers, engine.LeastLoaded()).run(requests)
    return records


for num_workers in (1, 2):
    records = served(num_workers)
    latency_s = [record.token_at_s[-1] - record.arrived_at_s for record in records if len(record.token_at_s)]
    print(f"{num_workers} at work: {len(latency_s)} served, complete after {np.median(latency_s):.1f} s in the median")
