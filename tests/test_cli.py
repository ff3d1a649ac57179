"""Every command through its door: what it prints, what it leaves, and how it fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from palaestra.agents.episode import read_episodes
from palaestra.cli import main as door
from palaestra.cli import train
from palaestra.cli.envs import options_of, reflow
from palaestra.cli.main import main
from palaestra.errors import DataError

GUESS = "palaestra/GuessNumber-v0"
DOCS = Path(__file__).parent.parent / "docs"


def play(monkeypatch: pytest.MonkeyPatch, typed: str, *arguments: str) -> int:
    """Run `palaestra play` with ``typed`` as what comes through the pipe."""
    from io import StringIO

    monkeypatch.setattr(sys, "stdin", StringIO(typed))
    return main(["play", *arguments])


def run_python(code: str, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=timeout_s
    )


# ---- the door ----------------------------------------------------------------------------------------


def test_help_lists_every_command_and_imports_no_torch() -> None:
    code = (
        "import sys; from palaestra.cli.main import main; code = main(['--help']);"
        "heavy = {'torch', 'transformers', 'tokenizers', 'datasets', 'tyro'} & set(sys.modules);"
        "print('HEAVY', sorted(heavy)); sys.exit(code)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "HEAVY []" in done.stdout
    for name in door.COMMANDS:
        assert re.search(rf"^ +{name} +\S", done.stdout, re.MULTILINE), name


def test_the_installed_program_runs() -> None:
    program = Path(sys.executable).with_name("palaestra")
    done = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"palaestra \d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("name", list(door.COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"palaestra {name}" in capsys.readouterr().out


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out


def test_an_unknown_command_gives_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bensh"]) == 2
    assert "Did you mean 'bench'?" in capsys.readouterr().err


def test_spinning_of_threads_is_off_unless_the_user_set_it() -> None:
    code = "import os; from palaestra.cli.main import main; main(['-V']); print(os.environ['GOMP_SPINCOUNT'])"
    environment = {"PATH": "/usr/bin"}
    for given, expected in (({}, "0"), ({"GOMP_SPINCOUNT": "7"}, "7")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**environment, **given},
            timeout=60,
        )
        assert done.stdout.splitlines()[-1] == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["envs", "palaestra/GuesNumber-v0"], GUESS),
        (["play", "palaestra/GuesNumber-v0"], GUESS),
        (["play", GUESS, "--option", "highst=3"], "'highest'"),
        (["play", GUESS, "--option", "split=trian"], "'train'"),
        (["play", GUESS, "--option", "highest"], "name=value"),
        (["play", GUESS, "--task", "train-3x"], "'train-3'"),
        (["play", GUESS, "--import", "no_such_module"], "no_such_module"),
        (["check", "palaestra/GuesNumber-v0"], GUESS),
        (["check", GUESS, "--option", "highst=3"], "'highest'"),
        (["train", "grop"], "'grpo'"),
        (["view", "no/such/run"], "no/such/run does not exist"),
    ],
)
def test_bad_input_is_one_helpful_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("palaestra: ")
    assert expected in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("command", [["play", GUESS], ["envs"], ["check", GUESS], ["view", "x"]])
def test_an_unknown_option_is_wrong_usage(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--no-such-option", "3"]) == 2
    complaint = capsys.readouterr().err
    assert "--no-such-option" in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("how", ["option", "variable"])
def test_debug_shows_the_traceback(
    how: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if how == "variable":
        monkeypatch.setenv("PALAESTRA_DEBUG", "1")
    assert main(["envs", "nothing", *(["--debug"] if how == "option" else [])]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "resumes"), [("bench", True), ("envs", False)])
def test_an_interrupt_says_whether_the_command_resumes(
    name: str, resumes: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(door, "_run", interrupted)
    assert main([name]) == 130
    complaint = capsys.readouterr().err
    assert complaint.startswith("palaestra: interrupted")
    assert ("the same command goes on" in complaint) == resumes
    assert complaint.count("\n") == 1


def test_errors_that_are_not_ours_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(door, "_run", broken)
    with pytest.raises(ZeroDivisionError):
        main(["envs"])


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    code = "import sys; from palaestra.cli.main import main; sys.stdin.read(); sys.exit(main(['envs']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, complaint = process.communicate(timeout=60)
    assert process.returncode != 0
    assert complaint == b""


# ---- envs --------------------------------------------------------------------------------------------


def test_envs_lists_every_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["envs"]) == 0
    shown = capsys.readouterr().out
    assert "palaestra/ALFWorld-v0" in shown
    assert "Find a secret whole number" in shown


def test_envs_shows_the_page_and_the_options_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["envs", GUESS]) == 0
    shown = capsys.readouterr().out
    assert "Reward: 1 for the right number, else 0." in shown
    assert re.search(r"highest +int +100", shown)
    assert options_of(GUESS)["render_mode"] == ("str | None", "None")


def test_a_page_is_wrapped_by_the_terminal_and_keeps_its_labels() -> None:
    text = "First line.\n\n    Long text\n    goes on.\n    Reward: 1 when\n    done.\n    - item\n\n    End."
    assert reflow(text) == "First line.\n\nLong text goes on.\nReward: 1 when done.\n- item\n\nEnd."


def test_a_broken_environment_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gymnasium

    from palaestra.envs import registration

    (tmp_path / "broken_plugin.py").write_text(
        "from palaestra.envs.registration import register\nregister('broken/Env-v0', 'no_such_package:Env')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    try:
        assert main(["envs", "--import", "broken_plugin"]) == 0
        shown = capsys.readouterr().out
        assert "broken/Env-v0 cannot be loaded" in " ".join(shown.split())
        assert GUESS in shown
        assert main(["envs", "broken/Env-v0"]) == 1
    finally:
        gymnasium.registry.pop("broken/Env-v0", None)
        registration._registered.discard("broken/Env-v0")
        sys.modules.pop("broken_plugin", None)


# ---- play --------------------------------------------------------------------------------------------


def test_play_through_a_pipe_leaves_an_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "games" / "mine.jsonl"
    typed = "?\nhello\n1\n2\n3\n4\n"
    arguments = [GUESS, "--option", "highest=4", "--option", "max_steps=6", "--task", "valid-0"]
    arguments += ["--option", "split=valid"]
    assert play(monkeypatch, typed, *arguments, "--seed", "3", "--save", str(file)) == 0
    shown = capsys.readouterr().out
    assert "hint: 2" in shown
    assert "Solved" in shown
    (episode,) = read_episodes(file)
    assert (episode.env_id, episode.task_id, episode.seed, episode.policy) == (GUESS, "valid-0", 3, "human")
    assert episode.options == {"highest": 4, "max_steps": 6, "split": "valid"}
    assert [turn.action for turn in episode.turns][:2] == ["hello", "1"]
    assert episode.turns[1].observation == "Please answer with a whole number."
    assert (episode.success, episode.reward, episode.outcome) == (True, 1.0, "terminated")
    assert episode.final_observation == "Correct."


def test_play_takes_back_and_quits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.jsonl"
    assert play(monkeypatch, "u\n1000\nu\n0\n", GUESS, "--save", str(file)) == 0
    shown = capsys.readouterr().out
    assert "Nothing to take back" in shown
    assert "taken back: 1000" in shown
    (episode,) = read_episodes(file)
    assert [turn.action for turn in episode.turns] == ["0"]
    assert episode.turns[0].observation == episode.goal
    assert episode.tags == {"quit": True}
    assert not episode.success


def test_play_shows_a_hint_at_every_turn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(monkeypatch, "101\n102\n\n?\nq\n", GUESS, "--hint") == 0
    assert capsys.readouterr().out.count("hint: 50") == 4


def test_play_reads_on_where_a_line_ends_with_a_backslash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.jsonl"
    assert play(monkeypatch, "for x in y:\\\n    print(x)  \n7\nq\n", GUESS, "--save", str(file)) == 0
    (episode,) = read_episodes(file)
    assert [turn.action for turn in episode.turns] == ["for x in y:\n    print(x)", "7"]


def test_play_takes_the_number_of_a_listed_action_but_listed_text_goes_first() -> None:
    from palaestra.cli.play import _resolve

    assert _resolve("2", ["look", "go to desk 1"]) == "go to desk 1"
    assert _resolve("3", ["look", "go to desk 1"]) == "3"
    assert _resolve("0", ["look", "go to desk 1"]) == "0"
    assert _resolve("2", ["2", "1"]) == "2"
    assert _resolve("2", []) == "2"
    assert _resolve("!q", ["look"]) == "q"


def test_play_an_alfworld_game_by_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(monkeypatch, "1\nxyzzy\nu\nq\n", "palaestra/ALFWorld-v0", "--seed", "1") == 0
    shown = capsys.readouterr().out
    assert "not a listed action" in shown
    assert "taken back: xyzzy" in shown
    assert "step 1 of 50" in shown


# ---- check -------------------------------------------------------------------------------------------


def test_check_passes_and_fails_by_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import gymnasium

    from palaestra.envs import registration

    assert main(["check", GUESS, "--cycles", "5"]) == 0
    capsys.readouterr()
    (tmp_path / "generous_plugin.py").write_text(
        "from palaestra.envs.guess_number import GuessNumberEnv\n"
        "from palaestra.envs.core import Verdict\n"
        "from palaestra.envs.registration import register\n"
        "class GenerousEnv(GuessNumberEnv):\n"
        "    def _verify(self):\n"
        "        return Verdict(1.0, True)\n"
        "register('generous/Env-v0', 'generous_plugin:GenerousEnv')\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    try:
        assert main(["check", "generous/Env-v0", "--cycles", "5", "--import", "generous_plugin"]) == 1
        assert "near" in capsys.readouterr().out
    finally:
        gymnasium.registry.pop("generous/Env-v0", None)
        registration._registered.discard("generous/Env-v0")
        sys.modules.pop("generous_plugin", None)


def test_the_example_of_the_readme_solves_its_game() -> None:
    text = (DOCS.parent / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = run_python(code)
    assert (done.returncode, done.stdout) == (0, "True 1.0\n"), done.stderr


def test_the_tutorial_works_as_it_is_written(tmp_path: Path) -> None:
    text = (DOCS / "adding-an-environment.md").read_text()
    files = re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.DOTALL)
    assert [name for name, _ in files] == ["reverse_word.py", "test_reverse_word.py"]
    for name, code in files:
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_reverse_word.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


# ---- train -------------------------------------------------------------------------------------------


def test_train_lists_the_trainers_without_torch() -> None:
    code = (
        "import sys; from palaestra.cli.main import main; code = main(['train', '--help']);"
        "print('TORCH', 'torch' in sys.modules); sys.exit(code)"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert "TORCH False" in done.stdout
    for name in ("sft", "grpo"):
        assert re.search(rf"^ +{name} +\S+", done.stdout, re.MULTILINE), name


def test_train_runs_the_named_trainer_with_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "counting.py").write_text(
        '"""Counts up.\n\nNothing more."""\n'
        "from dataclasses import dataclass\nfrom pathlib import Path\n"
        '@dataclass(frozen=True)\nclass Config:\n    steps: int = 3\n    """How far."""\n'
        "def train(config):\n    return Path(f'runs/counted-{config.steps}')\n"
    )
    (tmp_path / "no_trainer.py").write_text("Config = 3\ndef train(config): ...\n")
    import palaestra.trainers

    monkeypatch.setattr(palaestra.trainers, "__path__", [*palaestra.trainers.__path__, str(tmp_path)])
    assert train.trainers()["counting"] == "Counts up."
    assert "no_trainer" not in train.trainers()
    assert main(["train", "counting", "--steps", "5"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "runs/counted-5"
    assert main(["train", "counting", "--stepz", "5"]) == 2


@dataclass
class Missing:
    """Stands for an import that fails because an extra is not installed."""

    name: str

    def __call__(self, module: str) -> None:
        raise ModuleNotFoundError(f"No module named {self.name!r}", name=self.name)


def test_train_without_torch_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from palaestra.errors import MissingExtraError

    monkeypatch.setattr(train.importlib, "import_module", Missing("torch"))
    with pytest.raises(MissingExtraError, match=r"palaestra\[train\]"):
        train.parse(["grpo"])


# ---- view --------------------------------------------------------------------------------------------


def test_view_prints_where_the_page_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.jsonl"
    assert play(monkeypatch, "1\nq\n", GUESS, "--save", str(file)) == 0
    capsys.readouterr()
    out = tmp_path / "pages" / "page.html"
    assert main(["view", str(file), "--out", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert json.dumps("human") in out.read_text()


def test_view_of_something_else_is_a_typed_error(tmp_path: Path) -> None:
    from palaestra.cli.view import write_report

    (tmp_path / "x.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="holds no episodes"):
        write_report(tmp_path / "x.jsonl")
