"""The report page: it holds what it was made from, whatever the texts are, and stays of bearable size."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from report_pages import HOSTILE, Page, browse, make_episode, needs_browser, shown, write_episodes

from palaestra.cli.report.content import content
from palaestra.cli.report.curves import curves
from palaestra.cli.report.episodes import Place, choose
from palaestra.cli.report.reading import finite
from palaestra.cli.report.results import contestants
from palaestra.cli.view import render, write_report
from palaestra.errors import DataError, OptionError, StorageError

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    run = tmp_path / "grpo-7"
    write_episodes(run / "episodes" / "train.jsonl", [make_episode(i, success=i % 3 > 0) for i in range(12)])
    rows = [{"step": i, "loss": 1 / (i + 1), "reward/mean": i / 10, "note": "text"} for i in range(10)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (run / "config.json").write_text(
        json.dumps({"trainer": "grpo", "config": {"learner": {"rate": 0.1}}, "versions": {"torch": "2.13"}})
    )
    return run


def test_a_run_directory_becomes_a_page_with_everything_in_it(run_directory: Path) -> None:
    page = Page(write_report(run_directory))
    assert page.data["title"] == "grpo-7"
    assert page.data["kind"] == "training run"
    assert page.data["config"] == {"trainer": "grpo", "learner.rate": 0.1, "version of.torch": "2.13"}
    assert [curve["name"] for curve in page.data["curves"]] == ["reward/mean", "loss"]
    assert page.data["curves"][1]["y"][1] == 0.5
    assert [episode["id"] for episode in shown(page.data)] == [f"task-{i}" for i in range(12)]
    assert shown(page.data)[0]["turns"][0]["l"] == [-0.1, -2.0]
    assert page.data["contestants"][0]["success"] == pytest.approx(8 / 12)


def test_the_page_needs_no_network(run_directory: Path) -> None:
    page = Page(write_report(run_directory))
    assert page.addresses == []
    assert page.scripts == 2


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    file = write_episodes(tmp_path / "episodes.jsonl", [make_episode(1, text=HOSTILE)])
    page = Page(write_report(file, tmp_path / "page.html"))
    assert page.scripts == 2
    assert shown(page.data)[0]["turns"][0]["o"] == HOSTILE


def test_a_hostile_folder_name_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<script>x"
    write_episodes(folder / "episodes.jsonl", [make_episode(1)])
    assert Page(write_report(folder)).scripts == 2


def test_a_lone_surrogate_does_not_break_the_page(tmp_path: Path) -> None:
    line = make_episode(1, text="MARK").to_json().replace("MARK", "\\ud800")
    (tmp_path / "episodes.jsonl").write_text(line + "\n")
    assert shown(Page(write_report(tmp_path)).data)[0]["turns"][0]["o"] == "?"


def test_a_benchmark_shows_the_measured_results(tmp_path: Path) -> None:
    row = {
        "name": "expert",
        "success": 1.0,
        "interval": [0.9, 1.0],
        "steps": 3.0,
        "tokens": 0,
        "seconds": 0.1,
        "failures": 0,
        "by_scenario": {"doors": {"success": 1.0, "episodes": 10}},
        "settings": {"policy": "expert"},
        "episodes": 40,
    }
    panel = {"name": "doors", "digest": "abc", "size": 40}
    (tmp_path / "results.json").write_text(json.dumps({"panel": panel, "contestants": [row]}))
    write_episodes(tmp_path / "episodes-expert-0.jsonl", [make_episode(1)])
    write_episodes(tmp_path / "episodes-expert-1.jsonl", [make_episode(2)])
    data = Page(write_report(tmp_path)).data
    assert data["kind"] == "benchmark"
    (contestant,) = data["contestants"]
    same = ("name", "success", "interval", "steps", "seconds", "failures", "settings")
    assert {key: contestant[key] for key in same} == {key: row[key] for key in same}
    assert contestant["n"] == 40
    assert contestant["tokens"] is None  # the expert samples none, whatever an older version counted
    assert contestant["by_scenario"]["doors"]["n"] == 10
    assert contestant["by_scenario"]["doors"]["interval"] == pytest.approx([0.7225, 1.0], abs=1e-4)
    assert data["panel"] == panel
    assert data["measured"]
    assert {row["source"] for row in data["rows"]} == {"expert"}


def test_failed_episodes_count_in_no_rate_and_are_never_dropped(tmp_path: Path) -> None:
    episodes = [
        make_episode(i, outcome="failed", success=False) if i == 33 else make_episode(i) for i in range(100)
    ]
    data = content(write_episodes(tmp_path / "e.jsonl", episodes), max_episodes=10)
    assert len(data["rows"]) == 10
    assert data["total_episodes"] == 100
    assert [row["failure"] for row in data["rows"] if row["outcome"] == "failed"] == [
        "WorkerError: the worker died"
    ]
    assert data["contestants"][0]["failures"] == 1
    assert data["contestants"][0]["success"] == 1.0


def test_episodes_are_chosen_evenly_and_in_order() -> None:
    places = [Place(Path("f"), i) for i in range(1000)]
    assert [place.offset for place in choose(places, 10)] == list(range(0, 1000, 100))
    assert len(choose([Place(Path("f"), i, failed=True) for i in range(1000)], 10)) == 10


def test_a_broken_line_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    file = write_episodes(tmp_path / "e.jsonl", [make_episode(i) for i in range(3)])
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + b'{"schema": 1, "tur\n' + lines[1] + lines[2][:50])
    data = content(file, 500)
    assert [episode["id"] for episode in shown(data)] == ["task-0", "task-1"]
    assert "1 episodes cannot be read" in data["notes"][0]


def test_broken_metrics_and_config_are_named_and_the_rest_is_shown(run_directory: Path) -> None:
    with (run_directory / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "loss": NaN}\n[1]\n{"step": 11, "lo')
    (run_directory / "config.json").write_text("{")
    data = content(run_directory, 500)
    assert "config.json cannot be read" in " ".join(data["notes"])
    assert "2 lines of metrics.jsonl" in " ".join(data["notes"])
    assert len(data["curves"][1]["x"]) == 10
    render(data)


@pytest.mark.parametrize("text", ["{}", "[]", '{"contestants": [3]}', "{"])
def test_a_broken_results_file_is_named_and_the_episodes_are_shown(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    write_episodes(tmp_path / "episodes-expert-0.jsonl", [make_episode(1)])
    data = content(tmp_path, 5)
    assert "no results yet" in data["notes"][0]
    assert "results.json" in data["notes"][1]
    assert data["contestants"][0]["success"] == 1.0


@pytest.mark.parametrize("what", ["missing", "empty folder", "binary"])
def test_nothing_to_show_is_a_typed_error(tmp_path: Path, what: str) -> None:
    path = tmp_path / "thing"
    if what == "empty folder":
        path.mkdir()
    elif what == "binary":
        path.write_bytes(os.urandom(2000) + b"\n")
    with pytest.raises(DataError):
        write_report(path)
    assert not list(tmp_path.glob("*.html"))


def test_options_are_checked(run_directory: Path) -> None:
    with pytest.raises(OptionError, match="at least 1"):
        write_report(run_directory, max_episodes=0)


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    run_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = write_report(run_directory)
    before = page.read_bytes()

    def full(self: Path, *args: object, **kwargs: object) -> int:
        self.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report(run_directory)
    assert page.read_bytes() == before
    assert not [file for file in run_directory.iterdir() if file.name.startswith(".")]


def test_curves_are_thinned_but_keep_the_last_value() -> None:
    (curve,) = curves([{"step": i, "loss": float(i)} for i in range(5001)])
    assert len(curve["x"]) <= 1000
    assert curve["y"][-1] == 5000.0
    assert curve["stride"] == 6


def test_numbers_that_json_does_not_know_become_none() -> None:
    assert finite({"a": float("nan"), "b": [float("inf"), 1]}) == {"a": None, "b": [None, 1]}


def test_no_episodes_make_no_result_rows() -> None:
    assert contestants([], []) == []


def test_tokens_are_spelt_with_the_tokenizer_of_the_run(run_directory: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    vocabulary = {"<unk>": 0, "open": 4, "door": 5}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="<unk>")
    (run_directory / "checkpoints" / "9").mkdir(parents=True)
    tokenizers.Tokenizer(model).save(str(run_directory / "checkpoints" / "9" / "tokenizer.json"))
    # "opendoor" does not hold the action "open door": a tokenizer that spells something else is not used.
    assert "t" not in shown(content(run_directory, 5))[0]["turns"][0]
    vocabulary = {"<unk>": 0, "open": 4, " door": 5}
    model = tokenizers.models.WordLevel(vocabulary, unk_token="<unk>")
    tokenizers.Tokenizer(model).save(str(run_directory / "checkpoints" / "9" / "tokenizer.json"))
    assert shown(content(run_directory, 5))[0]["turns"][0]["t"] == ["open", " door"]


def test_the_parts_of_the_page_are_in_the_wheel(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("palaestra", "envs", "agents", "trainers", "sandboxes", "cli"):
        shutil.copytree(
            REPOSITORY / name, tree / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, tree / name)
    build = "from setuptools import build_meta; print(build_meta.build_wheel('out'))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=tree, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = (tree / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("page.html", "style.css", "base.js", "episode.js", "content.py"):
        assert f"palaestra/cli/report/{name}" in names
    assert "palaestra/envs/core.py" in names
    assert "palaestra/py.typed" in names


@needs_browser
def test_a_browser_shows_the_page_and_runs_nothing_of_the_data(run_directory: Path, tmp_path: Path) -> None:
    write_episodes(run_directory / "episodes" / "train.jsonl", [make_episode(12, text=HOSTILE)])
    seen = browse(write_report(run_directory), tmp_path, "#episode-12")
    assert "grpo-7 · palaestra" in seen
    assert "document.title='owned'</script>" in seen
    assert "reward/mean" in seen
    assert "13 episodes" in seen
