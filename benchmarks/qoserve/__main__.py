"""QoServe's ablation on Azure's code lengths, and its rates against Sarathi-Serve's, beside what its authors published.

    python -m benchmarks.qoserve [--hours 1] [--changed-hours 2] [--rate-hours 0.25] [--out DIR] [--page PAGE]

Llama-3-8B on A100-80GB (QoServe, ASPLOS 2026; arXiv 2503.22562). Each request is of one of three classes, a third each:
a TTFT of 6 s and 50 ms a token after it, the last token within 600 s, or within 1,800 s. A class that is due as a whole
has as its TTFT what is left once a long output (the mean and two standard deviations of all) has taken 50 ms a token,
as in QoServe's code; what counts is its last token. Lengths are the built-in ones of Azure's code trace of 2023, scaled
to the medians that QoServe has of its trace, a later one; arrivals are Poisson, from one seed. Iterations take what the
linear model in QoServe's code says.

Prints the share that violates its objectives at 6 requests a second, and the highest rate, in steps of 0.25, at which
no more than 1% do and all is served within a minute of the last arrival: a queue that grows would come to violations if
more arrived. Each has the published number and ours over it. What is off by more than 35% is run again with one cause
changed: requests arrive for longer, or have the lengths of 2023. The table goes into docs/reproduction.md. Ctrl-C keeps
what is known, and the same command goes on from there. It never fails on a figure; one core takes some ten minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aptsched.support import files
from benchmarks.qoserve.iterations import linear_server
from benchmarks.qoserve.rows import Compared, Extent, rows, written
from benchmarks.qoserve.violations import Bench
from benchmarks.reproduce.page import with_written

BEGIN = "<!-- from here on written by python -m benchmarks.qoserve -->"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.qoserve", description="QoServe's figures and ours.")
    usual = Extent()
    for name, default in vars(usual).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=default, help="of arrivals")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for qoserve.json")
    parser.add_argument("--page", type=Path, default=Path("docs/reproduction.md"), help="page whose table is written")
    options = parser.parse_args(arguments)
    hours = {name: getattr(options, name) for name in vars(usual)}
    for name, value in hours.items():
        if not 0 < value <= 24:
            parser.error(f"--{name.replace('_', '-')}: {value:g} is not accepted; above 0, up to 24, is")
    bench = Bench(linear_server(), files.make_directory(options.out) / "qoserve.json")
    found = list[Compared]()
    try:
        found.extend(rows(bench, Extent(**hours)))
    except KeyboardInterrupt:
        print("stopped: the same command goes on from there", file=sys.stderr)
    print(written(found))
    files.write(options.page, with_written(options.page.read_text(encoding="utf-8"), written(found), BEGIN))


if __name__ == "__main__":
    main()
