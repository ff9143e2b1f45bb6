"""Figures as PNG, drawn without a display."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def require() -> None:
    """Find out before a long run whether plots can be drawn.

    Raises
    ------
    InputError
        matplotlib is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError("out: plots need matplotlib; pip install 'aptsched[report]' brings it") from error


def panels(num_rows: int, num_columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, each of about that size in inches, row by row; those of a row share the y axis."""
    from matplotlib.figure import Figure

    size = (width * num_columns, height * num_rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    found = figure.subplots(num_rows, num_columns, sharey="row", squeeze=False).ravel().tolist()
    for axes in found:
        axes.grid(alpha=0.3)
    return figure, found


def png(figure: Figure) -> bytes:
    """The figure as a file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
