"""The benchmark: scores that depend on panel and contestant alone, in parts, resumed, killed and refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from rich.console import Console
from sibling_env import ID as SIBLINGS
from troubled_env import ID, TroubledEnv

from palaestra.agents import benchmark as module
from palaestra.agents.benchmark import Shard, benchmark
from palaestra.agents.contestants import Contestant
from palaestra.agents.episode import read_episodes
from palaestra.agents.rollout import RolloutSettings
from palaestra.cli.bench import table
from palaestra.cli.main import main
from palaestra.envs.panel import Panel, PanelItem, make_panel
from palaestra.errors import CheckpointError, DataError, FailureRateError, OptionError, UnknownNameError

SMALL = {"scale": "small", "max_steps": 15, "split": "valid_unseen"}


@pytest.fixture(scope="module")
def panel() -> Panel:
    return make_panel("palaestra/ALFWorld-v0", 12, options=SMALL)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A policy that plays badly, but not always: fresh weights over the games' own words."""
    tiny_module = pytest.importorskip("palaestra.agents.policies.tiny")
    from palaestra.envs.panel import make_env

    env = make_env("palaestra/ALFWorld-v0", SMALL)
    texts = [env.reset(seed=seed)[0] for seed in range(30)]
    folder = tmp_path_factory.mktemp("tiny")
    tiny_module.TinyPolicy.new(texts, width=32, layers=1, heads=2, vocab_size=400, seed=0).save(folder)
    return folder


def outcomes(folder, name: str) -> dict[str, tuple[bool, int, list[str]]]:
    """What happened in every episode, action by action."""
    found = {}
    for path in folder.glob(f"episodes-{name}-*.jsonl"):
        for episode in read_episodes(path):
            found[episode.key] = (episode.success, episode.attempt, [turn.action for turn in episode.turns])
    return found


def nobody_loads(monkeypatch) -> None:
    """Let every policy that is loaded from now on fail the test."""

    def refuse(name):
        raise AssertionError(f"{name} was loaded")

    monkeypatch.setattr(module, "load_policy", refuse)


def without_seconds(scores) -> str:
    """Scores as they are saved (an unknown number equals itself), less what a clock measured."""
    return json.dumps(
        [{key: value for key, value in asdict(one).items() if key != "seconds"} for one in scores]
    )


def test_expert_wins_and_random_does_not(panel, tmp_path):
    results = benchmark(panel, [Contestant("random", "random"), Contestant("expert", "expert")], tmp_path)
    random, expert = results.scores
    assert expert.success > 0.9 > 0.3 > random.success
    assert expert.episodes == random.episodes == 12
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["panel"]["digest"] == panel.digest
    assert [row["name"] for row in record["contestants"]] == ["random", "expert"]
    assert sum(row["episodes"] for row in expert.by_scenario.values()) == 12


def contestants_of(tiny) -> list[Contestant]:
    return [
        Contestant("short", "expert", max_turns=7),
        Contestant("votes", "random", agent="best-of-n", tries=3),
        Contestant("thinks again", "random", agent="reflexion", tries=3),
        Contestant("tiny", f"tiny:{tiny}", temperature=1.0, max_tokens=6, max_turns=5),
    ]


def test_the_score_depends_on_neither_batch_nor_workers_nor_parts(panel, tiny, tmp_path, monkeypatch):
    contestants = contestants_of(tiny)
    plain = benchmark(panel, contestants, tmp_path / "a", settings=RolloutSettings(concurrency=1))
    batched = benchmark(panel, contestants, tmp_path / "b", settings=RolloutSettings(concurrency=64))
    spread = benchmark(panel, contestants, tmp_path / "c", workers=2)
    for number in (1, 2, 3):  # on three machines, whose files are then copied into one folder
        place = tmp_path / f"part{number}"
        part = benchmark(panel, contestants, place, shard=Shard(number, 3))
        assert [score.episodes for score in part.scores] == [4] * 4
        assert json.loads((place / "results.json").read_text())["shard"]["number"] == number
        shutil.copytree(place, tmp_path / "d", dirs_exist_ok=True)
    nobody_loads(monkeypatch)
    merged = benchmark(panel, contestants, tmp_path / "d")
    for contestant in contestants:
        played = [outcomes(tmp_path / name, contestant.name) for name in "abcd"]
        assert len(played[0]) == 12
        assert played[0] == played[1] == played[2] == played[3]
    assert 0 < plain.scores[0].success < 1  # so that the intervals of its differences are drawn ones
    assert any(attempt for _, attempt, _ in outcomes(tmp_path / "a", "thinks again").values())
    for other in (batched, spread, merged):
        assert without_seconds(other.scores) == without_seconds(plain.scores)
        assert other.comparisons == plain.comparisons
        assert other.shard is None
    assert len(plain.comparisons) == 6
    record = json.loads((tmp_path / "d" / "results.json").read_text())
    assert (record["shard"], len(record["comparisons"])) == (None, 6)


