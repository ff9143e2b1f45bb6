"""One step of the benchmark, in a process of its own: writes each row as a line of JSON as soon as it is known."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

from benchmarks.gpu.rig import Rig


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that a step shares with the whole."""
    parser.add_argument("--device", default="cuda", help="of torch")
    parser.add_argument("--tiny", action="store_true", help="a trial in tiny sizes, as on a CPU")
    parser.add_argument("--out", type=Path, default=Path("gpu-out"), help="folder for all results")


def rows_file(out: Path, name: str) -> Path:
    """Where the rows of a step are."""
    return out / f"{name}.jsonl"


def main() -> None:
    """Runs the step."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.step")
    parser.add_argument("name")
    arguments(parser)
    options = parser.parse_args()
    module = importlib.import_module(f"benchmarks.gpu.{options.name}")
    with rows_file(options.out, options.name).open("w", encoding="utf-8") as file:
        for row in module.rows(Rig(options.device, options.tiny, options.out)):
            file.write(json.dumps(row) + "\n")
            file.flush()


if __name__ == "__main__":
    main()
