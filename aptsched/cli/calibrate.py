"""`aptsched calibrate`: what an iteration takes on this device with this model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import app, typer
from aptsched.cli.model_options import (
    Device,
    Dtype,
    ExpandKvHeads,
    HiddenAttention,
    ModelName,
    Threads,
    load,
    require_torch,
)
from aptsched.cli.unwritten import postponed, raise_first
from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from engine.calibration.measure import Calibration


@app.command()
def calibrate(
    model: ModelName = "smollm2",
    dtype: Dtype = "fp32",
    device: Device = "cpu",
    threads: Threads = None,
    expand_kv_heads: ExpandKvHeads = False,
    hidden_attention: HiddenAttention = "absorbed",
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Write calibration.json and calibration.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print calibration.json instead of the table.")] = False,
) -> None:
    """Measure what an iteration takes on this device with this model.

    Runs prefills and decodes of several sizes, and each decode in KV form and every other form by turns. Fits follow:
    of the seconds of an iteration, of rho, the seconds that a hidden request adds for each block that it would need
    with a KV cache, and of the same for int8. Chunks of several sizes show up to how many new tokens attention over
    hidden states is faster absorbed. `aptsched run --calibration FILE` uses all that.

    \b
    Examples:
      aptsched calibrate --model smollm2 --out here
      aptsched run --calibration here/calibration.json --workload sharegpt
    """  # noqa: D301
    require_torch()
    from aptsched.report.document import prepare
    from aptsched.report.notices import tell
    from aptsched.report.progress import measuring
    from engine.calibration import calibration_files
    from engine.models.hidden_attention import check_hidden_attention

    check_hidden_attention(hidden_attention)
    directory = None if out is None else prepare(out, calibration_files.FILES)
    try:
        loaded = load(model, dtype, device, threads, expand_kv_heads)
        tell(loaded.notices, sys.stderr)
        from engine.study.real_model import calibrated

        with measuring() as progress:
            measured = calibrated(loaded, progress, hidden_attention)
        _report(measured, loaded.config.absorb_up_to, directory, as_json)
    except KeyboardInterrupt:
        print("interrupted: nothing is written", file=sys.stderr)
        raise typer.Exit(interrupts.EXIT_CODE) from None


def _report(measured: Calibration, absorb_up_to: int, directory: Path | None, as_json: bool) -> None:
    from aptsched.report import table
    from engine.calibration import calibration_files, calibration_json

    unwritten: list[InputError] = []
    if directory is not None:
        with postponed(unwritten):
            calibration_files.write(directory, measured)
    if as_json:
        print(calibration_json.as_json(measured), end="")
    else:
        sections = calibration_files.sections(measured)
        table.show(calibration_files.COLUMNS, sections, calibration_files.notes(measured, absorb_up_to), sys.stdout)
    raise_first(unwritten)
