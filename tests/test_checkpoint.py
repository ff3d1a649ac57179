"""Checkpoints: exact, verified, and never half there."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from palaestra.errors import CheckpointError, StorageError
from palaestra.trainers.core import checkpoint


class Weights:
    """A policy that is one tensor."""

    def __init__(self, value=0.0, numbers=1000):
        self.tensor = torch.full((numbers,), value)

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        save_file({"weight": self.tensor}, directory / "model.safetensors")
        (directory / "config.json").write_text("{}")


def write(folder, step, *, keep=0, numbers=1000, moments=10):
    learner = {
        "optimizer": {"state": {0: torch.arange(moments)}},
        "steps": step,
        "rng": torch.get_rng_state(),
    }
    return checkpoint.save(
        folder, step, policy=Weights(step, numbers), learner=learner, state={"cursor": [step, 7]}, keep=keep
    )


def damage(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_what_was_saved_is_loaded(tmp_path):
    found = checkpoint.load(write(tmp_path / "checkpoints", 12))
    assert (found.step, found.state) == (12, {"cursor": [12, 7]})
    assert found.learner["steps"] == 12
    assert torch.equal(found.learner["optimizer"]["state"][0], torch.arange(10))
    assert torch.equal(load_file(found.policy / "model.safetensors")["weight"], torch.full((1000,), 12.0))


def test_the_manifest_lists_every_file_with_its_size(tmp_path):
    path = write(tmp_path, 3)
    files = json.loads((path / "manifest.json").read_text())["files"]
    on_disk = {f.relative_to(path).as_posix(): f.stat().st_size for f in path.rglob("*") if f.is_file()}
    del on_disk["manifest.json"]
    assert {name: entry["bytes"] for name, entry in files.items()} == on_disk
    assert set(files) == {"policy/model.safetensors", "policy/config.json", "learner.pt", "state.json"}


def test_latest_is_the_newest_finished_one(tmp_path):
    assert checkpoint.latest(tmp_path / "none") is None
    for step in (2, 10, 9):
        write(tmp_path, step)
    (tmp_path / ".partial-step-00000011-1").mkdir()
    (tmp_path / "step-00000012").write_text("a file, not a folder")
    assert checkpoint.latest(tmp_path) == tmp_path / "step-00000010"


def test_only_the_newest_are_kept(tmp_path):
    for step in range(5):
        write(tmp_path, step, keep=2)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("name", ["policy/model.safetensors", "learner.pt", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "missing", "changed"])
def test_a_damaged_file_is_named_with_the_checkpoint_to_use_instead(tmp_path, name, harm):
    write(tmp_path, 1)
    write(tmp_path, 2)
    newest = write(tmp_path, 3)
    damage(tmp_path / "step-00000002" / "learner.pt")
    if harm == "missing":
        (newest / name).unlink()
    elif harm == "cut":
        content = (newest / name).read_bytes()
        (newest / name).write_bytes(content[: len(content) // 2])
    else:
        damage(newest / name)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(newest)
    assert name in str(caught.value)
    assert str(tmp_path / "step-00000001") in str(caught.value)
    assert "step-00000002" not in str(caught.value)
    assert checkpoint.load(tmp_path / "step-00000001").step == 1


@pytest.mark.parametrize("content", [None, "", '{"files": 3}', '{"files": {"learner.pt": {}}}'])
def test_a_missing_or_damaged_manifest_is_an_error(tmp_path, content):
    path = write(tmp_path, 1)
    (path / "manifest.json").unlink()
    if content is not None:
        (path / "manifest.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"manifest\.json.*no other intact"):
        checkpoint.load(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        checkpoint.load(tmp_path / "step-00000044")


def test_no_code_in_a_checkpoint_is_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    path = checkpoint.save(tmp_path, 1, policy=Weights(), learner={"optimizer": Evil()})
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(path)
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("big", ["numbers", "moments"])
def test_a_disk_that_takes_no_more_leaves_the_earlier_ones_intact(tmp_path, big):
    write(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel refuses to let any file grow beyond this, with an error like that of a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with pytest.raises(StorageError, match="Earlier checkpoints are intact"):
            write(tmp_path, 2, **{big: 1_000_000}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
    assert checkpoint.load(tmp_path / "step-00000001").step == 1


def test_a_process_killed_while_saving_leaves_nothing_under_a_valid_name(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
from palaestra.trainers.core import checkpoint

class Dies:
    def save(self, directory):
        directory.mkdir(parents=True)
        (directory / "model.safetensors").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

checkpoint.save(Path(sys.argv[1]), 2, policy=Dies(), learner={})
"""
    write(tmp_path, 1)
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2
    assert checkpoint.latest(tmp_path) == tmp_path / "step-00000001"
    checkpoint.remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_state_that_is_not_json_is_a_plain_error_that_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, 1, policy=Weights(), learner={}, state={"cursor": object()})
    assert list(tmp_path.iterdir()) == []
