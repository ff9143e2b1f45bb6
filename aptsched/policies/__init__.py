"""Policies, one a file: each sees a `View` and returns a `Plan`.

`load_policy` finds one by name, or in a file. The functions are parts that several policies share; policies of one's
own can use them too.
"""

from __future__ import annotations

from aptsched.support.exports import TYPE_CHECKING, lazily

__all__ = [
    "ALISE",
    "FCFS",
    "SJF",
    "SLAI",
    "SVF",
    "VTC",
    "WAIT",
    "Andes",
    "AptServe",
    "AptServePrinted",
    "BidPrice",
    "Contract",
    "FastGen",
    "FastServe",
    "Fitted",
    "JITServe",
    "NestedWAIT",
    "PastFuture",
    "Priority",
    "QoServe",
    "RandomOrder",
    "SLOsServe",
    "SVFTrueLengths",
    "Sarathi",
    "Scorpio",
    "Shed",
    "StepTimes",
    "TrueLengths",
    "VLLMv1",
    "decide_in_order",
    "entries",
    "growth",
    "leading",
    "load_policy",
    "shared",
    "survivors",
    "without_cache",
]

if TYPE_CHECKING:
    from aptsched.policies.alise import ALISE
    from aptsched.policies.andes import Andes
    from aptsched.policies.aptserve import AptServe
    from aptsched.policies.aptserve_printed import AptServePrinted
    from aptsched.policies.bid_price import BidPrice
    from aptsched.policies.contract import Contract
    from aptsched.policies.fastgen import FastGen
    from aptsched.policies.fastserve import FastServe
    from aptsched.policies.fcfs import FCFS
    from aptsched.policies.fitted import Fitted
    from aptsched.policies.jitserve import JITServe
    from aptsched.policies.named import load_policy
    from aptsched.policies.nested_wait import NestedWAIT
    from aptsched.policies.oracle import TrueLengths
    from aptsched.policies.past_future import PastFuture
    from aptsched.policies.priority import Priority
    from aptsched.policies.qoserve import QoServe
    from aptsched.policies.queue import entries, growth, leading, shared, survivors, without_cache
    from aptsched.policies.random_order import RandomOrder
    from aptsched.policies.reordered import decide_in_order
    from aptsched.policies.sarathi import Sarathi
    from aptsched.policies.scorpio import Scorpio
    from aptsched.policies.shed import Shed
    from aptsched.policies.sjf import SJF
    from aptsched.policies.slai import SLAI
    from aptsched.policies.slos_serve import SLOsServe
    from aptsched.policies.step_times import StepTimes
    from aptsched.policies.svf import SVF, SVFTrueLengths
    from aptsched.policies.vllm_v1 import VLLMv1
    from aptsched.policies.vtc import VTC
    from aptsched.policies.wait import WAIT
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "aptsched.policies.alise": ("ALISE",),
            "aptsched.policies.andes": ("Andes",),
            "aptsched.policies.scorpio": ("Scorpio",),
            "aptsched.policies.slai": ("SLAI",),
            "aptsched.policies.qoserve": ("QoServe",),
            "aptsched.policies.fastgen": ("FastGen",),
            "aptsched.policies.aptserve": ("AptServe",),
            "aptsched.policies.aptserve_printed": ("AptServePrinted",),
            "aptsched.policies.bid_price": ("BidPrice",),
            "aptsched.policies.contract": ("Contract",),
            "aptsched.policies.fastserve": ("FastServe",),
            "aptsched.policies.fcfs": ("FCFS",),
            "aptsched.policies.fitted": ("Fitted",),
            "aptsched.policies.jitserve": ("JITServe",),
            "aptsched.policies.named": ("load_policy",),
            "aptsched.policies.nested_wait": ("NestedWAIT",),
            "aptsched.policies.oracle": ("TrueLengths",),
            "aptsched.policies.past_future": ("PastFuture",),
            "aptsched.policies.priority": ("Priority",),
            "aptsched.policies.queue": ("entries", "growth", "leading", "shared", "survivors", "without_cache"),
            "aptsched.policies.random_order": ("RandomOrder",),
            "aptsched.policies.reordered": ("decide_in_order",),
            "aptsched.policies.sarathi": ("Sarathi",),
            "aptsched.policies.shed": ("Shed",),
            "aptsched.policies.sjf": ("SJF",),
            "aptsched.policies.step_times": ("StepTimes",),
            "aptsched.policies.slos_serve": ("SLOsServe",),
            "aptsched.policies.svf": ("SVF", "SVFTrueLengths"),
            "aptsched.policies.vllm_v1": ("VLLMv1",),
            "aptsched.policies.vtc": ("VTC",),
            "aptsched.policies.wait": ("WAIT",),
        },
    )
