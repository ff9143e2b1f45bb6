"""Probes that are kept in a directory, so that a search that was ended goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from aptsched.policies.named import unwrapped
from aptsched.report.document import digest, sealed
from aptsched.support import files
from aptsched.support.own_code import OWN
from engine.capacities.case import Case, Probed
from engine.study.arrival_source import ArrivalSource

FOLDER = "probes"  # of a directory of results
PACKAGES = ("aptsched", "engine", "solvers")  # whose code decides what a run comes to


@dataclass(frozen=True)
class Kept:
    """A folder with a file for each probe, by the digest of all that decides it.

    Attributes
    ----------
    folder : Path
    decides : mapping
        What is the same for all probes of the study: model, GPUs, cost, limits, code.
    lowest_level : float
        Runs that are far below it are given up.
    """

    folder: Path
    decides: Mapping[str, Any]
    lowest_level: float

    def get(self, case: Case, rate_per_s: float) -> Probed | None:
        """The probe, if it is there; a file that is not, to the last digit, as this writes it is none."""
        try:
            found = json.loads(self._path(case, rate_per_s).read_text(encoding="utf-8"))
            return Probed(**found) if found.pop("sha256") == digest(found) else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None

    def put(self, case: Case, probe: Probed) -> None:
        """Keep a probe: its file is whole, or not there."""
        files.write(self._path(case, probe.rate_per_s), json.dumps(sealed(asdict(probe))))

    def _path(self, case: Case, rate_per_s: float) -> Path:
        arrivals = case.arrivals
        of_case = {
            "policy": case.policy,
            "code": own_code(case),
            "setting": asdict(arrivals.setting),
            "slo": asdict(arrivals.objectives.slo),
            "source": described(arrivals.source),
            "rate_per_s": rate_per_s,
            "level": self.lowest_level,
        }
        text = json.dumps({**self.decides, **of_case}, sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


@dataclass(frozen=True)
class Carried:
    """Probes of one case that go along with its search, to where the folder is not.

    Attributes
    ----------
    probes : mapping of float to Probed
        By their rates.
    """

    probes: Mapping[float, Probed]

    def get(self, case: Case, rate_per_s: float) -> Probed | None:
        """The probe, if it came along."""
        return self.probes.get(rate_per_s)

    def put(self, case: Case, probe: Probed) -> None:
        """Nothing: new ones come back with the search."""


def described(source: ArrivalSource) -> dict[str, Any]:
    """What a source is, with a digest of its requests where these are given."""
    trace = source.trace
    digest = None
    if isinstance(trace, str):
        digest = files.sha256(trace)
    elif trace is not None:
        own = trace.own
        lengths = (trace.arrived_at_s, trace.prompt_tokens, trace.output_tokens)
        columns = (*lengths, own.slo_ttft_s, own.slo_tpot_s, own.priority, own.tenant)
        given = [None if column is None else column.tolist() for column in columns]
        digest = hashlib.sha256(json.dumps([*given, own.tenants]).encode()).hexdigest()
    return {
        "workload": source.workload,
        "trace": digest,
        "num_requests": source.num_requests,
        "cv": source.cv,
        "seed": source.seed,
        **({"jitter": source.jitter} if source.jitter else {}),
        **{name: most for name, most in source.clip.items() if most is not None},
    }


def can_be_kept(case: Case) -> bool:
    """Whether a text says all of the policy; an object of one's own has no digest."""
    return isinstance(case.given, str)


def own_code(case: Case) -> str | None:
    """The digest of the file of a policy of the user's own; what that imports is not in it."""
    assert isinstance(case.given, str)
    found = OWN.fullmatch(unwrapped(case.given)[1])
    return None if found is None else files.sha256(found["path"])


@cache
def code_digest() -> str:
    """The digest of all code that decides what a run comes to."""
    sources = [
        (str(path.relative_to(root)), path.read_bytes())
        for package in PACKAGES
        for root in [Path(str(resources.files(package)))]
        for path in sorted(root.rglob("*.py"))
    ]
    return hashlib.sha256(repr(sources).encode()).hexdigest()
