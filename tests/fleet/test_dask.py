"""A capacity study on the workers of a Dask cluster comes to the bytes of one process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from aptsched.report.document import as_json
from aptsched.support.errors import InputError
from engine import CapacityStudy, capacity
from engine.capacities import on_dask
from small_capacity import SMALL


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    """Two workers, each a process of its own that is restarted when it ends."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def here() -> CapacityStudy:
    """The study in this process."""
    return capacity(**SMALL)


def test_its_bytes_are_those_of_one_process(cluster: LocalCluster, here: CapacityStudy) -> None:
    """Whoever was faster."""
    assert as_json(capacity(**SMALL, cluster=cluster.scheduler_address).document) == as_json(here.document)


def test_so_they_are_with_a_worker_killed_in_the_middle(cluster: LocalCluster, here: CapacityStudy) -> None:
    """What it was doing is done anew by another one."""
    killed: list[int] = []

    def kill_one(num_ended: int, total: int) -> None:
        if not killed and num_ended:
            with Client(cluster.scheduler_address, set_as_default=False) as client:
                killed.append(min(client.run(os.getpid).values()))
            os.kill(killed[0], signal.SIGKILL)

    found = capacity(**SMALL, cluster=cluster.scheduler_address, progress=kill_one)
    assert killed
    assert as_json(found.document) == as_json(here.document)


def test_a_cluster_that_is_not_there_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is an address that is none."""
    monkeypatch.setattr(on_dask, "PATIENCE_S", 0.5)
    for address in ("127.0.0.1:1", "nonsense://x"):
        with pytest.raises(InputError, match=f"cluster: '{address}' cannot be reached"):
            capacity(**SMALL, cluster=address)


def test_workers_with_other_code_are_refused(cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """They might come to other results."""
    monkeypatch.setattr(on_dask, "code_digest", lambda: str(os.getpid()))  # another in each process
    with pytest.raises(InputError, match=r"cluster: worker tcp://\S+ has other code; workers with this code are"):
        capacity(**SMALL, cluster=cluster.scheduler_address)


def test_a_policy_that_cannot_be_sent_is_refused(cluster: LocalCluster) -> None:
    """Before anything is run."""

    class Local:
        def decide(self, view: Any) -> Any:
            raise AssertionError

    with pytest.raises(InputError, match="as policy Local cannot be sent"):
        capacity(**SMALL | {"policy": Local()}, cluster=cluster.scheduler_address)
