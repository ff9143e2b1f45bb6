"""Live runs against the computed clock: OPT-13B's shape with the pool of an A100 with 40 GB, lengths of ShareGPT."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from benchmarks.clocks import compared, computed_server, figures, knee, requests
from benchmarks.gpu.calibration import file_of
from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row
from engine.calibration import calibration_json
from engine.calibration.measure import Calibration
from engine.loop.limits import Limits
from engine.models.hidden_attention import ABSORBED
from engine.models.model import Model
from engine.study import real_model
from engine.study.named_policies import named_policies
from engine.study.serving import serve

POLICIES = ("fcfs", "vllm-v1", "aptserve", "bid-price")
NUM_BLOCKS = 910  # of OPT-13B in fp16 beside its weights in 40 GB, as aptsched simulate has it
RUN_S = 30  # about, of a live run


def rows(rig: Rig) -> Iterator[Row]:
    """A row for each policy, at the highest rate that the first one serves in time on the computed clock."""
    model = rig.model(rig.config("opt-13b"))
    measured = known(rig, model)
    server = real_model.live_server(
        model, rig.size(NUM_BLOCKS, 24), Limits(), measured.times, absorb_up_to=measured.absorb_up_to
    )
    computed = computed_server(server, measured)
    policies = named_policies(POLICIES)
    rate = knee(lengths(rig, 300), policies[0], computed)
    options = lengths(rig, max(10, round(RUN_S * rate)))
    real_model.warm_up(policies, requests(options, rate, model.config.vocab_size), server)
    for policy in policies:
        live = figures(serve(policy, requests(options, rate, model.config.vocab_size), server))
        found = compared(policy.name, rate, [live], figures(serve(policy, requests(options, rate), computed)))
        yield {name: value for name, value in found.items() if name != "live_runs"}


def known(rig: Rig, model: Model) -> Calibration:
    """What the calibration before it has measured, or one made now."""
    file = file_of(rig.out, ABSORBED)
    return calibration_json.load(file) if file.exists() else real_model.calibrated(model)


def lengths(rig: Rig, num_requests: int) -> argparse.Namespace:
    """The options of `benchmarks.clocks` that say which requests come."""
    return argparse.Namespace(
        trace=None,
        workload="sharegpt",
        num_requests=rig.size(num_requests, 8),
        cv=None,
        seed=0,
        slo_ttft=1.0,
        slo_tpot=0.2,
        max_prompt_tokens=rig.size(1024, 24),
        max_output_tokens=rig.size(256, 6),
    )
