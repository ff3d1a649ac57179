"""The tutorial on algorithms does what it says, and the table of trainers lists all of them."""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import weights

from palaestra.cli import train
from palaestra.cli.main import main

DOCS = Path(__file__).parent.parent / "docs"
LONGEST_FILE_LINES = 100


def written_files():
    text = (DOCS / "adding-an-algorithm.md").read_text()
    return dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL))


def commands():
    """The arguments of the page's commands, without the name of the program."""
    text = (DOCS / "adding-an-algorithm.md").read_text()
    (block,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [shlex.split(line) for line in block.splitlines()]
    assert all(words[0] == "palaestra" for words in lines)
    return [words[1:] for words in lines]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of the user's, with the files of the page, that commands run in."""
    for name, code in written_files().items():
        (tmp_path / name).write_text(code)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_option(arguments, name, value):
    changed = list(arguments)
    changed[changed.index(name) + 1] = value
    return changed


def test_the_algorithm_is_one_short_file():
    files = written_files()
    assert list(files) == ["rloo.py", "test_rloo.py"]
    assert len(files["rloo.py"].splitlines()) <= LONGEST_FILE_LINES
    assert max(map(len, files["rloo.py"].splitlines())) <= 110


def test_the_pages_own_tests_pass(place, monkeypatch):
    # Run here, not by another pytest: a process of its own would import torch once more.
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "rloo", raising=False)
    names: dict[str, Any] = {}
    exec(compile((place / "test_rloo.py").read_text(), "test_rloo.py", "exec"), names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_the_pages_commands_train_show_and_resume(place, capsys):
    clone, improve, view = commands()
    for arguments in (clone, improve, view):
        assert main(arguments) == 0, capsys.readouterr().err
    run = place / "runs" / "rloo"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    before, *_, after = [row["eval/success"] for row in rows if "eval/success" in row]
    assert after > before + 0.15
    # Half of the iterations, then the whole command: the same weights as in one go.
    halved = with_option(improve, "--out", "runs/halved")
    assert main(with_option(halved, "--iterations", "15")) == 0
    assert main(halved) == 0
    straight, resumed = weights(run), weights(place / "runs" / "halved")
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_help_and_presets_of_a_file_of_ones_own(place, capsys):
    assert main(["train", "./rloo.py", "--help"]) == 0
    assert "published: --group-size 4" in capsys.readouterr().out
    choice = train.parse(["./rloo.py", "--preset", "published", "--policy", "tiny:p"])
    assert choice.config.learning_rate == 1e-6


def test_what_the_page_points_at_exists():
    text = (DOCS / "adding-an-algorithm.md").read_text()
    for name in set(re.findall(r"`(\w+\.py)`", text)):
        assert (DOCS.parent / "trainers" / name).is_file(), name
    assert "rloo" not in train.trainers(), "the page says that the repository does not have it"


# ---- the table of trainers -----------------------------------------------------------------------


def table_rows():
    text = (DOCS / "trainers.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return {
        cells[0].strip("` "): cells
        for cells in ([c.strip() for c in line.strip("|").split("|")] for line in lines)
    }


def test_every_trainer_is_in_the_table_and_every_row_is_a_trainer():
    assert table_rows().keys() == train.trainers().keys()


@pytest.mark.parametrize("name", table_rows())
def test_a_row_is_whole_and_its_command_is_valid(name):
    cells = table_rows()[name]
    assert len(cells) == 5
    assert all(cells)
    words = shlex.split(cells[4].strip("`"))
    assert words[:3] == ["palaestra", "train", name]
    train.parse(words[2:])
