"""What a cluster has done is kept by whoever asked for it, and goes along with what is asked for again."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from aptsched.report.document import as_json
from engine.capacities import capacity as searches
from engine.capacities import search
from engine.capacities.capacity import search_capacity
from engine.capacities.options import CapacityOptions
from engine.study.parallel import StudyTask
from engine.study.serving import attempt
from small_capacity import SMALL

OPTIONS = CapacityOptions(**SMALL, cluster="elsewhere:1")


class Elsewhere:
    """A cluster of one worker, which gets tasks as bytes; it is lost after so many."""

    def __init__(self, num_tasks: float) -> None:
        self.num_left = num_tasks

    def results_on(
        self,
        address: str,
        tasks: Sequence[StudyTask[Any]],
        progress: Callable[[int], None],
        keep: Callable[[Any], None],
    ) -> Iterator[Any]:
        """As `engine.capacities.on_dask.results_on`."""
        for task in tasks:
            if self.num_left <= 0:
                raise ConnectionError("lost")
            self.num_left -= 1
            result, _ = pickle.loads(pickle.dumps(task)).attempt(progress)
            keep(result)
            yield result


@pytest.mark.slow
def test_a_study_goes_on_where_its_cluster_was_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the runs of searches that were done: none of them is made again, and the result is that of one process."""
    runs = list[float]()

    def counted(policy: Any, replay: Any, *given: Any, **named: Any) -> Any:
        runs.append(replay.rate_per_s)
        return attempt(policy, replay, *given, **named)

    monkeypatch.setattr(search, "attempt", counted)
    whole = search_capacity(CapacityOptions(**SMALL))
    num_runs, folder = len(runs), tmp_path / "probes"
    runs.clear()
    monkeypatch.setattr(searches, "results_on", Elsewhere(5).results_on)
    with pytest.raises(ConnectionError):
        search_capacity(OPTIONS, str(tmp_path))
    num_kept = len(list(folder.iterdir()))
    assert 0 < num_kept < num_runs
    monkeypatch.setattr(searches, "results_on", Elsewhere(1000).results_on)
    again = search_capacity(OPTIONS, str(tmp_path))
    assert len(runs) == num_runs
    runs.clear()
    assert as_json(search_capacity(OPTIONS, str(tmp_path)).document) == as_json(again.document)
    assert runs == []
    assert again.document["probes"] == whole.document["probes"]
