"""The run directory: what it records, how it resumes, what it refuses."""

import io
import json
import resource
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from palaestra.agents.progress import ProgressLine
from palaestra.errors import CheckpointError, DataError, OptionError, StorageError
from palaestra.trainers.core import run as run_module
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.run import Run


@dataclass(frozen=True)
class Settings:
    out: Path
    rate: float = 0.1
    names: tuple[str, ...] = ("a", "b")
    patience: int = 3


class Weights:
    def save(self, directory):
        directory.mkdir(parents=True)
        save_file({"weight": torch.ones(3)}, directory / "model.safetensors")


def opened(folder, free=("patience",), **changes):
    return Run(folder, "test", replace(Settings(folder), **changes), free=free)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def begin(folder, *, steps, saved_at):
    with opened(folder) as run:
        for step in range(1, steps + 1):
            run.log(step, {"loss": 1.0 / step})
            run.episodes_file(step).parent.mkdir(exist_ok=True)
            run.episodes_file(step).write_text("{}\n")
            if step in saved_at:
                run.save(step, Weights(), {"steps": step}, {"cursor": step})


def test_a_fresh_run_records_its_config_with_versions(tmp_path):
    with opened(tmp_path / "run") as run:
        assert (run.resumed, run.step) == (None, 0)
    record = json.loads((tmp_path / "run" / "config.json").read_text())
    assert record["trainer"] == "test"
    assert record["config"] == {"out": str(tmp_path / "run"), "rate": 0.1, "names": ["a", "b"], "patience": 3}
    assert {"python", "palaestra", "torch"} <= set(record["versions"])


def test_metrics_are_on_the_disk_as_soon_as_they_are_logged(tmp_path):
    with opened(tmp_path) as run:
        run.log(1, {"loss": 2.5, "success": float("nan")})
        assert metrics(tmp_path) == [{"step": 1, "loss": 2.5, "success": None}]


def test_a_run_killed_before_its_first_checkpoint_logs_everything_anew(tmp_path):
    with opened(tmp_path) as run:
        run.log(0, {"success": 0.5})
        run.log(1, {"loss": 1.0})
    with opened(tmp_path) as run:
        run.log(0, {"success": 0.5})
    assert metrics(tmp_path) == [{"step": 0, "success": 0.5}]


def test_tensorboard_holds_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    begin(tmp_path, steps=3, saved_at={2})
    with opened(tmp_path) as run:
        run.log(3, {"loss": 0.25})
    board = accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    found = [(event.step, event.value) for event in board.Scalars("loss")]
    assert found == [(1, 1.0), (2, 0.5), (3, 0.25)]


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path):
    begin(tmp_path, steps=5, saved_at={2, 4})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # killed while writing
    with opened(tmp_path) as run:
        assert run.step == 4
        assert run.resumed is not None
        assert (run.resumed.state, run.resumed.learner) == ({"cursor": 4}, {"steps": 4})
        run.log(5, {"loss": 9.0})
    assert [(row["step"], row["loss"]) for row in metrics(tmp_path)] == [
        (1, 1.0),
        (2, 0.5),
        (3, 1 / 3),
        (4, 0.25),
        (5, 9.0),
    ]
    assert sorted(file.name for file in (tmp_path / "episodes").iterdir()) == [
        f"step-{step:08d}.jsonl" for step in (1, 2, 3, 4)
    ]


def test_without_a_checkpoint_a_run_begins_again(tmp_path):
    begin(tmp_path, steps=3, saved_at=())
    with opened(tmp_path) as run:
        assert run.step == 0
    assert metrics(tmp_path) == []


def test_a_changed_option_is_named(tmp_path):
    opened(tmp_path).close()
    with pytest.raises(OptionError, match=r"rate=0\.1, now it is 0\.2"):
        opened(tmp_path, rate=0.2)
    with pytest.raises(OptionError, match="names"):
        opened(tmp_path, names=("a",))
    opened(tmp_path, patience=9).close()
    opened(tmp_path).close()
    with pytest.raises(OptionError, match="a run of 'test', not of 'other'"):
        Run(tmp_path, "other", Settings(tmp_path))


def test_a_moved_run_directory_still_resumes(tmp_path):
    begin(tmp_path / "old", steps=2, saved_at={2})
    (tmp_path / "old").rename(tmp_path / "new")
    with opened(tmp_path / "new") as run:
        assert run.step == 2


def test_a_damaged_checkpoint_stops_the_run_before_anything_is_dropped(tmp_path):
    begin(tmp_path, steps=3, saved_at={1, 2})
    (tmp_path / "checkpoints" / "step-00000002" / "learner.pt").unlink()
    with pytest.raises(CheckpointError, match=r"learner\.pt.*step-00000001"):
        opened(tmp_path)
    assert len(metrics(tmp_path)) == 3


def test_only_one_process_may_train_in_a_directory(tmp_path):
    with opened(tmp_path), pytest.raises(OptionError, match="another process"):
        opened(tmp_path)
    opened(tmp_path).close()


def test_a_directory_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(OptionError, match=r"thesis\.txt"):
        opened(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make"):
        opened(tmp_path / "file" / "run")


def test_a_damaged_config_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match=r"config\.json"):
        opened(tmp_path)


def test_a_full_disk_keeps_the_metrics_written_before(tmp_path, monkeypatch):
    monkeypatch.setattr(run_module, "_tensorboard", lambda directory, step: None)
    with opened(tmp_path) as run:
        run.log(1, {"loss": 1.0})
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60, hard))
        try:
            with pytest.raises(StorageError, match="intact"):
                run.log(2, {f"metric {number}": 1.0 for number in range(50)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert metrics(tmp_path) == [{"step": 1, "loss": 1.0}]
        run.log(2, {"loss": 2.0})
    assert len(metrics(tmp_path)) == 2


def test_a_full_disk_noticed_by_tensorboard_is_a_storage_error_too(tmp_path, monkeypatch):
    class Full:
        def add_scalar(self, name, value, step):
            raise OSError(28, "No space left on device")

        def close(self):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "_tensorboard", lambda directory, step: Full())
    with pytest.raises(StorageError, match=r"tensorboard.*No space"), opened(tmp_path) as run:
        run.log(1, {"loss": 1.0})
    assert metrics(tmp_path) == [{"step": 1, "loss": 1.0}]


def test_progress_without_a_terminal_is_plain_lines_the_last_included():
    screen = io.StringIO()
    with ProgressLine("sft", 30, console=Console(file=screen, force_terminal=False)) as progress:
        for step in range(30):
            progress.advance(f"[loss] {step}")
    assert screen.getvalue().splitlines() == ["sft 1/30  [loss] 0", "sft 30/30  [loss] 29"]


def test_progress_in_a_terminal_is_a_live_line():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with ProgressLine("sft", 4, done=2, console=console) as progress:
        progress.advance("loss 1")
        progress.advance("loss 0")
    assert "4/4" in screen.getvalue()
    assert "loss 0" in screen.getvalue()


def test_idle_and_senseless_options_are_refused():
    settings = Settings(Path("x"), patience=4)
    with pytest.raises(OptionError, match="patience=4 would do nothing: there is no rate"):
        refuse_idle(settings, ("rate", "patience"), "there is no rate")
    refuse_idle(settings, ("rate", "names"), "they are at their defaults")
    with pytest.raises(OptionError, match="rate must be above 0"):
        require_positive(replace(settings, rate=0.0), ("patience", "rate"))
