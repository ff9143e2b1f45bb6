"""GPUs by their data sheets, or from a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import MappingProxyType

from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

GIB = 2**30
NUMBER_BYTES = 2  # weights, K, V and hidden states are 16-bit floats, for which the rates below hold
MAX_NAME = 60
MAX_VALUE = 1e30


@dataclass(frozen=True)
class GPU:
    """The peak rates and the memory of a GPU.

    Attributes
    ----------
    name : str
    flops_per_s : float
        Dense 16-bit floating-point operations of the tensor cores.
    bandwidth_bytes_per_s : float
        Bandwidth of its memory.
    memory_bytes : float
        As CUDA reports it, a few percent less than the name says; drivers differ by about a percent.
    pcie_bytes_per_s : float
        Bandwidth to the host, in one direction.
    link_bytes_per_s : float
        Bandwidth to the other GPUs, in one direction: by NVLink where there is one, else by PCIe.
    """

    name: str
    flops_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    pcie_bytes_per_s: float
    link_bytes_per_s: float

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isprintable() and 0 < len(self.name) <= MAX_NAME):
            raise InputError(f"name: {shown(self.name)} of a GPU is not accepted; up to {MAX_NAME} letters are")
        for name, value in asdict(self).items():
            if name != "name" and not (type(value) in (int, float) and 1 <= value <= MAX_VALUE):
                accepted = f"a number from 1 to {MAX_VALUE:g} is"
                raise InputError(f"{name}: {shown(value)} of GPU {self.name} is not accepted; {accepted}")


# NVIDIA's data sheets: A100 (SXM4), H100 (SXM5), L40S; A10G from the description of AWS's G5 instances.
# PCIe of generation 4 carries 32 GB/s in a direction with 16 lanes, of generation 5 twice as much.
GPUS: Mapping[str, GPU] = MappingProxyType(
    {
        gpu.name: gpu
        for gpu in (
            GPU("a100-40gb", 312e12, 1555e9, 39.39 * GIB, 32e9, 300e9),
            GPU("a100-80gb", 312e12, 2039e9, 79.15 * GIB, 32e9, 300e9),
            GPU("h100", 989e12, 3350e9, 79.11 * GIB, 64e9, 450e9),
            GPU("l40s", 362e12, 864e9, 44.4 * GIB, 32e9, 32e9),
            GPU("a10g", 70e12, 600e9, 22.06 * GIB, 32e9, 32e9),
        )
    }
)


def find_gpu(name: str) -> GPU:
    """The GPU of that name, or of that file if the name ends with .toml.

    Raises
    ------
    InputError
        There is no such GPU; the message lists the names.
    """
    if name.lower().endswith(".toml"):
        return read_gpu(name)
    gpu = GPUS.get(name.lower())
    if gpu is None:
        raise InputError(f"gpu: {shown(name)} is not known; {', '.join(GPUS)} or a .toml file are accepted")
    return gpu


def read_gpu(path: str | os.PathLike[str]) -> GPU:
    """A GPU from a TOML file with the fields of `GPU`; without a name it has that of the file.

    Raises
    ------
    InputError
        The file does not describe a GPU: the message says what is wrong.
    """
    try:
        document = tomllib.loads(files.read_text(path))
    except (ValueError, RecursionError) as error:  # no TOML, or nested too deeply, or a number of too many digits
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not TOML ({error}); the fields of a GPU are accepted") from error
    names = [field.name for field in fields(GPU)]
    document.setdefault("name", Path(path).stem)
    wrong = [*(name for name in document if name not in names), *(name for name in names if name not in document)]
    if wrong:
        raise InputError(f"{path}: {shown(wrong[0])} is unknown or missing; {', '.join(names)} are needed")
    try:
        return GPU(**document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