def test_intervals_are_drawn_alike_whenever_a_panel_is_measured(panel, tmp_path, monkeypatch):
    drawn = []
    compare = module.compare

    def watched(found, generator):
        drawn.append(generator.bit_generator.state)
        return compare(found, generator)

    monkeypatch.setattr(module, "compare", watched)
    other = make_panel("palaestra/ALFWorld-v0", 12, seed=1, options=SMALL)
    for number, played in enumerate((panel, panel, other)):
        benchmark(played, [Contestant("a", "expert")], tmp_path / str(number))
    assert drawn[0] == drawn[1] != drawn[2]


# ---- parts -------------------------------------------------------------------------------------------


def test_parts_share_out_the_panel(panel):
    for of in (1, 2, 5, 12):
        parts = [Shard.parse(f"{number}/{of}").items(panel) for number in range(1, of + 1)]
        assert sorted(item.key for part in parts for item in part) == sorted(i.key for i in panel.items)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
    with pytest.raises(OptionError, match="12 tasks cannot be played in 13 shards"):
        Shard(13, 13).items(panel)


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "x", "1", "1/", "/3", "1/0", "-1/3", "1/3/5", "1.0/3", "²/3", ""]
)
def test_parts_that_do_not_exist_are_refused(text):
    with pytest.raises(OptionError, match="shard"):
        Shard.parse(text)


def test_parts_may_be_played_into_one_folder_and_a_whole_run_plays_the_rest(panel, tmp_path):
    contestant = Contestant("expert", "expert")
    benchmark(panel, [contestant], tmp_path, shard=Shard(2, 3))
    benchmark(panel, [contestant], tmp_path, shard=Shard(3, 3), workers=2)
    assert sorted(path.name for path in tmp_path.glob("episodes-*")) == [
        "episodes-expert-2of3.0.jsonl",
        "episodes-expert-3of3.0.jsonl",
        "episodes-expert-3of3.1.jsonl",
    ]
    assert benchmark(panel, [contestant], tmp_path).scores[0].episodes == 12
    assert len(list(read_episodes(tmp_path / "episodes-expert-0.jsonl"))) == 4
    # What was played in parts also counts for a part of another size.
    assert benchmark(panel, [contestant], tmp_path, shard=Shard(1, 4)).scores[0].episodes == 3


# ---- again -------------------------------------------------------------------------------------------


def test_a_second_run_plays_only_what_is_missing(panel, tmp_path):
    contestant = Contestant("expert", "expert")
    benchmark(panel, [contestant], tmp_path)
    path = tmp_path / "episodes-expert-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    # A run that was killed: five whole episodes, and half of a sixth.
    path.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    results = benchmark(panel, [contestant], tmp_path)
    assert results.scores[0].episodes == 12
    assert path.read_bytes().splitlines(keepends=True)[:5] == lines[:5]
    assert len(path.read_bytes().splitlines()) == 12


def test_nothing_missing_loads_no_policy_and_asks_for_none(panel, tiny, tmp_path, monkeypatch):
    folder = shutil.copytree(tiny, tmp_path / "policy")
    contestants = [Contestant("tiny", f"tiny:{folder}", max_tokens=6), Contestant("random", "random")]
    first = benchmark(panel, contestants, tmp_path / "out")
    shutil.rmtree(folder)
    nobody_loads(monkeypatch)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("episodes-*")}
    second = benchmark(panel, contestants, tmp_path / "out")
    assert without_seconds(second.scores) == without_seconds(first.scores)
    assert second.comparisons == first.comparisons
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("episodes-*")} == before


