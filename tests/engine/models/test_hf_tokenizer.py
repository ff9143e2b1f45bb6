"""Tokenizers of Hugging Face directories, held against what transformers loads from the same files."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from aptsched import InputError
from byte_level import MERGES, TOKENS, write_gpt2
from engine.models.tokenizer import Tokenizer
from tokenizer_files import loaded, reference_of, whole

MESSAGES = [{"role": "user", "content": "the cat"}]
TEMPLATE = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ messages[0].content }}"
TEXTS = ["the cat  12", "é 🦙", "", "a<|im_end|>  the<|new|> </s>b", " <|im_start|>x<tool>the<|endoftext|>"]
ADDED = {"content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def check_equal(directory: Path, model_type: str = "llama", reference: Any = None) -> Tokenizer:
    """The same tokens, texts and chat prompts as transformers makes; returns our tokenizer."""
    reference, made = reference or reference_of(directory, model_type), loaded(directory)
    for text in TEXTS:
        ids = reference(text, truncation=False)["input_ids"]
        assert made.encode(text) == ids
        assert made.encode(text, add_special_tokens=False) == reference.encode(text, add_special_tokens=False)
        assert made.decode(ids) == reference.decode(ids, skip_special_tokens=True)
    if isinstance(reference.chat_template, dict) and "default" not in reference.chat_template:
        with pytest.raises(InputError, match="chat_template: none of tool_use is named 'default'"):
            made.chat_prompt(MESSAGES)
    elif reference.chat_template is not None:
        expected = reference.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
        assert made.chat_prompt(MESSAGES) == expected
    return made


OPT_HUB = {
    "errors": "replace",
    "unk_token": {"__type": "AddedToken", **ADDED},
    "bos_token": {"__type": "AddedToken", **ADDED},
    "eos_token": {"__type": "AddedToken", **ADDED},
    "pad_token": {"__type": "AddedToken", **ADDED, "content": "<pad>"},
    "add_prefix_space": False,
    "add_bos_token": True,
    "special_tokens_map_file": None,
    "name_or_path": "patrickvonplaten/opt-30b",
    "tokenizer_class": "GPT2Tokenizer",
}


def test_opt_as_on_its_hub(tmp_path: Path) -> None:
    """vocab.json, merges.txt and add_bos_token without a tokenizer.json: the tokens of transformers."""
    vocabulary = ["<s>", "<pad>", "</s>", "<unk>", *TOKENS[3:], "<mask>"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(OPT_HUB))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"bos_token": ADDED, "unk_token": ADDED}))
    made = check_equal(tmp_path, "opt")
    assert made.encode("the")[0] == made.encode("</s>")[1] == 2
    assert made.decode(made.encode("the")) == "the"


def test_a_chat_template_list(tmp_path: Path) -> None:
    """Of several templates in tokenizer_config.json, the one named "default" makes the prompt."""
    templates = [{"name": "default", "template": TEMPLATE + "<|im_end|>"}, {"name": "tool_use", "template": "T"}]
    whole(tmp_path, bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=templates)
    made = check_equal(tmp_path)
    reference = reference_of(tmp_path)
    ids = reference.apply_chat_template(MESSAGES, add_generation_prompt=True)["input_ids"]
    assert made.encode(made.chat_prompt(MESSAGES), add_special_tokens=False) == ids
    assert ids[0] == TOKENS.index("<|im_start|>") and ids[-1] == TOKENS.index("<|im_end|>")


NAMES = ["bos_token", "eos_token", "unk_token", "pad_token", "image_token"]
CONTENTS = st.sampled_from(["<|im_start|>", "<|im_end|>", "<|endoftext|>", "</s>", "<|new|>", "the", "<tool>"])
FLAGS = st.fixed_dictionaries({key: st.booleans() for key in ("lstrip", "rstrip", "normalized", "single_word")})
OBJECTS = st.builds(lambda content, flags: {"content": content, **flags}, CONTENTS, FLAGS)
TYPED = OBJECTS.map(lambda token: {"__type": "AddedToken", **token})
DECODER = st.dictionaries(
    st.sampled_from(["0", "2", "265", "270"]), st.builds(dict.__or__, OBJECTS, st.just({"special": True}))
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.none() | CONTENTS | TYPED for name in NAMES[:4]},
        "image_token": CONTENTS,
        "extra_special_tokens": st.lists(CONTENTS, max_size=2),
        "added_tokens_decoder": DECODER,
        "add_bos_token": st.booleans(),
        "add_eos_token": st.booleans(),
        "split_special_tokens": st.booleans(),
        "clean_up_tokenization_spaces": st.booleans(),
        "model_max_length": st.just(3),
        "tokenizer_class": st.sampled_from(["PreTrainedTokenizerFast", "GPT2Tokenizer"]),
        "chat_template": st.sampled_from([TEMPLATE, [{"name": "default", "template": TEMPLATE}]]),
    },
)
SPECIAL_MAP = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(NAMES, CONTENTS | OBJECTS),
        "additional_special_tokens": st.lists(CONTENTS, max_size=2),
        "extra_special_tokens": st.lists(CONTENTS, max_size=2),
    },
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "chat_template.jinja": st.just("jinja " + TEMPLATE),
        "additional_chat_templates/default.jinja": st.just("more " + TEMPLATE),
        "additional_chat_templates/tool_use.jinja": st.just("tools"),
    },
)


@pytest.mark.parametrize("is_whole", [True, False])
@settings(max_examples=30)
@given(given_settings=SETTINGS, special_map=SPECIAL_MAP, files=FILES, added=st.none() | st.just({"<|new|>": 268}))
def test_any_settings_are_read_as_transformers_reads_them(
    is_whole: bool,
    given_settings: dict[str, Any],
    special_map: dict[str, Any] | None,
    files: dict[str, str],
    added: Any,
) -> None:
    """Special tokens from either file, as texts or objects, tokens added, templates in files of their own."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        if is_whole:
            # Its class GPT2Tokenizer forgets the added tokens of tokenizer.json where the settings list some.
            listed = "added_tokens_decoder" in given_settings
            whole(directory, **{**given_settings, **({"tokenizer_class": None} if listed else {})})
        else:
            named = {key: value for key, value in given_settings.items() if value is not None}
            write_gpt2(directory, **{**named, "tokenizer_class": "GPT2Tokenizer"})
        if special_map is not None:
            (directory / "special_tokens_map.json").write_text(json.dumps(special_map))
        if added is not None and "additional_special_tokens" not in (special_map or {}):
            (directory / "added_tokens.json").write_text(json.dumps(added))
        (directory / "additional_chat_templates").mkdir()
        for path, text in files.items():
            (directory / path).write_text(text)
        check_equal(directory)


