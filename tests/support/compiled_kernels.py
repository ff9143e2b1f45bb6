"""Compiles every kernel for a GPU that need not be there; prints, for each, the shared memory that a program takes.

    python compiled_kernels.py 90 fp16

The shapes are those of OPT-13B, and of Llama-2-7B where keys are turned. To be run without TRITON_INTERPRET.
"""

from __future__ import annotations

import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from engine.runner.kernels.programs import hidden, kv, rebuilt, write

HEADS = {"KV_HEADS": 40, "SHARING": 1}
CACHED = {"BLOCK_VALUES": 163_840, "HELD": 32, "HIDDEN": 5120, "ROWS": 64, "COLUMNS": 64}
HEAD = {"DIM": 128, "PADDED": 64, "STEP": 64}
NUMBERS = {
    "scale": "fp32",
    "most": "fp32",
    "table_width": "i32",
    "num_rows": "i32",
    "num_tokens": "i32",
    "length": "i32",
}
IN_FP32 = ("parts", "maxima", "sums", "scores")
INDICES = ("table", "start", "first", "count", "tiles", "blocks", "places")


def cases() -> list[tuple[Any, dict[str, Any], dict[str, str]]]:
    """Each kernel with its constants, and arguments that are not of the model's dtype."""
    found: list[tuple[Any, dict[str, Any], dict[str, str]]] = []
    for rows, splits, in_8_bits in ((16, 4, False), (64, 1, False), (16, 1, True)):
        constants = {**HEADS, "BLOCK_VALUES": 163_840, "BLOCK_SCALES": 80, "HELD": 16, "DIM": 128, "PADDED": 128}
        constants |= {"ROWS": rows, "COLUMNS": 64, "SPLITS": splits, "IN_8_BITS": in_8_bits}
        found.append((kv.attend_kv, constants, {"scales": "*fp16"} | ({"cache": "*i8"} if in_8_bits else {})))
    found.append((kv.join, {"DIM": 128, "PADDED": 128, "ROWS": 16, "SPLITS": 4}, {}))
    found.append((hidden.score_hidden, {**HEADS, **CACHED, "STEP": 64}, {"queries": "*fp32"}))
    found.append((hidden.sum_hidden, {**HEADS, **CACHED, "STEP": 128}, {}))
    for is_turned in (False, True):
        made = {**HEADS, **CACHED, **HEAD, "HAS_BIAS": not is_turned, "IS_TURNED": is_turned}
        found += [(rebuilt.score_rebuilt, made, {}), (rebuilt.attend_rebuilt, {**made, "ALL": 128}, {})]
    found.append((write.write_rows, {"WIDTH": 10_240, "BLOCK_VALUES": 163_840, "STEP": 1024}, {}))
    constants = {"HEADS": 80, "DIM": 128, "PADDED": 128, "BLOCK_VALUES": 327_680, "BLOCK_SCALES": 163_840}
    found.append(
        (write.write_in_8_bits, {**constants, "LARGEST": 127, "LEAST": 2.0**-24}, {"values": "*i8", "scales": "*fp16"})
    )
    return found


def shared_bytes(kernel: Any, constants: dict[str, Any], others: dict[str, str], capability: int, dtype: str) -> int:
    """The shared memory of a program, once it is machine code."""
    kinds = {**NUMBERS, **dict.fromkeys(IN_FP32, "*fp32"), **dict.fromkeys(INDICES, "*i64"), **others}
    signature = {name: "constexpr" if name in constants else kinds.get(name, f"*{dtype}") for name in kernel.arg_names}
    values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(fn=kernel, signature=signature, constexprs=values)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert compiled.asm["cubin"]
    return int(compiled.metadata.shared)


if __name__ == "__main__":
    for kernel, constants, others in cases():
        print(kernel.__name__, shared_bytes(kernel, constants, others, int(sys.argv[1]), sys.argv[2]))