def test_one_contestant_more_plays_alone(panel, tmp_path, monkeypatch):
    benchmark(panel, [Contestant("expert", "expert")], tmp_path)
    loaded = []
    load = module.load_policy
    monkeypatch.setattr(module, "load_policy", lambda name: loaded.append(name) or load(name))
    both = benchmark(panel, [Contestant("expert", "expert"), Contestant("random", "random")], tmp_path)
    assert loaded == ["random"]
    assert [score.episodes for score in both.scores] == [12, 12]
    assert both.comparisons[0].difference == both.scores[0].success - both.scores[1].success


def test_scenarios_and_metrics_of_an_environment_with_siblings(tmp_path, capsys):
    options = {"hard": "mail_2", "broken": "note_3"}
    panel = make_panel(SIBLINGS, 9, options=options)
    lenient = RolloutSettings(max_failure_rate=0.5, retries=0)
    results = benchmark(panel, [Contestant("expert", "expert")], tmp_path, settings=lenient)
    [one] = results.scores
    # Of pay all are solved, of mail not, of note two and the third failed; so one of two, and 7 of 8 tasks.
    assert (one.scenario_goal, one.scenarios, one.success, one.failures) == (0.5, 2, 0.875, 1)
    assert one.scenario_goal_interval == pytest.approx((0.09453, 0.90547), abs=1e-5)
    # Seven said "word" and one "enough"; what was paid is known of the three of pay.
    assert one.metrics == {"calls": (7 * 4 + 6) / 8, "paid": 2.0}
    [row] = json.loads((tmp_path / "results.json").read_text())["contestants"]
    assert (row["scenario_goal"], row["scenarios"], row["metrics"]) == (0.5, 2, one.metrics)
    console = Console(width=200)
    console.print(table(results))
    assert "SGC" in (shown := capsys.readouterr().out)
    assert "50.0%" in shown
    assert " 4.2 " in shown
    # What cannot be reset cannot be judged by the next run either.
    again = benchmark(panel, [Contestant("expert", "expert")], tmp_path, settings=lenient)
    assert (again.scores[0].scenario_goal, again.scores[0].scenarios) == (0.5, 2)


def test_failed_episodes_are_played_again_and_judged_once(tmp_path):
    troubled = Panel("t", tuple(PanelItem(ID, f"task-{n}", n, {"trouble": "once"}) for n in range(12)))
    TroubledEnv.forget()
    lenient = RolloutSettings(retries=0, max_failure_rate=1.0)
    contestant = Contestant("expert", "expert")
    first = benchmark(troubled, [contestant], tmp_path, settings=lenient)
    assert (first.scores[0].episodes, first.scores[0].failures) == (8, 4)
    assert first.scores[0].failure_kinds == {"InfrastructureError": 4}
    second = benchmark(troubled, [contestant], tmp_path)
    assert (second.scores[0].episodes, second.scores[0].failures, second.scores[0].success) == (12, 0, 1.0)
    assert len(list(read_episodes(tmp_path / "episodes-expert-0.jsonl"))) == 16


def test_the_rate_of_failures_is_that_of_the_whole_panel(tmp_path):
    troubled = Panel("t", tuple(PanelItem(ID, f"task-{n}", n, {"trouble": "step"}) for n in range(12)))
    settings = RolloutSettings(retries=0, max_failure_rate=0.4)
    for _ in range(2):  # the second time, all four that are tried again fail again
        pair = [Contestant("expert", "expert"), Contestant("hasty", "expert", max_turns=1)]
        results = benchmark(troubled, pair, tmp_path, settings=settings)
        assert [(score.episodes, score.failures) for score in results.scores] == [(8, 4), (12, 0)]
        # What one side was not judged on is no loss of it.
        assert (results.comparisons[0].tasks, results.comparisons[0].only_first) == (8, 8)
    strict = RolloutSettings(retries=0, max_failure_rate=0.3)
    with pytest.raises(FailureRateError):
        benchmark(troubled, [Contestant("expert", "expert")], tmp_path, settings=strict)


# ---- refused -----------------------------------------------------------------------------------------


