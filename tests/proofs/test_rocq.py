"""The proofs in Coq: what runs the greedy that is proved about, and what would notice a gap in a proof.

`make proofs` checks the proofs whole; here are the tie to the program and the checks themselves.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from aptsched import BatchProblem, greedy
from proofs import rocq_build, rocq_check, rocq_theorems, rocq_tie

NUM_INSTANCES = 1000
REQUIRED = os.environ.get("APTSCHED_REQUIRE_COQ") == "1"
without_coq = pytest.mark.skipif(
    shutil.which("coqc") is None and not REQUIRED, reason="coqc is not there; `make proofs` installs it"
)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("rocq")
    rocq_build.build(directory, rocq_tie.NEEDED)
    yield directory
    shutil.rmtree(directory)


@without_coq
def test_proved_greedy_and_greedy_have_the_same_objective(compiled: Path) -> None:
    """On every one of the random instances, exactly."""
    problems = rocq_tie.random_problems(NUM_INSTANCES, seed=20250618)
    proved = rocq_tie.proved_objectives(problems, compiled)
    assert rocq_tie.differing(problems, proved) == rocq_tie.differing_in_plain_python(problems, proved) == []


@without_coq
@pytest.mark.parametrize(
    ("values", "weights", "capacity", "objective"),
    [
        ([[5.0], [4.0]], [[3], [3]], 3, 5),
        ([[2.0], [4.0], [4.0]], [[1], [4], [4]], 8, 6),
        ([[1.0], [10.0]], [[1], [20]], 20, 10),
        ([[9.0], [1.0]], [[8], [2]], 7, 1),
        ([[3.0, 2.0]], [[0, 0]], 0, 3),
    ],
    ids=["tie", "family", "single", "misfit", "weightless"],
)
def test_proved_greedy_by_hand(
    compiled: Path, values: list[list[float]], weights: list[list[int]], capacity: int, objective: int
) -> None:
    """The greedy that Coq runs has the objective worked out by hand."""
    problem = BatchProblem(values, weights, capacity)
    assert rocq_tie.proved_objectives([problem], compiled) == [objective]
    assert greedy(problem, fill=False).objective_s == objective


def test_in_plain_python_each_instance_is_compared() -> None:
    """One objective of twenty that is wrong by an eighth is found, and no other."""
    problems = rocq_tie.random_problems(20, seed=7)
    objectives = [Fraction(greedy(problem, fill=False).objective_s) for problem in problems]
    assert rocq_tie.differing_in_plain_python(problems, objectives) == []
    objectives[4] += Fraction(1, 8)
    (found,) = rocq_tie.differing_in_plain_python(problems, objectives)
    assert f"proved {objectives[4]}, program {objectives[4] - Fraction(1, 8)}" in found


def test_another_algorithm_would_differ() -> None:
    """The random instances tell the greedy from one that goes on filling: on one in twenty at least."""
    problems = rocq_tie.random_problems(NUM_INSTANCES, seed=20250618)
    other = [greedy(p).objective_s != greedy(p, fill=False).objective_s for p in problems]
    assert sum(other) * 20 > len(problems)


@without_coq
@pytest.mark.parametrize("gap", ["Axiom free : 1 = 2.", "Lemma free : 1 = 2. Admitted."], ids=["axiom", "admitted"])
def test_assumptions_are_noticed(compiled: Path, gap: str) -> None:
    """A theorem that rests on an axiom or on an admitted lemma is not accepted."""
    (compiled / "Gap.v").write_text(f"{gap}\nTheorem rests : 2 = 1. Proof. symmetry. exact free. Qed.")
    rocq_build.compile_file(compiled, "Gap.v")
    with pytest.raises(rocq_build.RocqError, match="free"):
        rocq_build.check_assumptions(compiled, [("Gap.v", "rests")])
    with pytest.raises(rocq_build.RocqError, match="free"):
        rocq_build.check_kernel(compiled, ["Gap.v"])


@without_coq
def test_wrong_proof_is_rejected(compiled: Path) -> None:
    """What does not compile is an error that names the file."""
    (compiled / "Wrong.v").write_text("Lemma wrong : 1 = 2. Proof. reflexivity. Qed.")
    with pytest.raises(rocq_build.RocqError, match="Wrong"):
        rocq_build.compile_file(compiled, "Wrong.v")


@pytest.mark.parametrize("line", ["Admitted.", "Axiom a : False.", "Parameter a : nat.", "  admit."])
def test_unproved_statements_are_found(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to have Coq take a statement without a proof is found in the source."""
    (tmp_path / "A.v").write_text(f"Lemma b : True.\n{line}\n")
    monkeypatch.setattr(rocq_build, "SOURCES", tmp_path)
    with pytest.raises(rocq_build.RocqError, match=r"A\.v:2"):
        rocq_build.check_sources(["A.v"])


def test_sources_have_no_unproved_statement() -> None:
    """No file takes anything without a proof, and no file is left out of the build."""
    rocq_build.check_sources(rocq_build.sources())
    assert sorted(rocq_build.sources()) == sorted(path.name for path in rocq_build.SOURCES.glob("*.v"))


def test_table_has_all_ten_theorems() -> None:
    """Every theorem has a row, and each name is a statement of its file."""
    assert {row.theorem for row in rocq_theorems.ROWS} == {str(number) for number in range(1, 11)}
    for file, name in rocq_theorems.proved():
        assert re.search(rf"^(Theorem|Corollary) {name}\b", (rocq_build.SOURCES / file).read_text(), re.MULTILINE), name


def test_readme_quotes_the_sources() -> None:
    """Each Coq passage of the page is in a source word for word, and each proved statement is on the page."""
    page = (rocq_build.SOURCES / "README.md").read_text()
    text = " ".join(" ".join((rocq_build.SOURCES / name).read_text() for name in rocq_build.sources()).split())
    passages = re.findall(r"```coq\n(.*?)```", page, re.DOTALL)
    for statement in "\n\n".join(passages).split("\n\n"):
        assert " ".join(statement.split()) in text, statement
    assert [name for _, name in rocq_theorems.proved() if name not in page] == []


def test_missing_coq_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without coqc the exit status is 2, and the message says how to get it."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert rocq_check.main([]) == 2
    assert "apt-get install coq" in capsys.readouterr().err


def test_failure_is_an_exit_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is not proved ends the check with status 1 and the place, and no table."""
    (tmp_path / "_CoqProject").write_text("-R . Aptsched\nA.v\n")
    (tmp_path / "A.v").write_text("Lemma a : False.\nAdmitted.\n")
    monkeypatch.setattr(rocq_build, "SOURCES", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert rocq_check.main([]) == 1
    printed = capsys.readouterr()
    assert "A.v:2" in printed.err and "checked" not in printed.out