def test_a_template_of_a_processor_counts_where_there_is_no_other(tmp_path: Path) -> None:
    """chat_template.json, which holds one under that name."""
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": "P{{ messages[0].content }}"}))
    assert loaded(whole(tmp_path)).chat_prompt(MESSAGES) == "Pthe cat"
    assert loaded(whole(tmp_path, chat_template="C")).chat_prompt(MESSAGES) == "C"


@pytest.mark.parametrize(("adds", "says", "which"), [(True, False, "adds it"), (False, True, "does not add it")])
@pytest.mark.parametrize("end", ["bos", "eos"])
def test_what_tokenizer_json_puts_around_a_text_counts(
    tmp_path: Path, end: str, adds: bool, says: bool, which: str
) -> None:
    """As in transformers, whatever tokenizer_config.json says; where that says something else, a notice says so."""
    template = "<|im_start|> $A" if end == "bos" else "$A <|im_start|>"
    processor = processors.TemplateProcessing(template, special_tokens=[("<|im_start|>", 1)]) if adds else None
    whole(tmp_path, processor, **{f"{end}_token": "<|im_start|>", f"add_{end}_token": says})
    made = check_equal(tmp_path)
    said = f"add_{end}_token is {str(says).lower()}, but tokenizer.json {which}; tokenizer.json counts"
    assert made.notices == (f"tokenizer_config.json: {said}",)
    whole(tmp_path, processor, **{f"{end}_token": "<|im_start|>", f"add_{end}_token": adds})
    assert check_equal(tmp_path).notices == ()


@pytest.mark.parametrize("adds", [True, False, None])
@pytest.mark.parametrize("in_file", [True, False])
def test_a_space_before_a_text_is_added_as_the_settings_say(tmp_path: Path, adds: bool | None, in_file: bool) -> None:
    """Of GPT-2's tokenizer, with a tokenizer.json, whatever that says, and without one."""
    for make in (whole, write_gpt2):
        make(tmp_path, tokenizer_class="GPT2Tokenizer", **({} if adds is None else {"add_prefix_space": adds}))
        if make is whole:
            content = json.loads((tmp_path / "tokenizer.json").read_text())
            content["pre_tokenizer"]["add_prefix_space"] = in_file
            (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        assert (check_equal(tmp_path).encode("the") == [TOKENS.index("Ġthe")]) == bool(adds)
        (tmp_path / "tokenizer.json").unlink(missing_ok=True)


def test_opt_without_settings(tmp_path: Path) -> None:
    """Of the model's kind alone the class is known, with the special tokens that it has of itself."""
    write_gpt2(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "opt"}')
    assert check_equal(tmp_path, "opt").special_tokens["bos_token"] == "<|endoftext|>"
