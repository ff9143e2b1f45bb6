"""The protocol of a form of cache by kernels."""

from __future__ import annotations

from typing import Protocol

from aptsched.support.checks import Ints
from engine.runner.forms.form_blocks import AttendCached, Write
from engine.runner.kernels.mix import Mix


class FormKernels(Protocol):
    """Writes and reads the same blocks as the form's `FormBlocks`, whose other methods go on being used.

    Attributes
    ----------
    reads_prefills : bool
        Whether tokens of a whole prefill attend to what is written of them. Where K and V have to be made of what is
        written, they attend to those that the model computes anyway.
    """

    reads_prefills: bool

    def writer(self, table: Ints, owner: Ints, positions: Ints) -> Write:
        """`FormBlocks.writer`."""
        ...

    def attender(self, mix: Mix) -> AttendCached:
        """A function by which new tokens attend to all cached tokens of their request up to themselves.

        They are written before. Blocks are read up to the last of these tokens, and nothing beyond it.
        """
        ...
