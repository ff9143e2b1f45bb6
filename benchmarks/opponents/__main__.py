"""All policies in one study of the rates that they hold: plain and with `shed`, steady and in bursts, on three sets.

    python -m benchmarks.opponents [--policies fcfs sarathi ...] [--best 4] [--seeds 5] [--full] [--jobs 2] [--out DIR]

OPT-13B on A100-40GB by computed cost, chat objectives (TTFT 1 s, TPOT 0.2 s), the setting `sustained` of
`aptsched capacity` (docs/capacity.md); lengths of ShareGPT, HumanEval and LongBench, gaps between arrivals of CV 1 and
4. First every policy, plain and within `shed`, with one seed, at the lower level. Then those that hold most (of each
policy the better of plain and shed, by the geometric mean over all cells), beside `REFERENCES` and `OURS`, with several
seeds, at both levels. Requests arrive for 2 to 7 minutes, or 11 in the second part with --full; bursts of LongBench for
three times as long. Writes opponents.md with its tables, and a folder for each cell. Ctrl-C keeps what is done, and the
same command goes on from there. It never fails on a figure.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from aptsched.policies.named import CLASSES
from aptsched.support import files, interrupts
from benchmarks.opponents.cell import CELLS, LEVELS, Extent, StoppedError, searched
from benchmarks.opponents.tables import Held, best_table, ranked, screen_table, shed, short_table

VARIANTS = ("aptserve:forms=kv", "aptserve:charge=lifetime")
REFERENCES = ("fcfs", "vllm-v1", "sarathi", shed("sarathi"), "aptserve")
ORACLES = ("sjf", "svf:lengths=true")  # screened, as a measure of what lengths are worth, but never among the best
OURS = ("bid-price", "aptserve:charge=lifetime")  # not among the best either, but beside them
SHORT_S = {"sharegpt": (300.0, 60.0), "humaneval": (120.0, 30.0), "longbench": (420.0, 60.0)}
FULL_S = dict.fromkeys(SHORT_S, (660.0, 60.0))


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the study."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.opponents",
        description="The highest rates that all policies hold.",
        epilog="example: python -m benchmarks.opponents --policies qoserve slai --best 2",
    )
    parser.add_argument("--policies", nargs="+", default=[*CLASSES, *VARIANTS], help="in place of all; with references")
    parser.add_argument("--best", type=int, default=4, help="how many of them are searched with several seeds")
    parser.add_argument("--seeds", type=int, default=5, help="of the second part")
    parser.add_argument("--full", action="store_true", help="660 s of arrivals in the second part, or 1980")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, default=Path("bench-out/opponents"))
    options = parser.parse_args(arguments)
    for name in ("best", "seeds", "jobs"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name}: {value} is not accepted; at least 1 is")
    try:
        files.write(files.make_directory(options.out) / "opponents.md", study(options))
    except StoppedError:
        print("stopped: the same command goes on from there", file=sys.stderr)
        return interrupts.EXIT_CODE
    return 0


def study(options: argparse.Namespace) -> str:
    """Both parts of the study: their tables."""
    screen = Extent(1, SHORT_S, all_levels=False)
    policies = list(dict.fromkeys(["fcfs", *OURS, *options.policies]))
    pairs = [name for policy in policies for name in (policy, shed(policy))]
    screened = held(pairs, screen, options.out / "screen", options.jobs)
    best = ranked(screened, [name for name in options.policies if name not in (*ORACLES, *OURS)])[: options.best]
    chosen = list(dict.fromkeys([*REFERENCES, *OURS, *best]))
    longer = Extent(options.seeds, FULL_S if options.full else SHORT_S, all_levels=True)
    found = held(chosen, longer, options.out / "best", options.jobs)
    tables = {
        "All policies, plain / within `shed`, one seed, short runs": screen_table(screened, policies),
        **{f"The best, {level:.0%}": best_table(found, chosen, level) for level in LEVELS},
        "In short": short_table(found, chosen),
    }
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in tables.items()) + "\n"


def held(policies: Sequence[str], extent: Extent, folder: Path, jobs: int) -> Held:
    """What the policies hold at all cells; a policy that fails holds nothing."""
    found = {}
    for cell in CELLS:
        for each in searched(cell, policies, extent, folder, jobs).capacities:
            found[cell, each.level, each.policy] = each
    return found


if __name__ == "__main__":
    sys.exit(main())
