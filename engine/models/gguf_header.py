"""Reads the header of a GGUF file: its metadata, and where its tensors lie.

The gguf package has a reader too. It makes several arrays for each token and merge, which takes seconds, and does not
notice a file that ends early.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
MAX_AXES = 4


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: its shape (outermost axis first), the name of its type in gguf, and its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    first_byte: int
    num_bytes: int


@dataclass(frozen=True)
class Header:
    """The header of a GGUF file: all before its data."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header of a GGUF file, version 2 or 3, little-endian.

    Raises
    ------
    InputError
        The file cannot be read, is not GGUF, ends early, or has a tensor of an unknown type.
    """
    with files.reading(path) as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # it has no bytes
            raise InputError(f"{path}: cannot be read ({error}); a GGUF file is accepted") from error
    with data:
        return _Cursor(Path(path), data).header()


class _Cursor:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def header(self) -> Header:
        if self.take(4) != MAGIC:
            raise InputError(f"{self.path}: not a GGUF file: it does not begin with 'GGUF'")
        version, num_tensors, num_entries = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if version not in VERSIONS:
            raise InputError(f"{self.path}: GGUF version {version} is not supported; 2 and 3, little-endian, are")
        metadata: dict[str, Any] = {}
        for _ in range(num_entries):
            key = self.string()
            if key in metadata:
                raise InputError(f"{self.path}: {shown(key)}: given twice, which is not accepted; once is")
            metadata[key] = self.value(self.scalar("I"))
        infos = [self.tensor_info() for _ in range(num_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment < 1:
            raise InputError(f"{self.path}: general.alignment: {alignment!r} is not accepted; a number above 0 is")
        start = -(-self.at // alignment) * alignment
        return Header(self.path, metadata, self.apart([self.placed(start, *info) for info in infos]))

    def apart(self, tensors: list[TensorInfo]) -> dict[str, TensorInfo]:
        """The tensors by name; raises InputError where two have the same name, or bytes in common."""
        by_name = {tensor.name: tensor for tensor in tensors}
        if len(by_name) < len(tensors):
            name = next(name for name in by_name if sum(tensor.name == name for tensor in tensors) > 1)
            raise InputError(f"{self.path}: {shown(name)}: given twice, which is not accepted; once is")
        in_order = sorted(tensors, key=lambda tensor: tensor.first_byte)
        for before, after in pairwise(in_order):
            if before.first_byte + before.num_bytes > after.first_byte:
                raise InputError(
                    f"{self.path}: {shown(after.name)}: it begins at byte {after.first_byte}, within "
                    f"{shown(before.name)}; tensors apart are accepted"
                )
        return by_name

    def take(self, num_bytes: int) -> bytes:
        piece = self.data[self.at : self.at + num_bytes]
        if len(piece) != num_bytes:
            raise InputError(f"{self.path}: the file ends early, at byte {len(self.data)}, within its header")
        self.at += num_bytes
        return piece

    def scalar(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        at = self.at
        try:
            return self.take(self.scalar("Q")).decode()
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: the string at byte {at} is not UTF-8, which is needed") from error

    def value(self, kind: int) -> Any:
        if kind in SCALARS:
            return self.scalar(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise InputError(f"{self.path}: value type {kind} at byte {self.at} is not known; 0 to 12 are")
        kind, length = self.scalar("I"), self.scalar("Q")
        if kind in SCALARS:
            size = struct.calcsize("<" + SCALARS[kind])
            return list(struct.unpack(f"<{length}{SCALARS[kind]}", self.take(length * size)))
        if kind != STRING:
            raise InputError(
                f"{self.path}: an array of value type {kind} at byte {self.at} is not supported; 0 to 8 are"
            )
        return [self.string() for _ in range(length)]

    def tensor_info(self) -> tuple[str, tuple[int, ...], int, int]:
        name, num_axes = self.string(), self.scalar("I")
        if num_axes > MAX_AXES:
            raise InputError(f"{self.path}: {shown(name)}: {num_axes} axes are not accepted; up to {MAX_AXES} are")
        axes = tuple(self.scalar("Q") for _ in range(num_axes))  # innermost first
        return name, axes[::-1], self.scalar("I"), self.scalar("Q")

    def placed(self, start: int, name: str, shape: tuple[int, ...], kind: int, offset: int) -> TensorInfo:
        from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

        try:
            quantization = GGMLQuantizationType(kind)
        except ValueError as error:
            raise InputError(
                f"{self.path}: {shown(name)}: tensor type {kind} is not known to the gguf package"
            ) from error
        block_size, block_bytes = GGML_QUANT_SIZES[quantization]
        if shape and shape[-1] % block_size:
            raise InputError(f"{self.path}: {shown(name)}: rows of {shape[-1]} are not whole blocks of {block_size}")
        num_bytes = math.prod(shape) // block_size * block_bytes
        if start + offset + num_bytes > len(self.data):
            raise InputError(
                f"{self.path}: {name}: the file ends early, at byte {len(self.data)}, before the tensor does"
            )
        return TensorInfo(name, shape, quantization.name, start + offset, num_bytes)
