"""The benchmark: scores that depend on panel and contestant alone, resuming, refusing, intervals."""

from __future__ import annotations

import json

import pytest

from palaestra.agents.benchmark import benchmark
from palaestra.agents.contestants import Contestant
from palaestra.agents.episode import Episode, read_episodes
from palaestra.agents.rollout import RolloutSettings
from palaestra.agents.scores import score, wilson_interval
from palaestra.envs.panel import Panel, make_panel
from palaestra.errors import DataError, OptionError, UnknownNameError

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


def outcomes(folder, name: str) -> dict[str, tuple[bool, list[str]]]:
    """What happened in every episode, action by action."""
    found = {}
    for path in folder.glob(f"episodes-{name}-*.jsonl"):
        for episode in read_episodes(path):
            found[episode.key] = (episode.success, [turn.action for turn in episode.turns])
    return found


def test_expert_wins_and_random_does_not(panel, tmp_path):
    results = benchmark(panel, [Contestant("random", "random"), Contestant("expert", "expert")], tmp_path)
    random, expert = results.scores
    assert expert.success > 0.9 > 0.3 > random.success
    assert expert.episodes == random.episodes == 12
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["panel"]["digest"] == panel.digest
    assert [row["name"] for row in record["contestants"]] == ["random", "expert"]
    assert sum(row["episodes"] for row in expert.by_scenario.values()) == 12


def test_the_score_depends_on_neither_batch_nor_workers(panel, tiny, tmp_path):
    contestant = Contestant("tiny", f"tiny:{tiny}", temperature=1.0, max_tokens=6)
    plain = benchmark(panel, [contestant], tmp_path / "a", settings=RolloutSettings(concurrency=1))
    batched = benchmark(panel, [contestant], tmp_path / "b", settings=RolloutSettings(concurrency=64))
    spread = benchmark(panel, [contestant], tmp_path / "c", workers=4)
    played = [outcomes(tmp_path / name, "tiny") for name in "abc"]
    assert len(played[0]) == 12
    assert played[0] == played[1] == played[2]
    assert plain.scores[0].success == batched.scores[0].success == spread.scores[0].success


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


def test_other_panels_and_other_settings_are_refused(panel, tmp_path):
    benchmark(panel, [Contestant("a", "expert")], tmp_path)
    other = make_panel("palaestra/ALFWorld-v0", 12, seed=1, options=SMALL)
    with pytest.raises(OptionError, match="another panel"):
        benchmark(other, [Contestant("a", "expert")], tmp_path)
    with pytest.raises(OptionError, match="another temperature"):
        benchmark(panel, [Contestant("a", "expert", temperature=0.5)], tmp_path)
    with pytest.raises(OptionError, match="each its own"):
        benchmark(panel, [Contestant("a", "expert"), Contestant("a", "random")], tmp_path)
    with pytest.raises(UnknownNameError, match="random"):
        benchmark(panel, [Contestant("b", "randon")], tmp_path)


def test_failures_are_counted_and_never_scored():
    def episode(success: bool, outcome: str) -> Episode:
        made = Episode("e/E-v0", "t", "g", 0, "p", "a", scenario="s", success=success, reward=float(success))
        made.outcome = outcome  # type: ignore[assignment]
        return made

    found = score("x", [episode(True, "terminated"), episode(False, "truncated"), episode(False, "failed")])
    assert (found.success, found.episodes, found.failures) == (0.5, 2, 1)
    assert found.by_scenario == {"s": {"success": 0.5, "episodes": 2}}


def test_wilson_interval_against_published_numbers():
    # Newcombe 1998, table I: 81 of 263 -> 0.2553 to 0.3662; 0 of 20 -> 0 to 0.1611.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_a_panel_file_survives_and_a_broken_one_is_named(panel, tmp_path):
    path = tmp_path / "panel.json"
    panel.save(path)
    assert Panel.load(path) == panel
    assert Panel.load(path).digest == panel.digest
    path.write_text(path.read_text()[:100])
    with pytest.raises(DataError, match=r"panel\.json"):
        Panel.load(path)


def test_a_panel_is_a_function_of_its_seed():
    def keys(seed: int) -> list[str]:
        made = make_panel("palaestra/GuessNumber-v0", 20, seed=seed, options={"split": "test"})
        return [item.key for item in made.items]

    assert keys(1) == keys(1) != keys(2)
    assert len(set(keys(1))) == 20
