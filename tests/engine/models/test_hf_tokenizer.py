"""Tokenizers of Hugging Face directories, held against what transformers loads from the same files."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from aptsched import InputError
from byte_level import MERGES, TOKENS, write_gpt2
from engine.models.hf_tokenizer import from_directory
from engine.models.tokenizer import Tokenizer

MESSAGES = [{"role": "user", "content": "the cat"}]
TEMPLATE = "{{ bos_token }}|{{ eos_token }}|{{ unk_token }}|{{ pad_token }}|{{ messages[0].content }}"
TEXTS = ["the cat  12", "é 🦙", "", "a<|im_end|>  the<|new|> </s>b", " <|im_start|>x<tool>the<|endoftext|>"]
ADDED = {"content": "</s>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}


def whole(directory: Path, post_processor: Any = None, **settings: Any) -> Path:
    """A tokenizer.json of byte-level tokens, of which two are special, and the other files of settings."""
    merges = [(left, right) for left, right in map(str.split, MERGES)]
    backend = Backend(models.BPE({token: i for i, token in enumerate(TOKENS)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    if post_processor is not None:
        backend.post_processor = post_processor
    backend.add_special_tokens([AddedToken(token, special=True) for token in TOKENS[:2]])
    backend.enable_truncation(3)
    backend.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def loaded(directory: Path) -> Tokenizer:
    """Our tokenizer of a directory."""
    made = from_directory(directory)
    assert made is not None
    return made


def reference_of(directory: Path, model_type: str = "llama") -> Any:
    """The tokenizer of transformers, which asks the configuration of the model for its class."""
    (directory / "config.json").write_text(json.dumps({"model_type": model_type}))
    return transformers.AutoTokenizer.from_pretrained(directory)


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


LLAMA_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
PIECES = ["▁", "a", "b", "▁a", "ab", "▁ab", "▁▁"]
PAIRS = [("▁", "a"), ("a", "b"), ("▁", "ab"), ("▁a", "b"), ("▁", "▁")]
LLAMA_SETTINGS = [
    {key: value for key, value in (("legacy", legacy), ("add_prefix_space", adds)) if value is not None}
    for legacy in (None, True, False)
    for adds in (None, True, False)
]


def llama(directory: Path, tokens: list[str], **settings: Any) -> Path:
    """A tokenizer.json as Llama 2's was written: the space before a text is its normalizer's."""
    backend = Backend(
        models.BPE({t: i for i, t in enumerate(tokens)}, PAIRS, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens[:3]])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    backend.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Tokenizer]]:
    """Transformers' tokenizer and ours of directories that name LlamaTokenizer, and of some that do not."""
    pairs = []
    for tokens in ([*LLAMA_TOKENS, *PIECES], [*LLAMA_TOKENS[:3], *PIECES]):
        for given_settings in (*({"tokenizer_class": "LlamaTokenizerFast", **each} for each in LLAMA_SETTINGS), {}):
            directory = llama(tmp_path_factory.mktemp("llama"), tokens, **given_settings)
            pairs.append((reference_of(directory), loaded(directory)))
    return pairs


@settings(max_examples=60)
@given(text=st.lists(st.sampled_from([*"ab é🦙", "  ", "<s>", "</s>", "<unk>"]), max_size=8).map("".join))
def test_llama_tokenizers_are_those_of_transformers(llamas: list[tuple[Any, Tokenizer]], text: str) -> None:
    """Spaces are as legacy and add_prefix_space say of a LlamaTokenizer, as the file says where there is no class."""
    for reference, made in llamas:
        ids = reference(text)["input_ids"]
        assert made.encode(text) == ids
        stream = made.stream()
        assert "".join(map(stream.push, ids)) + stream.finish() == reference.decode(ids, skip_special_tokens=True)


def test_opt_without_settings(tmp_path: Path) -> None:
    """Of the model's kind alone the class is known, with the special tokens that it has of itself."""
    write_gpt2(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "opt"}')
    assert check_equal(tmp_path, "opt").special_tokens["bos_token"] == "<|endoftext|>"


def test_a_directory_without_a_tokenizer(tmp_path: Path) -> None:
    """It has none, which is no error: prompts may come as tokens."""
    assert from_directory(tmp_path) is None


@pytest.mark.parametrize("name", ["tokenizer.model", "tekken.json", "vocab.json"])
def test_a_tokenizer_of_another_kind(tmp_path: Path, name: str) -> None:
    """SentencePiece's model alone, among others: the message says what is accepted."""
    (tmp_path / name).write_text("{}")
    accepted = r"not supported; tokenizer.json is, or vocab.json and merges.txt of a GPT2Tokenizer"
    with pytest.raises(InputError, match=f"{name} of no class: {accepted}"):
        from_directory(tmp_path)


