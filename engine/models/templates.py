"""The chat templates of a model, and which one is used, as in transformers."""

from __future__ import annotations

from collections.abc import Mapping
from os.path import lexists
from pathlib import Path
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.files import read_text
from aptsched.support.shown import shown
from engine.models.faults import located
from engine.models.json_object import read_json

ChatTemplate = str | Mapping[str, str]  # one, or several by their names

DEFAULT = "default"
FILE, FOLDER, OF_PROCESSOR = "chat_template.jinja", "additional_chat_templates", "chat_template.json"
ACCEPTED = "a template is, or a list of objects with name and template"


def chosen(template: ChatTemplate | None) -> str:
    """The template for messages without tools: the only one, or the one named "default".

    Raises
    ------
    InputError
        There is no such template.
    """
    if template is None:
        raise InputError("chat_template: the model has none; a plain prompt is accepted")
    if isinstance(template, str):
        return template
    if DEFAULT not in template:
        raise InputError(f"chat_template: none of {', '.join(sorted(template))} is named {DEFAULT!r}, which is needed")
    return template[DEFAULT]


def of_directory(folder: Path, settings: Mapping[str, Any]) -> ChatTemplate | None:
    """The templates in files of their own, else those of tokenizer_config.json, else that of a processor."""
    apart = [folder / FILE, *sorted((folder / FOLDER).glob("*.jinja"))]
    named = {DEFAULT if path.name == FILE else path.stem: read_text(path) for path in apart if lexists(path)}
    if named:
        return named[DEFAULT] if list(named) == [DEFAULT] else named
    with located(folder / "tokenizer_config.json"):
        template = parsed("chat_template", settings.get("chat_template"))
    path = folder / OF_PROCESSOR
    if template is not None or not lexists(path):
        return template
    with located(path):
        return parsed("chat_template", read_json(path).get("chat_template"))


def parsed(field: str, given: object) -> ChatTemplate | None:
    """One template, or several by their names: from a text, an object, or a list of {name, template}."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, list) and all(isinstance(each, dict) for each in given):
        given = {str(each.get("name")): each.get("template") for each in given}
    if not isinstance(given, dict) or not given or not all(isinstance(each, str) for each in given.values()):
        raise InputError(f"{field}: {shown(given)} is not accepted; {ACCEPTED}")
    return given
