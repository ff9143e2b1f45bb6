"""`aptsched generate`: texts from a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from aptsched.cli.base import NO_ANSWER, app, typer
from aptsched.cli.model_options import (
    CacheMem,
    Device,
    Dtype,
    ExpandKvHeads,
    ModelName,
    Threads,
    load,
    require_torch,
)
from aptsched.cli.prompts import texts
from aptsched.support import interrupts
from aptsched.support.byte_sizes import CACHE_MEM, parse_bytes
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

if TYPE_CHECKING:
    from engine.models.model import Model
    from engine.models.tokenizer import Tokenizer
    from engine.session.completion import Completion
    from engine.session.engine import Engine
    from engine.state.sampling_params import SamplingParams

SCHEMA, VERSION = "aptsched.completions", 1
MAX_DIGITS = 20  # digits of a token's number


@app.command()
def generate(
    prompt: Annotated[list[str], typer.Option(metavar="TEXT", help="May be given several times; - reads stdin.")],
    model: ModelName = "smollm2",
    max_tokens: Annotated[int, typer.Option(metavar="N", help="Most output tokens.")] = 128,
    temperature: Annotated[float, typer.Option(metavar="T", help="0 takes the likeliest token.")] = 0.0,
    top_p: Annotated[float, typer.Option(metavar="P", help="Draw from the likeliest tokens with this share.")] = 1.0,
    top_k: Annotated[int, typer.Option(metavar="K", help="Draw from so many of the likeliest; 0 is all.")] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same text.")] = 0,
    stop_token: Annotated[
        list[str] | None, typer.Option(metavar="TOKEN", help="Also ends the text: a token, or its number.")
    ] = None,
    stop: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Ends the text before it; may be given several times.")
    ] = None,
    chat: Annotated[
        bool | None, typer.Option("--chat/--no-chat", help="Use the model's chat template (default: if it has one).")
    ] = None,
    cache_mem: CacheMem = None,
    dtype: Dtype = "fp32",
    device: Device = "cpu",
    threads: Threads = None,
    expand_kv_heads: ExpandKvHeads = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, with tokens and times.")] = False,
) -> None:
    """Generate text with a model.

    One prompt is answered as its tokens come. Several are served together, and printed with their numbers when all are
    done.

    \b
    Examples:
      aptsched generate --prompt "Why is the sky blue?"
      aptsched generate --prompt "Name a fruit." --prompt "Name a tree."
      aptsched generate --model model.gguf --no-chat --prompt "Once" --top-p 0.9

    The exit code is 1 if one of several prompts is rejected, being too long.
    """  # noqa: D301
    require_torch()
    from aptsched.report.notices import tell
    from engine.state.sampling_params import SamplingParams

    params = SamplingParams(max_tokens, temperature, top_p, top_k, seed, stop=stop or ())
    if cache_mem is not None:
        parse_bytes("cache_mem", cache_mem)
    prompts = texts(prompt)
    try:
        loaded = load(model, dtype, device, threads, expand_kv_heads)
        tell(loaded.notices, sys.stderr)
        code = _generate(loaded, prompts, params, stop_token or [], chat, cache_mem, as_json)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = interrupts.EXIT_CODE
    raise typer.Exit(code)


def _generate(
    model: Model,
    prompts: list[str],
    params: SamplingParams,
    stop_tokens: Sequence[str],
    chat: bool | None,
    cache_mem: str | None,
    as_json: bool,
) -> int:
    import dataclasses

    from aptsched.report.progress import counting
    from engine.session.engine import Engine

    if model.tokenizer is None:
        raise InputError(
            f"model: {model.name} has no tokenizer; one with a tokenizer.json, with OPT's vocab.json and merges.txt, "
            "or a .gguf file, is accepted"
        )
    stop_token_ids = tuple(_stop_token(model, text) for text in stop_tokens)
    params = dataclasses.replace(params, stop_token_ids=stop_token_ids)
    token_ids = [_prompt_tokens(model.tokenizer, text, chat) for text in prompts]
    engine = Engine(model, cache_mem=cache_mem or CACHE_MEM)
    if len(prompts) == 1 and not as_json:
        return _stream(engine, token_ids[0], params)
    with counting(len(prompts) * params.max_tokens, "tokens at most") as progress:
        completions = engine.generate(token_ids, params, progress)
    if as_json:
        print(json.dumps(_document(model, prompts, completions), allow_nan=False))
    else:
        _show(prompts, completions)
    return NO_ANSWER if any(completion.record.reason for completion in completions) else 0


def _prompt_tokens(tokenizer: Tokenizer, text: str, chat: bool | None) -> list[int]:
    if chat is None:
        chat = tokenizer.chat_template is not None
    if not chat:
        return tokenizer.encode(text)
    return tokenizer.encode(tokenizer.chat_prompt([{"role": "user", "content": text}]), add_special_tokens=False)


def _stop_token(model: Model, text: str) -> int:
    from engine.models.text import check_unicode

    assert model.tokenizer is not None
    check_unicode("stop_token", text)
    if text.isdecimal() and len(text) < MAX_DIGITS and int(text) < model.config.vocab_size:
        return int(text)
    token_ids = model.tokenizer.encode(text, add_special_tokens=False)
    if len(token_ids) != 1:
        accepted = f"one token, or a number below {model.config.vocab_size}, is"
        raise InputError(f"stop_token: {shown(text)} is {len(token_ids)} tokens; {accepted}")
    if token_ids[0] >= model.config.vocab_size:
        raise InputError(f"stop_token: {shown(text)} is token {token_ids[0]}, which the model does not know")
    return token_ids[0]


def _stream(engine: Engine, token_ids: list[int], params: SamplingParams) -> int:
    begun = False
    try:
        for piece in engine.stream(token_ids, params):
            print(piece, end="", flush=True)
            begun = True
    except BaseException:
        if begun:  # messages about it begin on a new line
            print()
        raise
    print()
    return 0


def _show(prompts: Sequence[str], completions: Sequence[Completion]) -> None:
    for number, (prompt, completion) in enumerate(zip(prompts, completions, strict=True), 1):
        print(f"[{number}] {prompt}")
        if completion.record.reason:
            print(f"error: prompt {number}: {completion.record.reason}", file=sys.stderr)
        print(f"{completion.text}\n")


def _document(model: Model, prompts: Sequence[str], completions: Sequence[Completion]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "model": model.name,
        "notices": list(model.notices),
        "completions": [
            {
                "prompt": prompt,
                "text": completion.text,
                "prompt_token_ids": completion.prompt_token_ids,
                "token_ids": completion.token_ids,
                "outcome": completion.record.outcome.value,
                "finish_reason": completion.finish_reason,
                "stop_reason": completion.stop_reason,
                "reason": completion.record.reason,
                "token_at_s": (completion.record.token_at_s - completion.record.arrived_at_s).tolist(),
            }
            for prompt, completion in zip(prompts, completions, strict=True)
        ],
    }
