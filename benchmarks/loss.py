"""The loss and the time of an int8 cache, compared with K and V in the model's dtype.

    python -m benchmarks.loss [--tokens 512] [--dtypes fp32 bf16] [--repeats 5] [--threads 2] [--out bench-out]

SmolLM2 reads the first tokens of four texts of this repository (a licence, proofs, rules in prose, Python) and predicts
each next token from those before it as they are written there (teacher-forced), with its cache in KV form; then with
the cache in int8 from the first token on, and converted from KV halfway, where the second half is compared. A token is
the same whether it is fed in a prefill, a chunk or a decode, so whole texts are fed at once. The table shows how often
both find the same token likeliest, and the Kullback-Leibler divergence of int8's distribution from KV's, in nats; for
comparison, also bf16 against fp32. Then decodes in both forms are timed, in turn. Prints tables, writes loss.json,
and never fails on a figure.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from aptsched.report.document import machine
from aptsched.scheduling.forms import BLOCK_SIZE, CacheForm
from aptsched.support.checks import Bools, Floats
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.models.checkpoint import DTYPES
from engine.models.model import Model, load_model
from engine.runner.layout import lay_out
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch, Conversion
from engine.state.request import Request

TEXTS = ("LICENSE", "proofs/THEOREMS.md", "CONTRIBUTING.md", "engine/models/decoder.py")
DECODES = ((1, 512), (8, 512))  # requests, tokens cached of each
START, HALFWAY = "int8 from the start", "int8 from halfway"


@dataclass(frozen=True, eq=False)
class Difference:
    """How distributions of next tokens differ from those they are compared with.

    Attributes
    ----------
    agrees : bool array, [t]
        Whether both find the same token likeliest.
    divergence : float array, [t]
        Kullback-Leibler divergence, in nats.
    """

    agrees: Bools
    divergence: Floats


def difference(reference: torch.Tensor, found: torch.Tensor) -> Difference:
    """The difference of logits, [t, vocab], from reference logits."""
    agrees = (reference.argmax(-1) == found.argmax(-1)).numpy()
    expected, other = reference.log_softmax(-1), found.log_softmax(-1)
    return Difference(agrees, (expected.exp() * (expected - other)).sum(-1).clamp_min(0).double().numpy())


def summary(differences: list[Difference]) -> Row:
    """Figures of all tokens together."""
    agrees, divergence = (
        np.concatenate([getattr(each, name) for each in differences]) for name in ("agrees", "divergence")
    )
    return {
        "tokens": len(agrees),
        "same_token_likeliest": f"{agrees.mean():.2%}",
        "mean_KL": float(divergence.mean()),
        "99%_KL": float(np.quantile(divergence, 0.99)),
        "largest_KL": float(divergence.max()),
    }


class TextReader:
    """One model, and a cache for one text.

    Parameters
    ----------
    model : Model
    num_tokens : int
        The most tokens of a text.
    """

    def __init__(self, model: Model, num_tokens: int) -> None:
        self.executor = TorchExecutor(model.decoder, -(-num_tokens // BLOCK_SIZE))
        self.blocks = np.arange(len(self.executor.storage.blocks[0]))

    @torch.inference_mode()
    def logits(self, token_ids: list[int], start: int, form: CacheForm, convert: bool = False) -> torch.Tensor:
        """Logits after each token from `start` on, [t, vocab], in fp32; the cache is in `form`, or converted to it."""
        request = Request(0, 0.0, len(token_ids), prompt_token_ids=np.array(token_ids))
        if convert:
            made = Conversion(request, start, CacheForm.KV, form, self.blocks, self.blocks)
            (converted,) = self.executor.conversions.of([made])
            self.executor.storage.upload.send()
            converted()
        counts = np.array([len(token_ids) - start])
        batch = Batch([request], np.array([start]), counts, np.array([form]), self.blocks[None], np.array([True]))
        layout = lay_out(batch, self.executor.storage, self.executor.forms, self.executor.kernels)
        self.executor.storage.upload.send()
        self.executor.attention.begin(layout)
        decoder = self.executor.decoder
        return decoder.logits(decoder.forward(layout.token_ids, layout.positions, self.executor.attention)).float()

    def differences(self, token_ids: list[int], reference: torch.Tensor) -> dict[str, Difference]:
        """The differences of int8, from the start and from halfway, from the reference logits in KV form."""
        half = len(token_ids) // 2
        whole = difference(reference, self.logits(token_ids, 0, CacheForm.INT8))
        self.logits(token_ids[:half], 0, CacheForm.KV)
        later = self.logits(token_ids, half, CacheForm.INT8, convert=True)
        return {START: whole, HALFWAY: difference(reference[half:], later)}


def losses(models: dict[str, Model], texts: dict[str, list[int]]) -> dict[str, list[Difference]]:
    """For each comparison, its difference on each text."""
    found: dict[str, list[Difference]] = {}
    most = max(map(len, texts.values()))
    readers = {dtype: TextReader(model, most) for dtype, model in models.items()}
    for token_ids in track(texts.values(), "texts", console=Console(stderr=True), transient=True):
        first: torch.Tensor | None = None
        for dtype, reader in readers.items():
            reference = reader.logits(token_ids, 0, CacheForm.KV)
            for what, each in reader.differences(token_ids, reference).items():
                found.setdefault(f"{dtype}: {what}", []).append(each)
            if first is None:
                first = reference
            else:
                found.setdefault(f"{dtype} in place of {next(iter(readers))}", []).append(difference(first, reference))
    return found


def decode_times(model: Model, repeats: int) -> list[Row]:
    """Milliseconds of a decode with the cache in KV form and in int8, in turn; each form has blocks of its own."""
    rows = []
    for size, cached in DECODES:
        per_block = BLOCK_SIZE
        half = size * (-(-(cached + 1) // per_block))
        executor = TorchExecutor(model.decoder, 2 * half)
        batches = [
            decode(executor, size, cached, form, first) for form, first in ((CacheForm.KV, 0), (CacheForm.INT8, half))
        ]
        times = np.array([[executor.run(batch).duration_s for batch in batches] for _ in range(repeats + 1)])[1:]
        kv_ms, int8_ms = (1e3 * np.median(times, axis=0)).tolist()
        ratio = float(np.median(times[:, 1] / times[:, 0]))
        rows.append(
            {
                "dtype": model.dtype,
                "requests": size,
                "cached": cached,
                "kv_ms": kv_ms,
                "int8_ms": int8_ms,
                "ratio": ratio,
            }
        )
    return rows


def decode(executor: TorchExecutor, size: int, cached: int, form: CacheForm, first: int) -> Batch:
    """One token of each request, whose cache is in blocks from the first on; they hold zeros, read as fast as any."""
    each = -(-(cached + 1) // executor.forms[form].tokens_per_block)
    prompt = np.zeros(cached + 1, np.int64)
    requests = [Request(i, 0.0, len(prompt), prompt_token_ids=prompt) for i in range(size)]
    table = first + np.arange(size * each).reshape(size, each)
    starts, counts, forms = (np.full(size, value) for value in (cached, 1, int(form)))
    return Batch(requests, starts, counts, forms, table, np.ones(size, np.bool_))


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loss",
        description="Next tokens and time with a cache in int8, against KV in the model's dtype.",
        epilog="example: python -m benchmarks.loss --tokens 128 --dtypes fp32",
    )
    parser.add_argument("--tokens", type=int, default=512, help="of each text")
    parser.add_argument("--dtypes", choices=DTYPES, nargs="+", default=["fp32", "bf16"], help="of model and KV")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of decodes")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for loss.json")
    options = parser.parse_args()
    if options.tokens < 2:
        parser.error(f"--tokens: {options.tokens} is not accepted; at least 2 are")
    torch.set_num_threads(options.threads)
    models = {dtype: load_model("smollm2", dtype) for dtype in options.dtypes}
    tokenizer = models[options.dtypes[0]].tokenizer
    assert tokenizer is not None
    contents = {name: (Path(__file__).parents[1] / name).read_text(encoding="utf-8") for name in TEXTS}
    texts = {name: tokenizer.encode(text)[: options.tokens] for name, text in contents.items()}
    found = losses(models, texts)
    rows = [{"cache": what, **summary(each)} for what, each in found.items()]
    show("SmolLM2: next tokens against the cache in KV form", rows)
    times = [row for model in models.values() for row in decode_times(model, options.repeats)]
    show(f"SmolLM2: a decode, {options.threads} threads", times)
    by_text = {
        what: {name: summary([one]) for name, one in zip(texts, each, strict=True)} for what, each in found.items()
    }
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
    document: dict[str, Any] = {**machine(), "options": {k: str(v) for k, v in vars(options).items()}}
    document |= {"sha256": digests, "loss": rows, "by_text": by_text, "decode": times}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "loss.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
