"""A calibration for people to read: a table of measurements and fits, and a plot of rho."""

from __future__ import annotations

from pathlib import Path

from aptsched.report import serving_plots, table
from aptsched.report.table import Column, Section
from aptsched.scheduling.forms import Charge, entry_of
from aptsched.support import files
from engine.calibration import calibration_json
from engine.calibration.measure import Calibration
from engine.calibration.points import Point

FILES = ("calibration.json", "calibration.png")
COLUMNS = (
    Column("iteration", left=True),
    *(Column(name, "tokens", min_width=6) for name in ("fed", "cached")),
    Column("blocks m"),
    Column("measured", min_width=8),
    Column("fitted", min_width=8),
    Column("measured", "added by the form", min_width=9),
    Column("fitted", "added by the form", min_width=9),
)


def write(directory: Path, measured: Calibration) -> None:
    """Write calibration.json, and calibration.png where the model has a hidden form."""
    calibration_json.save(measured, directory / "calibration.json")
    rebuilt = [point for point in measured.points if point.num_blocks_with(Charge.ABSORB)]
    if rebuilt:
        blocks, extra_s = [p.num_blocks_with(Charge.ABSORB) for p in rebuilt], [p.extra_s for p in rebuilt]
        assert measured.r_squared is not None
        plot = serving_plots.rebuilding(blocks, extra_s, measured.times.rho_s_per_block, measured.r_squared)
        files.write(directory / "calibration.png", plot)


def sections(measured: Calibration) -> list[Section]:
    """A row for each kind of iteration."""
    title = f"{measured.model}, {measured.dtype}, {measured.device}"
    return [Section(title, [_row(point, measured) for point in measured.points])]


def notes(measured: Calibration, absorb_up_to: int) -> list[str]:
    """Lines below the table that say what was fitted.

    absorb_up_to is the most new tokens for which absorbed attention is cheaper by the model's shape.
    """
    times = measured.times
    lines = [
        f"An iteration takes {table.duration(times.fixed_s)}, and {table.short_duration(times.per_token_s)} a token of "
        f"a prompt, {table.short_duration(times.per_token_s + times.per_decode_s)} a decode, "
        f"{table.short_duration(times.per_context_token_s)} a token cached.",
    ]
    if measured.swap_s_per_block:
        lines.append(f"A block swapped to the host or back takes {table.short_duration(measured.swap_s_per_block)}.")
    if any(point.num_blocks_with(Charge.DEQUANTISE) for point in measured.points):
        added = table.short_duration(times.dequantise_s_per_block)
        lines.append(f"int8: {added} for each block m of a request in that form, in place of KV.")
    if measured.r_squared is None:
        return [*lines, "The model has no hidden form: its hidden states take no less than its K and V."]
    rho = f"rho: {table.short_duration(times.rho_s_per_block)} for each block m of a hidden request"
    kept = table.short_duration(times.rebuild_s_per_block)
    return [
        *lines,
        f"{rho}, R^2 = {measured.r_squared:.3f}. m: blocks that the requests would need with a KV cache.",
        _how_read(measured.absorb_up_to, absorb_up_to),
        f"To convert a hidden request to KV takes {kept} for each block m, once.",
    ]


def _how_read(measured: int, by_shape: int) -> str:
    """How hidden states are read, and up to where."""
    if not measured:
        return "Hidden states were read with K and V rebuilt."
    tokens = f"{measured} new tokens of a request" if measured > 1 else "a new token of a request"
    return f"Attention over hidden states is faster absorbed up to {tokens} ({by_shape} by the model's shape)."


def _row(point: Point, measured: Calibration) -> list[str]:
    by_form = point.kv_blocks_by_form
    fitted_s = measured.times.predict(point.num_tokens, point.num_context_tokens, by_form, point.num_decodes)
    blocks = sum(by_form)
    kind = "prefill" if not point.num_context_tokens else "decode"
    added = ["-", "-"]
    if blocks:
        form = by_form.index(blocks)
        kind = f"decode, {entry_of(form).label}"
        fitted_added_s = measured.times.added_s_per_block[form] * blocks
        added = [table.duration(point.extra_s), table.duration(fitted_added_s)]
    return [
        kind,
        str(point.num_tokens),
        str(point.num_context_tokens),
        str(blocks) if blocks else "-",
        table.duration(point.seconds),
        table.duration(fitted_s),
        *added,
    ]
