"""Chat templates, held against transformers' apply_chat_template, and templates that do harm."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from byte_level import built
from engine.models import template_bounds
from engine.models.chat_template import render
from engine.models.tokenizer import FastBackend, Tokenizer

SPECIAL = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
BACKEND = built().backend
assert isinstance(BACKEND, FastBackend)
REFERENCE = transformers.PreTrainedTokenizerFast(tokenizer_object=BACKEND.tokenizer, **SPECIAL)
HTML = [{"role": "user", "content": "<b>\"hi\"</b> & 'bye' é"}]
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief.", "name": None},
    {"role": "user", "content": "  1 + 1?  ", "z": 1, "a": [True, None, 2.5, {"é": "\n"}]},
    {"role": "assistant", "content": "", "thinking": "two", "tool_calls": [{"function": {"name": "f"}}]},
    {"role": "user", "content": "Why?"},
]
LOOP = "{% for m in messages %}"
TEMPLATES = [
    "{%- if tools is not none %}TOOLS{% endif %}{{ messages[0].content }}",
    "{{ tools is none }} {{ documents is none }} {{ tools is defined }} {{ add_generation_prompt }} {{ x is defined }}",
    "{{ messages[0].content | tojson }}",
    "{{ messages | tojson(indent=2) }}{{ messages | tojson(ensure_ascii=True, sort_keys=True, separators=('', ':')) }}",
    "a{% generation %} b {{ bos_token }}{% endgeneration %}c",
    LOOP + "{% generation %}{% set x = m.role %}{{ x }}{% endgeneration %}{{ x }}{% endfor %}",
    "{{ strftime_now('%Y') }}{{ strftime_now('no format') }}",
    LOOP + "\n  {% if loop.index0 == 1 %}{% continue %}{% endif %}\n{{ m.role }}\n{% break %}\n{% endfor %}\n",
    LOOP + "{{ loop.length }}{{ loop.revindex }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{% else %}-{% endfor %}",
    "{% set ns = namespace(a=0) %}" + LOOP + "{% set ns.a = ns.a + 1 %}{% endfor %}{{ ns.a * 3 }}{{ ns.b }}",
    "{{ bos_token + eos_token }}{{ unk_token }}{{ 'a' ~ 1 ~ none }}{{ 2 ** 10 }}{{ dict(a=1).a }}",
    "{{ dict.fromkeys('ab') }}{% set text %}  {{ messages[0].content }}\n{% endset %}[{{ text }}]",
    "{% macro show(m, n=1) %}<{{ m.role }}{{ n }}{{ caller() if caller }}>{% endmacro %}"
    "{{ show(messages[0]) }}{% call show(messages[0], 2) %}in{% endcall %}{% set up | upper %}x{% endset %}{{ up }}",
    "{% for m in messages recursive %}{{ m.role if m is mapping else m }}"
    "{{ loop(m) if m is mapping and loop.depth < 2 }}{% endfor %}",
    "{{ messages | map(attribute='role') | join(',') }}{{ messages | selectattr('role', 'equalto', 'user') | list }}",
    "{{ messages[-1].content.strip().split(' ') | reverse | list }}{{ messages[-1]['content'][::-1] | indent(2) }}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.length }}{% else %}none{% endfor %}",
    "{% for k, v in messages[0].items() %}{{ k }}{{ loop.last }}{% endfor %}{% for x in no %}{% else %}-{% endfor %}",
    "{{ messages[-1].reasoning_content }}{{ messages[-1].thinking }}{{ messages[0].name is defined }}",
    "{{ '%05d' | format(3) }}{{ '{:>5}'.format('x') }}{{ 'x'.center(9) }}{{ range(3) | list }}{{ [1] + [3] * 2 }}",
]
OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("role_é", max_size=4), inner, max_size=3),
    max_leaves=6,
)
MESSAGES = st.lists(
    st.dictionaries(st.sampled_from(["role", "content", "reasoning", "thinking", "name"]), OBJECTS, min_size=1),
    min_size=1,
    max_size=4,
)


def expected(template: str, messages: list[dict[str, Any]]) -> str:
    """What transformers makes of it."""
    prompt = REFERENCE.apply_chat_template(messages, chat_template=template, tokenize=False, add_generation_prompt=True)
    assert isinstance(prompt, str)
    return prompt


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("messages", [HTML, CHAT])
def test_a_template_sees_what_transformers_shows_it(template: str, messages: list[dict[str, Any]]) -> None:
    """No tools and documents, tojson, strftime_now, generation blocks, loops, namespaces, macros, filters."""
    assert Tokenizer(BACKEND, template, SPECIAL).chat_prompt(messages) == expected(template, messages)


def test_what_tools_and_tojson_are() -> None:
    """No tools are none, not undefined; JSON is as json.dumps writes it, without escaped HTML, keys in order."""
    assert render(TEMPLATES[0], HTML, {}) == HTML[0]["content"]
    assert render(TEMPLATES[2], HTML, {}) == '"<b>\\"hi\\"</b> & \'bye\' é"'
    assert render("{% generation %}yes{% endgeneration %}", HTML, {}) == "yes"
    assert render("{{ strftime_now('%d %B %Y') }}", HTML, {}, lambda: datetime(2026, 7, 9)) == "09 July 2026"


@given(st.sampled_from(TEMPLATES), MESSAGES)
def test_any_messages_are_shown_as_transformers_shows_them(template: str, messages: list[dict[str, Any]]) -> None:
    """Nested, without content, with reasoning under another name; where transformers fails, an InputError is raised."""
    try:
        reference = expected(template, messages)
    except Exception:  # of jinja2, of Python: whatever the template does to these messages
        with pytest.raises(InputError, match=r"chat_template|messages"):
            render(template, messages, SPECIAL)
    else:
        assert render(template, messages, SPECIAL) == reference


ATOMS = [
    *("{{ m.content | tojson }}", "{{ bos_token }}", "{{- m.role -}}", "{% set x = 1 %}", "{{ x }}", "{% break %}"),
    *("\n", "  ", " a", "{# note #}", "{{ loop.index }}", "{{ 'a' ~ x }}", "{{ 1 / x }}", "{{ m | nothing }}"),
    *("{{ y * 2 }}", "{% continue %}", "{{ raise_exception('no') }}", "{{ m.x.y }}", "{{ namespace(_a=1) }}"),
    *("{{ dict.keys }}", "{{ ''.__class__ }}", "{{ tools }}", "{{ m.update({}) }}", "{% endif %}", "{{ x + y }}"),
]
BLOCKS = ["for m in messages", "if tools", "if m", "generation", "set y", "for x in m", "filter upper", "with x = 3"]
SIGNS = st.sampled_from(["", "-"])


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Templates in blocks, with whitespace control, one after the other."""
    block = st.builds(
        lambda kind, text, left, right: f"{{%{left} {kind} {right}%}}{text}{{%{left} end{kind.split()[0]} {right}%}}",
        *(st.sampled_from(BLOCKS), inner, SIGNS, SIGNS),
    )
    return st.lists(block | inner, max_size=3).map("".join)


