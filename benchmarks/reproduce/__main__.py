"""Serves the evaluation of Apt-Serve's authors again, on a computed clock, and writes docs/reproduction.md.

    python -m benchmarks.reproduce [--seeds 1] [--jobs 2] [--out reproduce-out] [--page docs/reproduction.md] [--quick]

Every published number has its row: their figure, ours, ours over theirs. One scalar is free, that of output lengths,
and is fitted to one published number. What is off by more than 35% is run again with one condition changed at a time.
Ctrl-C keeps what was measured, and the same command goes on from there; with --page-only nothing is measured. It never
fails on a figure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aptsched.support import files
from benchmarks.reproduce import page, plots
from benchmarks.reproduce.figures import Extent
from benchmarks.reproduce.measured import Folder
from benchmarks.reproduce.study import StoppedError, Study

NUM_SEEDS = 1
QUICK_REQUESTS, QUICK_SNAPSHOTS = 60, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the reproduction."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reproduce",
        description="Apt-Serve's published evaluation beside ours.",
        epilog="example: python -m benchmarks.reproduce --seeds 3",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=NUM_SEEDS,
        help="of our figures; reruns have the first one; one takes about half an hour",
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("reproduce-out"), help="folder of what was measured")
    parser.add_argument(
        "--page", type=Path, default=Path("docs/reproduction.md"), help="page that is written, its plot beside it"
    )
    parser.add_argument("--page-only", action="store_true", help="measure nothing: write what is there")
    parser.add_argument("--quick", action="store_true", help="few requests, one model, one set: figures mean nothing")
    options = parser.parse_args(arguments)
    for name in ("seeds", "jobs"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name}: {value} is not accepted; at least 1 is")
    files.make_directory(options.out)
    study = _study(options)
    code = 0
    try:
        if not options.page_only:
            study.run(honest=not options.quick)
    except StoppedError:
        print("stopped: the same command goes on from there", file=sys.stderr)
        code = 130
    files.write(options.page, page.with_written(options.page.read_text(encoding="utf-8"), page.written(study)))
    files.write(options.page.with_suffix(".png"), plots.drawn(study))
    return code


def _study(options: argparse.Namespace) -> Study:
    folder = Folder(options.out)
    if options.quick:
        quick = Extent((0,), ("opt-13b",), ("humaneval",))
        return Study(folder, quick, quick, QUICK_REQUESTS, QUICK_SNAPSHOTS, options.jobs)
    extent = Extent(tuple(range(options.seeds)))
    return Study(folder, extent, Extent((0,), ("opt-13b",)), jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
