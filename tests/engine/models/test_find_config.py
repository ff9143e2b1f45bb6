"""A model to compute with: by name, from a config.json, or from a directory with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aptsched import InputError
from checkpoints import LLAMA, OPT
from engine.models.find_config import find_config
from engine.models.hf_config import load_config
from engine.models.known_models import MODELS

QWEN: dict[str, Any] = {"model_type": "qwen2", **LLAMA}


def directory(path: Path, config: object, generation: object = None) -> Path:
    """A directory with these files."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (path / "generation_config.json").write_text(json.dumps(generation))
    return path


@pytest.mark.parametrize("name", ["opt-13b", "OPT-13b"])
def test_a_name_that_is_known_counts_before_a_path(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any case of its letters; ./NAME is the directory."""
    monkeypatch.chdir(tmp_path)
    directory(tmp_path / name, QWEN)
    assert find_config(name) is MODELS["opt-13b"]
    assert find_config(f"./{name}").hidden_size == QWEN["hidden_size"]


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama", **LLAMA, "num_key_value_heads": 2, "rope_theta": 500.0},
        {"model_type": "opt", **OPT, "enable_bias": False},
    ],
)
def test_what_the_engine_runs_is_the_very_same(config: dict[str, Any], tmp_path: Path) -> None:
    """With the tokens that end a text; how tokens are chosen is no notice where none are."""
    path = directory(tmp_path / "mine", config, {"eos_token_id": [4, 5], "temperature": 0.5})
    found = find_config(str(path))
    assert found == load_config(path) and found == find_config(str(path / "config.json"))
    assert found.eos_token_ids == (4, 5) and found.notices == () and load_config(path).notices != ()


def test_a_llama_that_the_engine_does_not_run_has_its_sizes(tmp_path: Path) -> None:
    """YaRN changes what is computed and no size."""
    plain = {"model_type": "llama", **LLAMA}
    yarn = directory(tmp_path / "yarn", {**plain, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}})
    with pytest.raises(InputError, match="yarn"):
        load_config(yarn)
    assert find_config(str(yarn)).num_params == find_config(str(directory(tmp_path / "plain", plain))).num_params


@pytest.mark.parametrize("how", ["{0}", "{0}/", "{0}/config.json", "{0}/../Mine-7B"])
def test_a_model_is_called_as_its_directory(how: str, tmp_path: Path) -> None:
    """However the path leads there."""
    path = directory(tmp_path / "Mine-7B", QWEN)
    assert find_config(how.format(path)).name == "Mine-7B"


def test_a_file_of_another_name_gives_it(tmp_path: Path) -> None:
    """Without what is behind the last dot."""
    path = directory(tmp_path / "all", QWEN) / "qwen2.5.json"
    path.write_text(json.dumps({"model_type": "llama", **LLAMA}))
    found = find_config(str(path))
    assert (found.name, found.architecture.name) == ("qwen2.5", "llama")


@pytest.mark.parametrize("name", ["gpt-5", "", "no/such/config.json", "opt-13b/config.json"])
def test_what_is_neither_lists_what_is_accepted(name: str) -> None:
    """Every name, and a file or a directory of one's own."""
    with pytest.raises(InputError, match=f"{', '.join(MODELS)}, a config.json or a directory with one are accepted"):
        find_config(name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "config.json: list is not accepted; a JSON object is"),
        ("GGUF", "config.json: "),
        (json.dumps({**QWEN, "hidden_size": -1}), "config.json: hidden_size: -1 is not accepted"),
        (json.dumps({**QWEN, "num_experts": 8}), "config.json: num_experts: 8 is not accepted: mixtures"),
        (json.dumps({**LLAMA, "model_type": ["x"]}), r"config.json: model_type: \['x'\] is not accepted"),
    ],
)
def test_a_file_that_is_no_such_thing(content: str, message: str, tmp_path: Path) -> None:
    """The message begins with the file."""
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=f"^{tmp_path}/{message}"):
        find_config(str(tmp_path))


def test_a_directory_without_a_file(tmp_path: Path) -> None:
    """It is said which is missing."""
    with pytest.raises(InputError, match=r"config\.json"):
        find_config(str(tmp_path))