@settings(max_examples=300)
@given(st.recursive(st.sampled_from(ATOMS), blocks, max_leaves=8))
def test_any_template_does_what_it_does_in_transformers(template: str) -> None:
    """Blocks in any order, whitespace control, faults: the same prompt, or an InputError where transformers fails."""
    try:
        reference = expected(template, CHAT)
    except Exception:
        with pytest.raises(InputError, match="chat_template: "):
            render(template, CHAT, SPECIAL)
    else:
        assert render(template, CHAT, SPECIAL) == reference


NUM_STEPS = 400_000
MANY = "{% for i in range(99999) %}"
SET = "{% set ns = namespace(x='aa') %}{% for i in range(99) %}"
HARMFUL = {
    "{{ 1 / 0 }}": "ZeroDivisionError: division by zero",
    "{{ raise_exception('no system') }}": "no system",
    "{% if %}": "TemplateSyntaxError",
    "{{ messages.x.y }}": "UndefinedError",
    "{{ 1 | nothing }}": "No filter named 'nothing'",
    "{% include 'x' %}": "TypeError",
    "{{ [] | first | tojson }}": "TypeError",
    "{{ 10 ** 5000 }}": "ValueError",
    "{{ 'caf\\udcc3' }}": "chat_template: the prompt: character 3",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}": "RecursionError",
    "{{ " + "(" * 5000: "RecursionError",
    f"{MANY}{MANY}{{% endfor %}}{{% endfor %}}": f"it does not end within {NUM_STEPS}",
    f"{MANY}{{{{ range(99999) | sum }}}}{{% endfor %}}": f"it does not end within {NUM_STEPS}",
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}": "it does not end within",
    "{% for i in range(9) recursive %}{{ loop(range(99999)) if loop.depth < 3 }}{% endfor %}": "it does not end within",
    "{{ 'a' * 10**12 }}": "longer than",
    "{{ [1] * 10**12 }}": "longer than",
    "{{ 'a'.rjust(10**12) }}": "longer than",
    "{{ 'a' | center(10**12) }}": "longer than",
    f"{MANY}{{{{ 'a' * 9999 }}}}{{% endfor %}}": "longer than",
    SET + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}": "longer than",
    SET + "{% set ns.x = ns.x + ns.x %}{% endfor %}": "longer than",
    "{% set ns = namespace(x='\"') %}{% for i in range(99) %}{% set ns.x = ns.x | tojson %}{% endfor %}": "longer than",
    SET + "{% set y %}{{ ns.x * 2 }}{% endset %}{% set ns.x = y %}{% endfor %}": "longer than",
    "{% set ns = namespace(x=9) %}{% for i in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}": "bits",
    "{{ 9 ** (9 ** 9) }}": "bits",
}


