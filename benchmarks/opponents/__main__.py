"""All policies in one study of the rates that they hold: steady, in bursts, on real arrivals, beside our own.

    python -m benchmarks.opponents [screen] [chosen] [--cells sharegpt-cv1 ...] [--policies sarathi ...]
        [--seed 20] [--azure FILE] [--jobs 2] [--out DIR]

The setting `sustained` of `aptsched capacity` (docs/capacity.md), by computed cost, at which 99% and 90% attain (of
LongBench in bursts 75%). `screen`: every policy, plain and within `shed`, with one seed, for 2 to 7 minutes of arrivals
(bursts of LongBench 21), OPT-13B on A100-40GB, chat objectives, lengths of ShareGPT, HumanEval and LongBench, gaps
between arrivals of CV 1 and 4. `chosen`: ours, what it
is compared with, and the best of the screen, with five seeds that no constant of ours was chosen on, lengths moved by
10%, 11 minutes of arrivals (of HumanEval 4); also CV 2, MLPerf's interactive objectives for Llama-3.1-8B on
A100-80GB (4 minutes), and with --azure the trace AzureLLMInferenceTrace_code of AzurePublicDataset: five windows of it
with their own arrivals, and a TTFT of max(1 s, 3 times the own prefill). Each cell has a folder as `aptsched capacity
--out` writes it. Ctrl-C keeps what is done, and the same command goes on from there. At the end, and at once where no
part is named, opponents.md gets all tables of the folders that are there. It never fails on a figure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aptsched.support import files, interrupts
from benchmarks.opponents.azure import with_own_ttft
from benchmarks.opponents.cell import (
    AZURE,
    BURSTS,
    INTERACTIVE,
    JITTER,
    LLAMA,
    MILDER,
    SEED,
    STEADY,
    Cell,
    Extent,
    StoppedError,
    code,
    searched,
)
from benchmarks.opponents.chosen import chosen_policies, screened_policies
from benchmarks.opponents.report import all_tables

SHORT_S = {
    "": (300.0, 60.0),
    "humaneval-cv1": (120.0, 30.0),
    "humaneval-cv4": (120.0, 30.0),
    "longbench-cv1": (420.0, 60.0),
    "longbench-cv4": (1260.0, 60.0),
}
LONG_S = {
    "": (660.0, 60.0),
    **{cell.name: (240.0, 60.0) for cell in INTERACTIVE},
    **dict.fromkeys(("humaneval-cv1", "humaneval-cv2", "humaneval-cv4"), (240.0, 60.0)),
}
SCREEN, CHOSEN = "screen", "chosen"
EXTENTS = {
    SCREEN: Extent(SHORT_S, seed=0, num_seeds=1, jitter=None),
    CHOSEN: Extent(LONG_S, seed=SEED, num_seeds=5, jitter=JITTER),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the study."""
    options = _checked(arguments)
    out = files.make_directory(options.out)
    trace = None if options.azure is None else with_own_ttft(options.azure, out / "azure.csv", **LLAMA)
    extents = EXTENTS | {CHOSEN: replace(EXTENTS[CHOSEN], seed=options.seed)}
    try:
        for part in options.parts:
            for cell in _cells(part, trace):
                if cell.name in (options.cells or [cell.name]):
                    usual = screened_policies() if part == SCREEN else chosen_policies(cell)
                    searched(cell, options.policies or usual, extents[part], out / part, options.jobs)
    except StoppedError:
        print("stopped: the same command goes on from there", file=sys.stderr)
        return interrupts.EXIT_CODE
    files.write(out / "opponents.md", all_tables(out))
    return 0


def _cells(part: str, trace: Path | None) -> list[Cell]:
    """The cells of a part of the study; that of the trace, if there is one, is the last."""
    if part == SCREEN:
        return [*STEADY, *BURSTS]
    return [*STEADY, *BURSTS, *MILDER, *INTERACTIVE, *([] if trace is None else [code(trace)])]


def _checked(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; ends the process where one is not accepted."""
    parser = _parser()
    options = parser.parse_args(arguments)
    for name, least in (("jobs", 1), ("seed", 0)):
        if (given := getattr(options, name)) < least:
            parser.error(f"--{name}: {given} is not accepted; at least {least} is")
    known = [cell.name for cell in _cells(CHOSEN, Path())]
    for name, given, accepted in (("PART", options.parts, list(EXTENTS)), ("--cells", options.cells or [], known)):
        for each in given:
            if each not in accepted:
                parser.error(f"{name}: {each!r} is not accepted; {', '.join(accepted)} are")
    if options.azure is None and AZURE in (options.cells or []):
        parser.error(f"--azure: nothing is given; the cell {AZURE} needs the trace")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.opponents",
        description="The highest rates that all policies hold.",
        epilog="example: python -m benchmarks.opponents chosen --cells sharegpt-cv1 --policies bid-price sarathi",
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="screen, chosen; none: tables of what is there")
    parser.add_argument("--cells", nargs="+", help="in place of all, by the names of their folders")
    parser.add_argument("--policies", nargs="+", help="in place of each part's own")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of {CHOSEN} the first of five")
    parser.add_argument("--azure", type=Path, help="the trace with its own arrivals")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("bench-out/opponents"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