def test_other_panels_and_other_settings_are_refused(panel, tmp_path):
    benchmark(panel, [Contestant("a", "expert")], tmp_path)
    other = make_panel("palaestra/ALFWorld-v0", 12, seed=1, options=SMALL)
    with pytest.raises(OptionError, match="another panel"):
        benchmark(other, [Contestant("a", "expert")], tmp_path)
    with pytest.raises(OptionError, match="another temperature"):
        benchmark(panel, [Contestant("a", "expert", temperature=0.5)], tmp_path)
    with pytest.raises(OptionError, match="another agent, tries"):
        benchmark(panel, [Contestant("a", "expert", agent="reflexion")], tmp_path)
    with pytest.raises(OptionError, match="each its own"):
        benchmark(panel, [Contestant("a", "expert"), Contestant("a", "random")], tmp_path)
    with pytest.raises(OptionError, match="each its own"):
        benchmark(panel, [], tmp_path)
    with pytest.raises(OptionError, match="workers"):
        benchmark(panel, [Contestant("a", "expert")], tmp_path, workers=0)
    with pytest.raises(UnknownNameError, match="random"):
        benchmark(panel, [Contestant("b", "randon")], tmp_path)
    (tmp_path / "contestants.json").write_text("[]")
    with pytest.raises(DataError, match=r"contestants\.json"):
        benchmark(panel, [Contestant("a", "expert")], tmp_path)


def test_a_folder_from_before_there_were_agents_goes_on(panel, tmp_path):
    benchmark(panel, [Contestant("a", "expert")], tmp_path)
    path = tmp_path / "contestants.json"
    old = json.loads(path.read_text())
    for later in ("agent", "tries", "system", "max_turns"):
        del old["a"][later]
    path.write_text(json.dumps(old))
    assert benchmark(panel, [Contestant("a", "expert")], tmp_path).scores[0].episodes == 12


