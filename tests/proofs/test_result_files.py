"""Files at a path, of whatever content: each has a verdict of its own, and the others keep theirs."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import results
from aptsched import BatchProblem, greedy
from aptsched.problem import instance
from aptsched.problem.certificate_log import HEADER, as_line, record_line
from aptsched.support import files
from aptsched.support.errors import InputError
from commands import call
from mutations import OTHERS, mutations
from proofs import reading, search, verification
from proofs.sources import READERS

PROBLEM = BatchProblem.hybrid([9.0, 7.0, 4.0], [6, 5, 3], 8, 0.25)
LOG = as_line(HEADER) + "".join(record_line(i, PROBLEM, greedy(PROBLEM)) for i in range(2))
DEEP = '{"schema":' + "[" * 900 + "]" * 900 + "}"
SCHEMAS = [[], ["aptsched.gap"], {}, 7, 1.5, True, None, "", "aptsched.", "aptsched.gapp", "APTSCHED.GAP", DEEP]


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    """A directory with a log that holds."""
    (tmp_path / "good.jsonl").write_text(LOG)
    return tmp_path


def verdict(directory: Path) -> tuple[int, list[str], list[str]]:
    """The exit code; what the other file has against it and why it was skipped; the good log holds whatever it is."""
    sources, skipped = search.find_results(directory)
    reports = [verification.report(source, lambda doing: None) for source in sources]
    good = [report for report in reports if report.file == str(directory / "good.jsonl")]
    assert [(report.num_entries, report.num_holding) for report in good] == [(2, 2)]
    reasons = [reason for report in reports for failure in report.failures for reason in failure.reasons]
    assert not any("the checker failed" in reason for reason in reasons), reasons
    lines = verification.report_text(reports, skipped)
    assert all(line.isprintable() for line in lines)
    json.dumps(verification.document(reports, skipped), allow_nan=False)
    return int(bool(reasons)), reasons, skipped


BROKEN = {
    "empty": b"",
    "spaces": b" \n\n",
    "truncated": b'{"schema": "aptsched.run", "version": 2, "opt',
    "binary": bytes(range(256)),
    "not UTF-8": b'{"schema": "\xff"}',
    "deep": b"[" * 100_000,
    "deep and whole": DEEP.encode(),
    "many digits": b'{"schema": "aptsched.gap", "version": ' + b"9" * 5000 + b"}",
    "20 digits": b'{"schema": "aptsched.gap", "version": 20000000000000000000}',
    "NaN": b'{"schema": "aptsched.run", "version": NaN}',
    "a name twice": b'{"schema": "aptsched.run", "schema": "aptsched.run"}',
    "two documents": b'{"schema": "aptsched.gap", "version": 2}\n{}',
    "earlier version": b'{"schema": "aptsched.run", "version": 1}',
    "later version": b'{"schema": "aptsched.gap", "version": 3}',
    "no version": b'{"schema": "aptsched.certificates"}',
    "version true": b'{"schema": "aptsched.certificates", "version": true}',
    "no fields": b'{"schema": "aptsched.run", "version": 2}',
    "schema a list": b'{"schema": ["aptsched.run"], "version": 2}',
    "schema a number": b'{"schema": 7}',
    "unknown schema of ours": b'{"schema": "aptsched.other", "version": 1}',
    "a surrogate": b'{"schema": "aptsched.run\\ud800", "version": 1}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("name", ["results.json", "other.json", "certificates-x.jsonl", "other.jsonl"])
def test_a_broken_file_is_a_finding_of_its_own(beside: Path, name: str, content: bytes) -> None:
    """In a directory and given by itself, exit code 1; the log beside it is checked all the same."""
    (beside / name).write_bytes(content)
    code, reasons, _ = verdict(beside)
    assert code == 1 and len(reasons) == 1
    assert call("verify", str(beside)) == call("verify", str(beside / name), "--json") == 1


def test_an_earlier_version_is_said(beside: Path) -> None:
    """It cannot be checked any more."""
    (beside / "results.json").write_bytes(BROKEN["earlier version"])
    assert verdict(beside)[1] == [
        "version: 1 was written by an earlier version, which this one cannot check; 3 is accepted"
    ]


@pytest.mark.parametrize("content", [b"{}", b"[1, 2]", b"7", b'{"schema": "other"}', b'{"schema": null}', b'"x"'])
def test_foreign_files_are_skipped_unless_they_have_a_name_of_ours(beside: Path, content: bytes) -> None:
    """JSON that claims nothing; as results.json it claims to be results."""
    (beside / "other.json").write_bytes(content)
    code, _, skipped = verdict(beside)
    assert code == 0 and len(skipped) == 1 and skipped[0].startswith(f"{beside / 'other.json'}: schema: ")
    (beside / "other.json").rename(beside / "results.json")
    assert verdict(beside)[0] == 1


def test_what_a_search_keeps_is_skipped_as_one(beside: Path) -> None:
    """The folder of its runs is one line, however many there are; in any other directory such a folder is read."""
    (beside / "probes").mkdir()
    for name in ("a.json", "b.json"):
        (beside / "probes" / name).write_text("{}", encoding="utf-8")
    assert len(verdict(beside)[2]) == 2
    (beside / "capacity.json").write_text("{}", encoding="utf-8")
    skipped = [reason for reason in verdict(beside)[2] if "probes" in reason]
    assert len(skipped) == 1 and skipped[0].startswith(f"{beside / 'probes'}: what a search goes on from")


def test_what_claims_nothing_is_said_to_be_skipped(beside: Path) -> None:
    """Plots, text, traces."""
    for name in ("plot.png", "notes.txt", "trace.csv", "trace.jsonl"):
        (beside / name).write_text('{"timestamp": 1}\n{"timestamp": 2}\n')
    code, _, skipped = verdict(beside)
    assert code == 0 and len(skipped) == 4
    (beside / "good.jsonl").unlink()
    with pytest.raises(InputError, match="no results are in it"):
        search.find_results(beside)


def test_nothing_that_is_no_file_is_opened(beside: Path) -> None:
    """A pipe waits for ever, links go in circles, a name of a file is a directory's."""
    os.mkfifo(beside / "certificates-pipe.jsonl")
    (beside / "results.json").mkdir()
    (beside / "up").symlink_to(beside)
    code, _, skipped = verdict(beside)
    assert code == 0 and sum("pipe" in reason for reason in skipped) == 1
    (beside / "loop.json").symlink_to(beside / "loop.json")
    (beside / "gone.jsonl").symlink_to(beside / "missing")
    code, reasons, _ = verdict(beside)
    assert code == 1 and len(reasons) == 2 and all(reason.startswith("cannot be read") for reason in reasons)
    assert call("verify", str(beside / "certificates-pipe.jsonl")) == 2
    assert call("verify", str(beside / "loop.json")) == 2