@pytest.mark.parametrize("template", HARMFUL)
def test_a_template_that_fails_or_does_not_end(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, however long it runs and however much it makes: one message, which names the reason."""
    monkeypatch.setattr(template_bounds, "MAX_STEPS", NUM_STEPS)  # sooner than of a user's template
    with pytest.raises(InputError, match=re.escape(HARMFUL[template])) as caught:
        render(template, HTML, SPECIAL)
    assert str(caught.value).startswith("chat_template: ")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "messages: '..' is not accepted; at least one message is"),
        ("Hi", "messages: 'Hi' is not accepted"),
        (["Hi"], "messages: str is not accepted; objects with role and content are"),
        ([{"role": "user", "content": b"Hi"}], "messages: bytes is not accepted; text, numbers, lists and objects are"),
        ([{"role": "user", "content": "a\ud800b"}], "messages: character 1, .* is not Unicode text"),
        ([{"role": "user", "content": [{"text": "\udcff"}]}], "messages: character 0, .* is not Unicode text"),
    ],
)
def test_messages_that_are_none(messages: Any, message: str) -> None:
    """None, something else than objects, something else than JSON's types, text that is not Unicode."""
    with pytest.raises(InputError, match=message):
        render("{{ messages }}", messages, SPECIAL)


def test_a_model_without_a_template() -> None:
    """It says so, and what is accepted."""
    with pytest.raises(InputError, match="chat_template: the model has none; a plain prompt is accepted"):
        Tokenizer(BACKEND).chat_prompt(HTML)


def test_several_templates_without_a_default_one() -> None:
    """Transformers refuses to choose too."""
    with pytest.raises(InputError, match="chat_template: none of rag, tool_use is named 'default', which is needed"):
        Tokenizer(BACKEND, {"tool_use": "a", "rag": "b"}).chat_prompt(HTML)
