"""What is too much to hold, in memory and in the temporary folder."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import tracemalloc
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.support.spilled import PAGE_BYTES, PART_BYTES, Spilled, SpilledFloats

posix = pytest.mark.skipif(os.name != "posix", reason="files without a name as POSIX has them")
SIZES = st.lists(st.integers(0, 100) | st.integers(PAGE_BYTES - 2, PAGE_BYTES + 2), max_size=8)


@given(sizes=SIZES, max_held=st.integers(0, 300), data=st.data())
def test_what_is_read_is_what_was_appended(sizes: list[int], max_held: int, data: st.DataObject) -> None:
    """From any place on and of any size, between appends, in parts, and as a copy; nothing beyond the end."""
    spilled, whole = Spilled(max_held), b""
    for number, size in enumerate(sizes):
        content = bytes([number]) * size
        spilled.append(content)
        whole += content
        start, wanted = data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, 2 * PAGE_BYTES))
        assert spilled.num_bytes == len(whole) and spilled.read(start, wanted) == whole[start : start + wanted]
    assert b"".join(spilled.parts()) == whole == b"".join(pickle.loads(pickle.dumps(spilled)).parts())


@given(counts=st.lists(st.integers(0, 2 * PART_BYTES // 8), max_size=3))
def test_numbers_are_those_that_were_appended(counts: list[int]) -> None:
    """In order, in parts and as a whole."""
    spilled, stops = SpilledFloats(64), list(accumulate(counts))
    for stop, count in zip(stops, counts, strict=True):
        spilled.append(np.arange(stop - count, stop) / 8)
    wanted = np.arange(sum(counts)) / 8
    assert len(spilled) == len(wanted) and np.array_equal(spilled.whole(), wanted)
    assert np.array_equal(np.concatenate([np.empty(0), *spilled.parts()]), wanted)


def test_what_is_spilled_takes_no_memory() -> None:
    """Of 32 MB, of which 1 MB may be held, less than 2 MB are at any time."""
    tracemalloc.start()
    spilled = Spilled(2**20)
    for _ in range(32):
        spilled.append(bytes(2**20))
    assert sum(len(part) for part in spilled.parts()) == 2**25
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * 2**20  # a part that is appended, its copy, and what comes of that growing


@posix
def test_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing is left of it, however the process ends."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spilled = Spilled(0)
    spilled.append(bytes(2 * PAGE_BYTES))
    assert not list(tmp_path.iterdir()) and spilled.read(PAGE_BYTES, 3) == bytes(3)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only once there is too much to hold."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    spilled = Spilled(10)
    spilled.append(bytes(10))
    with pytest.raises(InputError, match=r"^TMPDIR: .*none cannot be written \(No such file or directory\); a folder "):
        spilled.append(bytes(1))


FULL = f"""
import resource
from aptsched import InputError
from aptsched.support.spilled import Spilled
resource.setrlimit(resource.RLIMIT_FSIZE, ({PAGE_BYTES}, resource.RLIM_INFINITY))
spilled = Spilled(0)
spilled.append(bytes({PAGE_BYTES}))
try:
    spilled.append(bytes({PAGE_BYTES + 1}))
except InputError as error:
    print(error, spilled.read({PAGE_BYTES - 1}, 1))
"""


@posix
def test_a_file_that_cannot_grow_is_said() -> None:
    """Why it cannot, too; what was written before can still be read."""
    ran = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    assert "cannot be written (File too large)" in ran.stdout and ran.stdout.endswith(" b'\\x00'\n")
