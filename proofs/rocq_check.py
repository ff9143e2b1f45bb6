"""`python -m proofs.rocq_check`: checks all that is proved in Coq, and its tie to the program; prints one table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from proofs import rocq_build, rocq_theorems, rocq_tie

SEED = 20250617
MISSING = """coqc is not there. To have it:
  Debian, Ubuntu   apt-get install coq
  macOS            brew install coq
  elsewhere        opam install coq.8.16.1
The proofs are tried with Coq 8.16."""


def main(arguments: list[str] | None = None) -> int:
    """Run all checks; return 0 if everything holds, 1 if something does not, 2 if there is no Coq."""
    parser = argparse.ArgumentParser(prog="python -m proofs.rocq_check", description=__doc__)
    parser.add_argument("--instances", type=int, default=4000, help="random instances for the tie (default: 4000)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of these instances (default: {SEED})")
    chosen = parser.parse_args(arguments)
    if shutil.which("coqc") is None:
        print(MISSING, file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as directory:
            _check(Path(directory), chosen.instances, chosen.seed)
    except rocq_build.RocqError as error:
        print(f"proofs: {error}", file=sys.stderr)
        return 1
    return 0


def _check(directory: Path, instances: int, seed: int) -> None:
    files = rocq_build.sources()
    print(f"compiling {len(files)} files and checking them with coqchk (about two minutes)", flush=True)
    rocq_build.check_sources(files)
    rocq_build.build(directory, files)
    rocq_build.check_kernel(directory, files)
    rocq_build.check_assumptions(directory, rocq_theorems.proved())
    problems = rocq_tie.random_problems(instances, seed)
    proved = rocq_tie.proved_objectives(problems, directory)
    differing = rocq_tie.differing(problems, proved) or rocq_tie.differing_in_plain_python(problems, proved)
    if differing:
        raise rocq_build.RocqError(f"the proved greedy and greedy(problem, fill=False) differ: {differing[0]}")
    print(rocq_theorems.table())
    print(f"\nEach `checked`: compiled, passed by coqchk, {rocq_build.CLOSED.lower()}; nothing admitted, no axioms.")
    print(f"The proved greedy and greedy(problem, fill=False): the same objective on {instances} instances,")
    print("with loops as they run here and in plain Python.")


if __name__ == "__main__":
    sys.exit(main())