def test_a_policy_that_is_not_there_stops_everybody_before_anything_is_played(panel, tiny, tmp_path):
    good = Contestant("random", "random")
    with pytest.raises(CheckpointError, match="'late' is not there"):
        benchmark(panel, [good, Contestant("late", f"tiny:{tmp_path}/none")], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # The same name is free for the right folder.
    right = Contestant("late", f"tiny:{tiny}", max_tokens=6)
    assert len(benchmark(panel, [good, right], tmp_path / "out").scores) == 2


def test_a_name_with_nothing_played_is_free(panel, tiny, tmp_path):
    folder = shutil.copytree(tiny, tmp_path / "policy")
    (folder / "model.safetensors").unlink()
    with pytest.raises((DataError, OSError)):
        benchmark(panel, [Contestant("a", f"tiny:{folder}")], tmp_path / "out")
    assert json.loads((tmp_path / "out" / "contestants.json").read_text())
    benchmark(panel, [Contestant("a", f"tiny:{tiny}", max_tokens=6)], tmp_path / "out")


def test_names_that_begin_alike_keep_their_episodes_apart(panel, tmp_path):
    pair = [Contestant("a", "expert"), Contestant("a-0", "random")]
    first = benchmark(panel, pair, tmp_path)
    assert first.scores[0].success > first.scores[1].success
    again = benchmark(panel, pair, tmp_path)
    assert without_seconds(again.scores) == without_seconds(first.scores)


# ---- killed ------------------------------------------------------------------------------------------


def lines_of(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("episodes-*.jsonl"))


def wait_until(condition, seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    panel = make_panel("palaestra/ALFWorld-v0", 200, options=SMALL)

    def kill_one() -> None:
        wait_until(lambda: lines_of(tmp_path) >= 5)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    results = benchmark(panel, [Contestant("random", "random")], tmp_path, workers=2)
    killer.join()
    here = benchmark(panel, [Contestant("random", "random")], tmp_path / "here")
    assert without_seconds(results.scores) == without_seconds(here.scores)


def running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in /proc")
def test_a_run_that_is_killed_leaves_no_workers_and_goes_on(tmp_path):
    panel = make_panel("palaestra/ALFWorld-v0", 200, options=SMALL)
    panel.save(tmp_path / "panel.json")
    out = tmp_path / "out"
    arguments = ["bench", "--panel", str(tmp_path / "panel.json"), "--contestants", "random"]
    arguments += ["--out", str(out), "--workers", "2"]
    process = subprocess.Popen(
        [sys.executable, "-m", "palaestra.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: lines_of(out) >= 5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    wait_until(lambda: not any(running(int(child)) for child in children))
    played = lines_of(out)
    assert 5 <= played < 200
    results = benchmark(panel, [Contestant("random", "random")], out)
    assert results.scores[0].episodes == 200
    assert lines_of(out) == 200
    here = benchmark(panel, [Contestant("random", "random")], tmp_path / "here")
    assert without_seconds(results.scores) == without_seconds(here.scores)


# ---- the command -------------------------------------------------------------------------------------


def test_the_command_compares_agents_on_panels_joined_and_again_plays_nothing(
    tiny, tmp_path, capsys, monkeypatch
):
    first, second = tmp_path / "alfworld.json", tmp_path / "guess.json"
    make_panel("palaestra/ALFWorld-v0", 4, options=SMALL, name="alfworld").save(first)
    make_panel("palaestra/GuessNumber-v0", 4, name="guess").save(second)
    command = ["bench", "--panel", str(first), str(second), "--out", str(tmp_path / "out")]
    command += ["--max-tokens", "6", "--max-turns", "3", "--contestants", "random", "expert"]
    command += [f"tiny:{tiny}", "again=reflexion:random,tries=2"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "alfworld+guess (8 tasks, digest" in printed
    for expected in ("again", "ALFWorld-v0", "GuessNumber-v0", "p (Holm)", "report:"):
        assert expected in printed
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    again = record["contestants"][3]
    assert (again["name"], again["settings"]["tries"], again["settings"]["max_turns"]) == ("again", 2, 3)
    assert len(again["within"]) == 2
    assert len(record["comparisons"]) == 6
    nobody_loads(monkeypatch)
    assert main(command) == 0
    assert capsys.readouterr().out == printed
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == record


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--panel", "alfword-small"], "Did you mean 'alfworld-small'"),
        (["--panel", "./none.json"], "none.json is not a panel file"),
        (["--panel", "guess-number-small", "guess-number-small"], "in common"),
        (["--panel", "guess-number-small", "--size", "3"], "--size: no effect with --panel"),
        (["--panel", "guess-number-small", "--env", "x", "--option", "a=b"], "--env, --option"),
        (["--contestants", "reflexon:smollm2"], "Did you mean 'reflexion'"),
        (["--contestants", "best-of-n:hf:x"], "temperature"),
        (["--contestants", "tiny:/no/such/folder"], "is not there"),
        (["--shard", "0/3"], "count from 1"),
        (["--shard", "4/3"], "no number 4"),
        (["--shard", "x"], "i/n"),
    ],
)
def test_a_command_that_cannot_be_meant_plays_nothing(tmp_path, capsys, arguments, said):
    out = tmp_path / "out"
    drawn = [] if "--panel" in arguments else ["--env", "palaestra/GuessNumber-v0", "--size", "4"]
    assert main(["bench", *drawn, *arguments, "--out", str(out)]) == 1
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_the_program_on_the_page_runs(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "benchmark.md").read_text()
    program = page.partition("```python\n")[2].partition("```")[0]
    known = {"out": tmp_path}
    exec(program, known)
    assert known["results"].comparisons[0].tasks == 5
    for name in ("expert", "random"):
        assert (tmp_path / f"episodes-{name}-1of10.0.jsonl").exists()


def test_a_part_is_called_a_part(tmp_path, capsys):
    command = ["bench", "--env", "palaestra/GuessNumber-v0", "--size", "7", "--contestants", "expert"]
    assert main([*command, "--shard", "2/3", "--out", str(tmp_path)]) == 0
    assert "part 2 of 3: 2 of 7 tasks" in capsys.readouterr().out


def test_a_panel_is_a_function_of_its_seed():
    def keys(seed: int) -> list[str]:
        made = make_panel("palaestra/GuessNumber-v0", 20, seed=seed, options={"split": "test"})
        return [item.key for item in made.items]

    assert keys(1) == keys(1) != keys(2)
    assert len(set(keys(1))) == 20
