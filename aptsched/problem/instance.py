"""Instances as files: saved and loaded as JSON, checked by a SHA-256 of their content, and exported as MPS.

The JSON schema is described in docs/formats.md.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support import files
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.fields import listed, named
from aptsched.support.json_text import as_shown, compact_json, read_json

SCHEMA = "aptsched.instance"
VERSION = 1
REQUIRED = ("values", "weights", "capacity")
OPTIONAL = ("num_tokens", "max_tokens", "max_seqs", "required")
FIELDS = (*REQUIRED, *OPTIONAL)
by_name = itemgetter(*sorted(FIELDS))
CONTENT, SORTED = ("{" + ",".join(f'"{name}":%s' for name in names) + "}" for names in (FIELDS, sorted(FIELDS)))


def save(problem: BatchProblem, path: str | os.PathLike[str]) -> None:
    """Write the instance as JSON, atomically; `load` gives the same arrays to the last bit."""
    encoded = encoded_fields(problem)
    fields = ",\n".join(f'    "{name}": {text}' for name, text in encoded.items())
    document = {"schema": SCHEMA, "version": VERSION, "sha256": digest_of(encoded)}
    head = "".join(f'  "{name}": {compact_json(value)},\n' for name, value in document.items())
    files.write(path, f'{{\n{head}  "problem": {{\n{fields}\n  }}\n}}\n')


def load(path: str | os.PathLike[str]) -> BatchProblem:
    """Read an instance from JSON.

    Raises
    ------
    InputError
        Names the file, the field (or line and column), its value and what is accepted.
    """
    document = read_json(path)
    try:
        return from_dict(document)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def to_dict(problem: BatchProblem) -> dict[str, Any]:
    """The document that `save` writes."""
    return {"schema": SCHEMA, "version": VERSION, "sha256": digest(problem), "problem": content(problem)}


def from_dict(document: object) -> BatchProblem:
    """The problem of a document, every field checked.

    Raises
    ------
    InputError
        An unknown or missing field, a wrong type, another schema or version, or a digest that the content lacks.
    """
    fields = named("instance", document, ("schema", "version", "problem"), ("sha256",))
    for name, accepted in (("schema", SCHEMA), ("version", VERSION)):
        if fields[name] != accepted or isinstance(fields[name], bool):
            raise InputError(f"{name}: {as_shown(fields[name])} is not accepted; {as_shown(accepted)} is")
    problem = _problem(fields["problem"])
    found, given = digest(problem), fields.get("sha256")
    if "sha256" in fields and given != found:
        raise InputError(
            f"sha256: {as_shown(given)} is given, but the content has {as_shown(found)}; "
            "a file that was edited is accepted without this field"
        )
    return problem


def content(problem: BatchProblem) -> dict[str, Any]:
    """The problem as plain numbers, in the order of its fields; null where a field is not used."""
    return {
        "values": problem.values.tolist(),
        "weights": problem.weights.tolist(),
        "capacity": problem.capacity,
        "num_tokens": None if problem.num_tokens is None else problem.num_tokens.tolist(),
        "max_tokens": problem.max_tokens,
        "max_seqs": problem.max_seqs,
        "required": None if problem.required is None else problem.required.tolist(),
    }


def encoded_fields(problem: BatchProblem) -> dict[str, str]:
    """The content as JSON, each field for itself, without spaces, floats by their shortest exact digits."""
    return {
        "values": array_json(problem.values),
        "weights": array_json(problem.weights),
        "capacity": _limit_json(problem.capacity),
        "num_tokens": array_json(problem.num_tokens),
        "max_tokens": _limit_json(problem.max_tokens),
        "max_seqs": _limit_json(problem.max_seqs),
        "required": array_json(problem.required),
    }


def _limit_json(limit: int | None) -> str:
    return "null" if limit is None else str(int(limit))


def array_json(array: Floats | Ints | Bools | None) -> str:
    """An array of finite numbers or flags as `compact_json` has it, faster; of two axes a list for each row."""
    if array is None:
        return "null"
    if not array.size:
        return compact_json(array.tolist())
    first, n = array[:1], len(array)
    if n > 1 and first.tobytes() * n == array.tobytes():  # as of tokens of decodes, and of values mostly
        row = array_json(first)[1:-1]
        return f"[{f'{row},' * (n - 1)}{row}]"
    texts = _texts(array.ravel())
    if array.ndim == 1:
        return f"[{','.join(texts)}]"
    rows = texts if array.shape[1] == 1 else map(",".join, zip(*[iter(texts)] * array.shape[1], strict=True))
    return f"[[{'],['.join(rows)}]]"


def _texts(numbers: Floats | Ints | Bools) -> Iterable[str]:
    """Each number or flag as JSON; a float that is there several times, as the same pending time is, is made once."""
    if numbers.dtype == np.bool_:
        return map(("false", "true").__getitem__, numbers.tolist())
    if numbers.dtype != np.float64:
        return repr(numbers.tolist())[1:-1].split(", ")
    bits = numbers.view(np.int64).tolist()  # which tell 0.0 from -0.0
    known = {of: repr(number) for of, number in dict(zip(bits, numbers.tolist(), strict=True)).items()}
    return map(known.__getitem__, bits)


def content_json(encoded: Mapping[str, str]) -> str:
    """An object of the encoded fields, in their order, as JSON without spaces."""
    return CONTENT % (*encoded.values(),)


def digest_of(encoded: Mapping[str, str]) -> str:
    """SHA-256 of the content, whose fields are encoded already, as JSON with sorted keys."""
    return hashlib.sha256((SORTED % by_name(encoded)).encode()).hexdigest()


def digest(problem: BatchProblem) -> str:
    """SHA-256 of the content as JSON with sorted keys and no spaces, floats by their shortest exact digits."""
    return digest_of(encoded_fields(problem))


def write_mps(problem: BatchProblem, path: str | os.PathLike[str]) -> None:
    """Write the problem as free MPS, atomically, for CBC, HiGHS, SCIP and others.

    Notes
    -----
    Readers differ on how to say that an objective is maximised; all minimise by default. So the file minimises the
    negated value: the optimum is minus that of the file. Variable `x<i>_<f>` serves request i (from 0) in form f (from
    1), as in `Selection.form`. Forms that cannot fit alone are left out; where none is left, one column `none`, always
    0, stands for them. Floats have their shortest exact digits.
    """
    files.write(path, "\n".join([*_mps_lines(problem), ""]))


def _mps_lines(problem: BatchProblem) -> Iterator[str]:
    n = problem.num_requests
    required = np.zeros(n, np.bool_) if problem.required is None else problem.required
    limits = {"blocks": problem.capacity, "tokens": problem.max_tokens, "seqs": problem.max_seqs}
    limits = {name: limit for name, limit in limits.items() if limit is not None}
    tokens = np.zeros(n, np.int64) if problem.num_tokens is None else problem.num_tokens
    chosen = [(int(i), int(f)) for i, f in np.argwhere(problem.fits_alone())]
    yield f"NAME aptsched-{digest(problem)[:16]} FREE"  # CBC reads fixed columns without this word
    yield from ["ROWS", " N negated_value"]
    yield from (f" L {name}" for name in limits)
    yield from (f" {'E' if required[i] else 'L'} request{i}" for i in range(n))
    yield from ["COLUMNS", " MARKER 'MARKER' 'INTORG'"]
    for i, f in chosen:
        entries = {"blocks": int(problem.weights[i, f]), "tokens": int(tokens[i]), "seqs": 1}
        yield f" x{i}_{f + 1} negated_value {float(-problem.values[i, f])!r}"
        yield from (f" x{i}_{f + 1} {name} {entries[name]}" for name in limits if entries[name])
        yield f" x{i}_{f + 1} request{i} 1"
    if not chosen:  # without columns HiGHS calls the model empty, and solved, whatever its equations say
        yield " none request0 1"
    yield from [" MARKER 'MARKER' 'INTEND'", "RHS"]
    yield from (f" RHS {name} {limit}" for name, limit in limits.items())
    yield from (f" RHS request{i} 1" for i in range(n))
    yield "BOUNDS"
    yield from (f" UP BND x{i}_{f + 1} 1" for i, f in chosen)
    if not chosen:
        yield " FX BND none 0"
    yield "ENDATA"


def _problem(given: object) -> BatchProblem:
    fields = named("problem", given, REQUIRED, OPTIONAL)
    for name in ("values", "weights"):
        for i, row in enumerate(listed(name, fields[name])):
            _check_numbers(f"{name}[{i}]", row)
    _check_number("capacity", fields["capacity"])
    for name in ("max_tokens", "max_seqs"):
        if fields.get(name) is not None:
            _check_number(name, fields[name])
    if fields.get("num_tokens") is not None:
        _check_numbers("num_tokens", fields["num_tokens"])
    if fields.get("required") is not None:
        for i, flag in enumerate(listed("required", fields["required"])):
            if not isinstance(flag, bool):
                raise InputError(f"required[{i}]: {as_shown(flag)} is not accepted; true or false is")
    return BatchProblem(**fields)


def _check_numbers(name: str, given: object) -> None:
    for i, entry in enumerate(listed(name, given)):
        _check_number(f"{name}[{i}]", entry)


def _check_number(name: str, given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise InputError(f"{name}: {as_shown(given)} is not accepted; a number is")
    if isinstance(given, int) and abs(given) >= 2**63:
        raise InputError(f"{name}: {as_shown(given)} is not accepted; numbers below 2**63 are")
