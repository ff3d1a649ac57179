"""Episodes on disk: whole or not at all, and never wrong in silence."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from palaestra.agents.episode import (
    Episode,
    EpisodeWriter,
    Turn,
    read_episodes,
    sequences,
    success_rate,
    tag_all,
)
from palaestra.errors import ContractError, DataError, StorageError


def turn(prompt=(1, 2), kept=0, ids=(3, 4), logprobs=None):
    return Turn(
        "o", list(prompt), kept, list(ids), logprobs or [-0.5] * len(ids), "a", 0.5, True, "stop", {"k": 1}
    )


def episode(*turns, **changes):
    values = {"env_id": "e", "task_id": "t", "goal": "g", "seed": 3, "policy": "p", "agent": "a", **changes}
    return Episode(turns=list(turns), **values)


# ---- the record ----------------------------------------------------------------------------------------


def test_json_gives_the_same_episode_back():
    original = episode(
        turn(),
        turn((5,), 4),
        reward=1.0,
        success=True,
        outcome="terminated",
        checks={"a": True},
        tags={"skills": ["x"]},
        options={"split": "train"},
    )
    line = original.to_json()
    assert "\n" not in line
    assert Episode.from_json(line) == original


@pytest.mark.parametrize("text", ["żółć 漢字 🙂", "two\nlines\u2028three\r", "lone \ud800 surrogate", "\x00"])
def test_any_text_survives_the_file(tmp_path, text):
    path = tmp_path / "episodes.jsonl"
    original = episode(turn(), goal=text, final_observation=text)
    with EpisodeWriter(path) as writer:
        writer.write(original)
        writer.write(original)
    assert list(read_episodes(path)) == [original, original]


def test_numbers_that_are_not_finite_are_refused():
    with pytest.raises(ValueError):
        episode(reward=math.nan).to_json()


def test_counts_and_rates():
    whole = episode(turn(), turn((5,), 4))
    assert (whole.sampled_tokens, whole.prompt_tokens) == (4, 3)
    episodes = [episode(success=True), episode(), episode(outcome="failed")]
    assert success_rate(episodes) == 0.5
    assert math.isnan(success_rate(episodes[2:]))
    tag_all(episodes, {"run": 1})
    assert [e.tags for e in episodes] == [{"run": 1}] * 3


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '{"schema": 1}',
        '{"schema": 2, "turns": []}',
        json.dumps({**json.loads(episode().to_json()), "unknown": 1}),
        json.dumps({**json.loads(episode(turn()).to_json()), "turns": [{"observation": "o"}]}),
        json.dumps({**json.loads(episode().to_json()), "turns": 5}),
    ],
)
def test_a_corrupt_line_is_a_data_error(line):
    with pytest.raises(DataError):
        Episode.from_json(line)


# ---- token rows ----------------------------------------------------------------------------------------


def test_turns_that_extend_make_one_row_and_others_make_more():
    rows = sequences(episode(turn((1, 2), 0, (3, 4)), turn((5,), 4, (6,)), turn((7, 8), 0, (9,))))
    assert [row.ids for row in rows] == [[1, 2, 3, 4, 5, 6], [7, 8, 9]]
    assert rows[0].mask == [False, False, True, True, False, True]
    assert rows[0].turn == [-1, -1, 0, 0, -1, 1]
    assert rows[1].turn == [-1, -1, 2]
    assert rows[0].logprobs == [0.0, 0.0, -0.5, -0.5, 0.0, -0.5]


@pytest.mark.parametrize(
    "turns",
    [
        [turn((1,), 3)],
        [turn(), turn((5,), 3)],
        [turn(), turn((5,), 5)],
        [turn(logprobs=[-1.0])],
        [turn(logprobs=[-1.0, math.inf])],
        [turn(logprobs=[-1.0, math.nan])],
    ],
)
def test_broken_turns_are_a_contract_error(turns):
    with pytest.raises(ContractError):
        sequences(episode(*turns))


# ---- the writer ----------------------------------------------------------------------------------------


def test_writing_goes_on_where_it_ended(tmp_path):
    path = tmp_path / "folder" / "episodes.jsonl"
    for number in range(3):
        with EpisodeWriter(path) as writer:
            writer.write(episode(seed=number))
    assert [e.seed for e in read_episodes(path)] == [0, 1, 2]


@pytest.mark.parametrize("left", [b'{"env_id": "e", "tas', b"\xff\xfe", b"{}", b"x" * 200_000])
def test_what_a_killed_process_left_is_cut_off(tmp_path, left):
    path = tmp_path / "episodes.jsonl"
    with EpisodeWriter(path) as writer:
        writer.write(episode(seed=1))
    with path.open("ab") as file:
        file.write(left)
    assert [e.seed for e in read_episodes(path)] == [1], "a reader passes over it"
    with EpisodeWriter(path) as writer:
        writer.write(episode(seed=2))
    assert [e.seed for e in read_episodes(path)] == [1, 2]


def test_a_file_of_nothing_but_a_partial_line(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_bytes(b'{"env')
    with EpisodeWriter(path) as writer:
        writer.write(episode())
    assert len(list(read_episodes(path))) == 1


def test_a_corrupt_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text(f"{episode().to_json()}\nnonsense\n{episode().to_json()}\n")
    with pytest.raises(DataError, match="line 2"):
        list(read_episodes(path))


def test_a_file_that_is_not_text_or_not_there(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with pytest.raises(DataError, match="cannot read"):
        list(read_episodes(path))
    path.write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(DataError):
        list(read_episodes(path))


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError):
        EpisodeWriter(tmp_path / "file" / "episodes.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_without_space_is_a_storage_error():
    with EpisodeWriter(Path("/dev/full")) as writer, pytest.raises(StorageError, match="free some space"):
        writer.write(episode())


@pytest.mark.skipif(os.name != "posix", reason="limits of file size are POSIX")
def test_a_disk_that_fills_up_keeps_everything_written_before(tmp_path):
    path = tmp_path / "episodes.jsonl"
    program = f"""
        import resource, signal
        from pathlib import Path
        from palaestra.agents.episode import Episode, EpisodeWriter
        from palaestra.errors import StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        written = 0
        with EpisodeWriter(Path({str(path)!r})) as writer:
            try:
                while True:
                    writer.write(Episode("e", "t", "g" * 300, written, "p", "a"))
                    written += 1
            except StorageError as error:
                print(written)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    written = int(done.stdout)
    assert written > 3
    assert path.read_bytes().endswith(b"\n"), "the partial line was cut off again"
    assert [e.seed for e in read_episodes(path)] == list(range(written))
    with EpisodeWriter(path) as writer:
        writer.write(episode(seed=written))
    assert [e.seed for e in read_episodes(path)] == list(range(written + 1))
