"""Presets: every trainer's named settings are valid, reach its Config, and give way to what is typed."""

import dataclasses
import importlib

import pytest

from palaestra.agents.react import parse
from palaestra.cli import train
from palaestra.cli.main import main
from palaestra.errors import DataError, OptionError, UnknownNameError
from palaestra.trainers import grpo

MODULES = {name: importlib.import_module(f"palaestra.trainers.{name}") for name in train.trainers()}
PRESETS = [(name, preset) for name, module in MODULES.items() for preset in getattr(module, "PRESETS", {})]


def parsed(*arguments):
    return train.parse([*arguments]).config


@pytest.mark.parametrize("name", MODULES)
def test_every_trainer_has_the_published_settings(name):
    assert "published" in MODULES[name].PRESETS


@pytest.mark.parametrize(("name", "preset"), [pair for pair in PRESETS if pair[1].startswith("published")])
def test_published_settings_are_for_a_gpu(name, preset):
    assert MODULES[name].PRESETS[preset]["device"] == "cuda"


@pytest.mark.parametrize(("name", "preset"), [pair for pair in PRESETS if pair[1].startswith("published")])
def test_a_published_form_of_answers_is_told(name, preset):
    settings = MODULES[name].PRESETS[preset]
    lines = str(settings.get("system", "")).splitlines()
    shown = "\n".join(line for line in lines if line.startswith(("Thought:", "Action:")))
    assert parse(shown)[2] == settings.get("thought", False)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_makes_a_valid_config_that_holds_its_values(name, preset):
    settings = MODULES[name].PRESETS[preset]
    config = parsed(name, "--preset", preset, "--policy", "tiny:somewhere")
    assert {field: getattr(config, field) for field in settings} == settings
    plain = MODULES[name].Config(policy="tiny:somewhere")
    others = {field.name for field in dataclasses.fields(config)} - settings.keys()
    assert all(getattr(config, field) == getattr(plain, field) for field in others)


def test_the_published_settings_of_grpo_are_those_of_verl_agent():
    config = parsed("grpo", "--preset", "published", "--policy", "tiny:p")
    assert (config.tasks_per_iteration, config.group_size, config.iterations) == (16, 8, 150)
    assert (config.clip_low, config.clip_high, config.kl_coefficient) == (0.2, 0.2, 0.01)
    assert (config.learning_rate, config.window_turns, config.eval_temperature) == (1e-6, 2, 0.4)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "published", "--learning-rate", "3e-5", "--no-thought", "--options", "scale=small"],
        ["--learning-rate", "3e-5", "--no-thought", "--options", "scale=small", "--preset=published"],
    ],
)
def test_what_is_typed_overrides_the_preset_wherever_it_stands(arguments):
    config = parsed("grpo", "--policy", "tiny:p", *arguments)
    assert (config.learning_rate, config.thought, config.options) == (3e-5, False, ("scale=small",))
    assert config.kl_coefficient == 0.01


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'published'"):
        parsed("grpo", "--preset", "publised", "--policy", "tiny:p")


@pytest.mark.parametrize("arguments", [["--preset"], ["--preset", "--policy", "p"], ["--preset="]])
def test_a_preset_without_a_name_is_refused(arguments):
    with pytest.raises(OptionError, match="needs a name"):
        parsed("grpo", *arguments)


def test_two_presets_are_refused():
    with pytest.raises(OptionError, match="given 2 times"):
        parsed("grpo", "--preset", "dapo", "--preset", "gigpo", "--policy", "tiny:p")


def test_help_lists_the_presets(capsys):
    assert main(["train", "grpo", "--help"]) == 0
    shown = capsys.readouterr().out
    for preset in grpo.PRESETS:
        assert f"{preset}: --" in shown


@pytest.mark.parametrize(
    ("value", "typed"),
    [
        ({"thought": True}, ["--thought"]),
        ({"thought": False}, ["--no-thought"]),
        ({"options": ("a=1", "b=2")}, ["--options", "a=1", "b=2"]),
        ({"window_turns": None}, ["--window-turns", "None"]),
        ({"learning_rate": 1e-6}, ["--learning-rate", "1e-06"]),
    ],
)
def test_a_preset_is_what_one_would_type(value, typed):
    assert train.preset_arguments({"some": value}, "some") == typed


# ---- trainers of one's own -----------------------------------------------------------------------

COUNTING = '''"""Counts up."""
from __future__ import annotations
from dataclasses import dataclass
from pathlib import Path

PRESETS = {"far": {"steps": 9}}

@dataclass(frozen=True)
class Config:
    """Count up."""
    steps: int = 3
    """How far."""

def train(config: Config) -> Path:
    return Path(f"runs/counted-{config.steps}")
'''


def test_a_file_of_ones_own_is_a_trainer_with_presets(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "counting.py").write_text(COUNTING)
    assert main(["train", "./counting.py", "--preset", "far"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "runs/counted-9"
    assert main(["train", "counting.py", "--steps", "4"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "runs/counted-4"


def test_a_file_that_is_no_trainer_says_what_it_lacks(tmp_path):
    (tmp_path / "empty.py").write_text("Config = 3\n")
    with pytest.raises(OptionError, match="it has no train"):
        train.parse([str(tmp_path / "empty.py")])
    with pytest.raises(DataError, match="there is no trainer file"):
        train.parse([str(tmp_path / "absent.py")])
