"""Options of the commands that run a model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import typer
from aptsched.cli.run_progress import say_now
from aptsched.support.byte_sizes import CACHE_MEM
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from engine.calibration.measure import Calibration
    from engine.models.model import Model

ModelName = Annotated[
    str, typer.Option("--model", metavar="M", help="smollm2, a Hugging Face directory, or a Llama .gguf file.")
]
Dtype = Annotated[str, typer.Option(metavar="D", help="Of weights and cache: fp32, bf16, fp16.")]
Device = Annotated[str, typer.Option(metavar="D", help="As torch names it: cpu, cuda, cuda:1.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Threads of torch on a CPU (default: as torch does).")]
ExpandKvHeads = Annotated[
    bool, typer.Option("--expand-kv-heads", help="Repeat shared K and V heads: the exact MHA twin of a GQA model.")
]
CacheMem = Annotated[
    str | None, typer.Option(metavar="SIZE", help=f"Memory of the cache, such as 1.5GiB (default {CACHE_MEM}).")
]
SwapSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE", help="Host memory for requests that are swapped out; 0 is none (default: as much as the cache)."
    ),
]
NumBlocks = Annotated[int | None, typer.Option(metavar="N", help="The same as a number of blocks of 16 KV tokens.")]
HiddenAttention = Annotated[str, typer.Option(metavar="H", help="How hidden states are read: absorbed, rebuilt.")]
MaxTokens = Annotated[int, typer.Option(metavar="T", help="Token budget of an iteration.")]
MaxSeqs = Annotated[int, typer.Option(metavar="B", help="Most requests in a batch.")]


def require_torch() -> None:
    """Raise InputError unless torch is installed, without importing it, which takes long."""
    if find_spec("torch") is None:
        raise InputError("model: running one needs torch; pip install 'aptsched[engine]' brings it")


def load(model: str, dtype: str, device: str, threads: int | None, expand_kv_heads: bool) -> Model:
    """Load the model that the options describe, ready to run."""
    from engine.models.model import load_model
    from engine.study.real_model import set_threads

    set_threads(threads)
    return load_model(model, dtype, device, expand_kv_heads)


def measure(model: Model, hidden_attention: str) -> Calibration:
    """Calibrate the model, with its hidden states read in that way, and with a line on stderr that says so."""
    from aptsched.report.progress import measuring
    from engine.study import real_model

    say_now("calibrating, which takes half a minute or so; --calibration FILE spares it")
    with measuring() as progress:
        return real_model.calibrated(model, progress, hidden_attention)