DEEP, DIGITS = "[" * 100_000, "1" * 5000
WRONG: list[tuple[str, str, str]] = [
    ("tokenizer.json", "", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", "{}", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", '{"model": {"type": "magic"}}', "tokenizer.json: not a tokenizer that the tokenizers package"),
    ("tokenizer.json", DEEP, "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", f'{{"version": {DIGITS}}}', "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", "\0", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer_config.json", DEEP, "tokenizer_config.json: nested too deeply"),
    (
        "tokenizer_config.json",
        f'{{"bos_token": {DIGITS}}}',
        "tokenizer_config.json: .* digits are not accepted",
    ),
    ("tokenizer_config.json", "[]", "tokenizer_config.json: list is not accepted; a JSON object is"),
    (
        "tokenizer_config.json",
        '{"bos_token": 1}',
        "tokenizer_config.json: bos_token: 1 is not accepted; a token's text",
    ),
    (
        "tokenizer_config.json",
        '{"eos_token": {"text": "a"}}',
        "eos_token: {'text': 'a'} is not accepted; a token's text",
    ),
    ("tokenizer_config.json", '{"eos_token": {"content": "a", "lstrip": 1}}', "eos_token: lstrip 1 is not accepted"),
    ("tokenizer_config.json", '{"added_tokens_decoder": [1]}', "added_tokens_decoder: .1. is not accepted; an object"),
    ("tokenizer_config.json", '{"added_tokens_decoder": {"x": "a"}}', "added_tokens_decoder: 'x' is not accepted"),
    ("tokenizer_config.json", f'{{"added_tokens_decoder": {{"{DIGITS}": "a"}}}}', "added_tokens_decoder: '111"),
    ("tokenizer_config.json", '{"extra_special_tokens": "a"}', "extra_special_tokens: 'a' is not accepted; a list"),
    (
        "tokenizer_config.json",
        '{"split_special_tokens": "yes"}',
        "split_special_tokens: 'yes' is not accepted; true or",
    ),
    ("tokenizer_config.json", '{"chat_template": 5}', "chat_template: 5 is not accepted; a template is, or a list"),
    ("tokenizer_config.json", '{"chat_template": []}', "chat_template: {} is not accepted; a template is, or a list"),
    ("tokenizer_config.json", '{"chat_template": [{"name": "x"}]}', "chat_template: {'x': None} is not accepted"),
    ("special_tokens_map.json", '{"pad_token": [1]}', "pad_token: .1. is not accepted; a token's text is"),
    ("added_tokens.json", '{"a": "b"}', "added_tokens.json: 'b' is not accepted; token numbers are"),
    ("chat_template.json", "5", "chat_template.json: int is not accepted; a JSON object is"),
    ("chat_template.json", '{"chat_template": [5]}', "chat_template.json: chat_template: .5. is not accepted"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG, ids=range(len(WRONG)))
def test_a_file_that_is_damaged(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Not JSON, too deep, thousands of digits, another type: the file, the field and what is accepted."""
    (whole(tmp_path) / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        from_directory(tmp_path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", '{"a": -1}', "vocab.json: 'a': -1 is not accepted; a token number is"),
        ("vocab.json", f'{{"a": {2**40}}}', "vocab.json: 'a': 1099511627776 is not accepted; a token number is"),
        ("vocab.json", '{"a": "b"}', "vocab.json: 'a': 'b' is not accepted; a token number is"),
        ("vocab.json", '{"a": 1}', "merges.txt: not merges of vocab.json"),
        ("merges.txt", "a b c", "merges.txt: 'a b c' is not accepted; two tokens with a space between them are"),
        ("merges.txt", "x yz", "merges.txt: not merges of vocab.json"),
        ("merges.txt", "a \0", "merges.txt: not merges of vocab.json"),
        (
            "tokenizer_config.json",
            '{"add_bos_token": true, "bos_token": null, "tokenizer_class": "GPT2Tokenizer"}',
            "add_bos",
        ),
    ],
)
def test_a_vocabulary_that_is_damaged(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Numbers that are none, merges of tokens that are not there."""
    (write_gpt2(tmp_path, tokenizer_class="GPT2Tokenizer") / name).write_text(content)
    with pytest.raises(InputError, match=message):
        from_directory(tmp_path)


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"]
)
def test_a_pipe_in_place_of_a_file(tmp_path: Path, name: str) -> None:
    """It is refused, and nobody waits for somebody to write to it."""
    (whole(tmp_path) / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: a pipe or a device is not accepted"):
        from_directory(tmp_path)


VALUES = [None, -1, 10**6, 2**70, "", "x", [], {}, True, {"type": "ByteLevel"}, {"type": "Fuse"}, ["a", "b"]]


@settings(max_examples=150)
@given(st.data())
def test_any_tokenizer_json_is_used_or_refused(data: st.DataObject) -> None:
    """Whatever stands in one of its places, loading, encoding and streaming raise nothing but InputError."""
    with TemporaryDirectory() as name:
        path = whole(Path(name)) / "tokenizer.json"
        content = json.loads(path.read_text())
        places = [(content, key) for key in content]
        for _ in range(data.draw(st.integers(0, 3))):
            inner = [node[key] for node, key in places if isinstance(node[key], (dict, list)) and node[key]]
            if not inner:
                break
            node = data.draw(st.sampled_from(inner))
            places = [(node, key) for key in (node if isinstance(node, dict) else range(len(node)))]
        node, key = data.draw(st.sampled_from(places))
        node[key] = data.draw(st.sampled_from(VALUES))
        path.write_text(json.dumps(content))
        with suppress(InputError):
            made = loaded(Path(name))
            stream = made.stream()
            ids = made.encode("the cat <|im_start|>")
            assert "".join(map(stream.push, ids)) + stream.finish() == made.decode(ids)