def test_a_file_that_may_not_be_read_is_a_finding(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the test: the system says so here."""
    secret = beside / "secret.json"
    secret.write_text(LOG)
    opened = os.open

    def refusing(path: Any, *more: Any, **named: Any) -> int:
        if Path(path) == secret:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    assert verdict(beside)[1] == ["cannot be read (Permission denied); a readable file is accepted"]
    assert call("verify", str(secret)) == 2


def test_a_line_without_end_is_not_read_whole(beside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a log; nor is a document that is too large."""
    monkeypatch.setattr(reading, "MAX_LINE", 5000)
    monkeypatch.setattr(reading, "MAX_BYTES", 6000)
    (beside / "long.jsonl").write_text(LOG + "x" * 6000)
    (beside / "large.json").write_text("\n" * 7000)
    assert sorted(reason[:30] for reason in verdict(beside)[1]) == [
        "file: a line of more than 5000",
        "more than 6000 bytes are not a",
    ]


@pytest.mark.parametrize("name", ["é\udcff.json", "new\nline.json", "a\x1b[31m.json"])
def test_names_are_shown_in_printable_characters(beside: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that are not UTF-8, that break lines, that colour a terminal."""
    (beside / name).write_text("?")
    assert verdict(beside)[0] == 1
    assert call("verify", str(beside)) == 1
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


COMPRESSED = gzip.compress(LOG.encode(), mtime=0)


def test_a_compressed_log_is_read(beside: Path) -> None:
    """As one that is not."""
    (beside / "certificates-x.jsonl.gz").write_bytes(COMPRESSED)
    assert verdict(beside)[0] == 0 and call("verify", str(beside / "certificates-x.jsonl.gz")) == 0


@given(st.integers(0, len(COMPRESSED) - 1), st.integers(1, 255), st.booleans())
@example(at=0, flip=1, cut=True)
@example(at=len(COMPRESSED) - 1, flip=1, cut=True)
def test_a_damaged_or_cut_gzip_is_a_finding(at: int, flip: int, cut: bool) -> None:
    """Whatever byte of it is another or the last; but for those of its header that say nothing of the content."""
    damaged = COMPRESSED[:at] if cut else COMPRESSED[:at] + bytes([COMPRESSED[at] ^ flip]) + COMPRESSED[at + 1 :]
    with files_in("certificates-x.jsonl.gz", damaged) as directory:
        code = verdict(directory)[0]
    try:
        same = gzip.decompress(damaged) == LOG.encode() if damaged else False
    except (OSError, EOFError, zlib.error):
        same = False
    assert code == (0 if same else 1)


@contextlib.contextmanager
def files_in(name: str, content: bytes) -> Iterator[Path]:
    """A directory with a good log and this file."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "good.jsonl").write_text(LOG)
        (Path(folder) / name).write_bytes(content)
        yield Path(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["results.json", "other.json", "certificates-x.jsonl", "other.jsonl", "calibration.json"])


@given(NAMES, st.sampled_from(SCHEMAS) | st.sampled_from(sorted(READERS)), st.integers(-1, 4) | JSON, JSON)
def test_any_document_has_a_verdict(name: str, schema: Any, version: Any, more: Any) -> None:
    """Of our schemas and versions or of others, with any other field."""
    content = {"schema": schema, "version": version, **(more if isinstance(more, dict) else {"x": more})}
    with files_in(name, json.dumps(content).encode()) as directory:
        verdict(directory)


def told_apart(value: object) -> object:
    """A document in which true is not 1, as in JSON."""
    if isinstance(value, dict):
        return {key: told_apart(part) for key, part in value.items()}
    if isinstance(value, list):
        return [told_apart(part) for part in value]
    return ("bool", value) if isinstance(value, bool) else value


@given(st.data())
def test_any_mutation_of_real_results_has_a_verdict(originals: dict[str, Path], data: st.DataObject) -> None:
    """A value of any kind at any place of any of our documents; it is found, or the document is sealed and the same."""
    directory = data.draw(st.sampled_from([originals["gap"], originals["run"]]))
    given = results.document(directory)
    path, value = data.draw(st.sampled_from(list(results.leaves(given))))
    at = path[: data.draw(st.integers(0, len(path)))]
    part = given
    for key in at:
        part = part[key]
    new = data.draw(st.sampled_from(OTHERS) | st.sampled_from(list(mutations(value))) if at == path else JSON)
    text = json.dumps(results.replaced(given, at, new))
    with files_in("results.json", text.encode()) as beside:
        for file in directory.iterdir():
            if file.name != "results.json":
                shutil.copy(file, beside)
        code = verdict(beside)[0]
    assert code == (0 if told_apart(json.loads(text)) == told_apart(given) else 1)


@pytest.mark.parametrize("depth", range(800, 1001, 10))
@pytest.mark.parametrize("field", ["options", "records", "summary", "files", "contradictions", "sha256"])
def test_depth_at_any_place_is_a_finding(originals: dict[str, Path], field: str, depth: int) -> None:
    """Near the most that Python reads, where what is read may be too deep to write or to show."""
    text = json.dumps(results.document(originals["gap"]) | {field: "DEEP"})
    nested = text.replace('"DEEP"', "[" * depth + "]" * depth)
    with files_in("results.json", nested.encode()) as directory:
        assert verdict(directory)[0] == 1


@given(st.sampled_from(["values", "weights", "capacity", "num_tokens", "required"]), st.sampled_from(OTHERS) | JSON)
def test_an_instance_holds_with_its_digest(field: str, value: Any) -> None:
    """As `aptsched snapshot` writes it; with another value it does not."""
    content = instance.to_dict(PROBLEM)
    with files_in("queue.json", json.dumps(content).encode()) as directory:
        assert verdict(directory)[0] == 0
    changed = {**content, "problem": {**content["problem"], field: value}}
    with files_in("queue.json", json.dumps(changed).encode()) as directory:
        assert verdict(directory)[0] == (0 if changed == content else 1)


def test_a_path_that_cannot_be_read_is_bad_input(tmp_path: Path) -> None:
    """Missing, too long, a device, nothing in it; one line each."""
    for path in (tmp_path / "missing", "x" * 5000, "/dev/null", tmp_path, "a\x00b"):
        with pytest.raises(InputError, match=r"cannot be read|no results|not accepted"):
            search.find_results(path)


def test_digests_are_those_of_the_bytes(tmp_path: Path) -> None:
    """As sha256sum has them."""
    (tmp_path / "file").write_bytes(b"abc")
    assert files.sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
