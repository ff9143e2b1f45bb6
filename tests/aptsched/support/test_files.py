"""What becomes of a file that is written over."""

from __future__ import annotations

import contextlib
import gzip
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.report.document import prepare
from aptsched.support import files
from aptsched.support.errors import InputError
from solvers.study import gap_files

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes as POSIX has them")


@posix
def test_a_link_is_followed_and_the_mode_kept(tmp_path: Path) -> None:
    """Nothing is left beside."""
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write(link, "new")
    assert link.is_symlink() and target.read_text() == "new" and target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "target"]


@posix
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """And stays one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write(pipe, "text")
    assert os.read(reader, 10) == b"text" and pipe.is_fifo()
    os.close(reader)


def test_a_name_may_be_as_long_as_the_system_has_it(tmp_path: Path) -> None:
    """255 characters."""
    files.write(tmp_path / ("n" * 255), "text")
    assert (tmp_path / ("n" * 255)).read_text() == "text"


def test_a_directory_in_the_way_is_found_first(tmp_path: Path) -> None:
    """Before a study is run."""
    (tmp_path / "gap.png").mkdir()
    with pytest.raises(InputError, match=r"gap\.png: a directory is in the way"):
        prepare(tmp_path, gap_files.FILES)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_device_is_no_input() -> None:
    """It would never end."""
    with pytest.raises(InputError, match="device"):
        files.read_text("/dev/zero")


@given(st.lists(st.text(max_size=20), max_size=6))
def test_a_file_that_grows_is_compressed_to_equal_bytes(texts: list[str]) -> None:
    """Whatever it is called, and whenever; it holds all that was appended, and is not there where nothing was."""
    with tempfile.TemporaryDirectory() as directory:
        for name in ("one.jsonl.gz", "other.jsonl.gz", "plain.jsonl"):
            with files.growing(Path(directory) / name) as append:
                for text in texts:
                    append(text)
        found = {path.name: path.read_bytes() for path in Path(directory).iterdir()}
    assert len(found) == (3 if texts else 0)
    if texts:
        assert found["one.jsonl.gz"] == found["other.jsonl.gz"]
        assert gzip.decompress(found["one.jsonl.gz"]) == found["plain.jsonl"] == "".join(texts).encode()


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
def test_a_file_that_grows_is_gone_after_an_error(tmp_path: Path, name: str) -> None:
    """Compressed or not, with nothing beside it."""
    with contextlib.suppress(ZeroDivisionError), files.growing(tmp_path / name) as append:
        append("text")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def unreadable(directory: Path) -> list[str]:
    """Paths that are there and no file, and paths that no system has."""
    os.mkfifo(directory / "pipe")
    (directory / "loop").symlink_to("loop")
    (directory / "behind").symlink_to("pipe")
    paths = [directory / name for name in ("pipe", "behind", "loop", "missing", "missing/below")]
    return [*map(str, paths), str(directory), "", "/dev/zero", "/dev/null", "n" * 5000, "/n" * 5000, "\ud800", "nul\0"]


@posix
def test_what_is_no_file_is_one_message(tmp_path: Path) -> None:
    """A pipe without a writer is not waited for; nothing stays open."""
    paths = unreadable(tmp_path)
    before = os.dup(0)
    os.close(before)
    for path in paths:
        for read in (files.read_text, files.sha256):
            with pytest.raises(InputError, match=r"readable file is"):
                read(path)
    after = os.dup(0)
    os.close(after)
    assert before == after


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    """As some editors write it: files of GPUs and models begin behind it, as files of traces do."""
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbftext")
    assert files.read_text(tmp_path / "marked") == "text"


@posix
def test_what_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    """A pipe without a reader is not waited for; a device may be full."""
    for path in (*unreadable(tmp_path), "/dev/full"):
        if path in (str(tmp_path / "missing"), str(tmp_path / "loop"), "/dev/zero", "/dev/null"):
            continue
        with pytest.raises(InputError, match="cannot be written"):
            files.write(path, "text")


def test_a_file_that_breaks_while_it_is_read_is_one_message(tmp_path: Path) -> None:
    """As on a disk that fails."""
    (tmp_path / "file").write_text("text")
    with (
        pytest.raises(InputError, match=r"file: cannot be read \(Input/output error\)"),
        files.reading(tmp_path / "file"),
    ):
        raise OSError(5, "Input/output error")


@posix
@pytest.mark.parametrize("size", [-1, 1])
def test_a_file_that_has_nothing_yet_is_an_error(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system's log is, a regular file by its mode, of which Python reads None."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    monkeypatch.setattr(files, "_descriptor", lambda path: reader)
    refused = pytest.raises(InputError, match=r"log: cannot be read \(.*\); a readable file")
    with os.fdopen(writer, "wb"), refused, files.reading("log") as file:
        file.read(size)
