"""Rejection sampling: what of a trajectory is imitated and how much, the store, rounds, budgets, resuming."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from doors import ID, DoorsEnv
from training_runs import SHAPE, cloned, metrics, overheard, same, weights_in

from palaestra.agents import hints
from palaestra.agents.context import AppendContext
from palaestra.agents.episode import Episode, Turn, read_episodes, sequences
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.agents.rounds import actions_of, affordable
from palaestra.errors import DataError, OptionError
from palaestra.trainers import rft
from palaestra.trainers.core import losses
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.rounds import Lesson, RoundsTrainer
from palaestra.trainers.core.trajectories import (
    TrajectoryStore,
    by_task,
    distinct,
    mean_over_trajectories,
    trajectory_rows,
)


def turn(prompt, completion, kept=0, action="go", **tags):
    return Turn("seen", prompt, kept, completion, [-0.5] * len(completion), action, tags=tags)


def episode(*turns, key="task", success=True, **more):
    return Episode(
        "e", key, "goal", 0, "p", "a", turns=list(turns), key=key, group=key, success=success, **more
    )


APPENDED = episode(turn([1, 2], [3, 4]), turn([5, 6], [7], kept=4))
WINDOWED = episode(turn([1, 2], [3, 4]), turn([1, 5, 6], [7]))


# ---- weights, by hand ----------------------------------------------------------------------------


def test_a_trajectory_is_imitated_in_the_mean_or_the_sum_over_its_own_tokens():
    (row,) = trajectory_rows(APPENDED, 1.0)
    third = 1 / 3
    assert row.ids == [1, 2, 3, 4, 5, 6, 7]
    assert row.imitation == pytest.approx([0, 0, third, third, 0, 0, third])
    (row,) = trajectory_rows(APPENDED, -0.5, length_mean=False)
    assert row.imitation == [0, 0, -0.5, -0.5, 0, 0, -0.5]


def test_observations_weigh_relative_to_the_agents_tokens_from_the_first_action_on():
    (row,) = trajectory_rows(APPENDED, 1.0, observation_weight=0.6)
    # The task itself (ids 1, 2) was brought by no action; the divisor stays the count of the agent's tokens.
    assert row.imitation == pytest.approx([0, 0, 1 / 3, 1 / 3, 0.2, 0.2, 1 / 3])


def test_questions_beside_the_episode_are_no_targets():
    asked = episode(turn([1, 2], [3, 4]), turn([9], [8, 8], aside=True), turn([5, 6], [7], kept=4))
    assert len(sequences(asked)) == 2
    assert trajectory_rows(asked, 1.0) == trajectory_rows(APPENDED, 1.0)
    assert trajectory_rows(episode(turn([9], [8, 8], aside=True)), 1.0) == []
    assert trajectory_rows(episode(turn([9], [])), 1.0) == []


def test_a_trajectory_of_several_rows_counts_once_in_an_update():
    rows = mean_over_trajectories([trajectory_rows(WINDOWED, 1.0), trajectory_rows(APPENDED, -1.0)])
    assert len(rows) == 3
    # Three rows, so sequence-sum divides by 3 where 2 trajectories should divide: hence 3/2.
    assert [sum(row.imitation) for row in rows] == pytest.approx([1.5 * 2 / 3, 1.5 / 3, -1.5])
    assert mean_over_trajectories([trajectory_rows(APPENDED, 1.0)] * 2)[0].imitation == pytest.approx(
        trajectory_rows(APPENDED, 1.0)[0].imitation
    )
    assert mean_over_trajectories([trajectory_rows(APPENDED, 0.0), []]) == []


def _model():
    return TinyPolicy.new(["open the red door"], **SHAPE, seed=3).model


def _mean_logprob(model, ids, targets):
    logits = model(torch.tensor([ids])).logits[0]
    return torch.log_softmax(logits, -1)[[at - 1 for at in targets], [ids[at] for at in targets]].mean()


def test_the_loss_of_an_update_is_the_formula():
    model = _model()
    other = episode(turn([2, 9], [4, 4, 8, 8]))
    rows = mean_over_trajectories(
        [trajectory_rows(APPENDED, 1.0), trajectory_rows(WINDOWED, -0.4), trajectory_rows(other, 1.0)]
    )
    learner = Learner(model, LearnerConfig(aggregation="sequence-sum"))
    found = learner.gradients(rows)["imitation_loss"]
    window = (2 * _mean_logprob(model, [1, 2, 3, 4], [2, 3]) + _mean_logprob(model, [1, 5, 6, 7], [3])) / 3
    whole = _mean_logprob(model, [1, 2, 3, 4, 5, 6, 7], [2, 3, 6])
    last = _mean_logprob(model, [2, 9, 4, 4, 8, 8], [2, 3, 4, 5])
    assert found == pytest.approx(-(whole - 0.4 * window + last).item() / 3, abs=1e-6)


def test_what_is_improbable_enough_is_pushed_no_further():
    logprobs = torch.tensor([-1.0, -5.0, -5.0], requires_grad=True)
    weight = torch.tensor([-1.0, -1.0, 1.0])
    loss = losses.signed_cross_entropy(logprobs, weight, 4.0)
    assert loss.tolist() == [-1.0, -4.0, 5.0]
    loss.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [1.0, 0.0, -1.0]
    assert losses.signed_cross_entropy(logprobs, weight).tolist() == [-1.0, -5.0, 5.0]


def test_the_learner_takes_the_floor():
    row = Row([1, 2], [False, True], [0.0, 0.0], imitation=[0.0, -1.0])
    model = _model()
    pushed, spared = (
        Learner(model, LearnerConfig(negative_floor_nats=floor)).gradients([row])["imitation_loss"]
        for floor in (0.0, 0.5)
    )
    # A new model gives each of some 300 tokens about one in 300: 5.7 nats, beyond the floor.
    assert pushed < -4
    assert spared == pytest.approx(-0.5)


# ---- what is kept --------------------------------------------------------------------------------


def test_the_same_actions_at_the_same_task_count_once():
    first = episode(turn([1], [2], action="a"), turn([3], [4], kept=2, action="b"))
    same = episode(turn([1], [9], action="a"), turn([3], [9], kept=2, action="b"))
    longer = episode(turn([1], [2], action="a"), turn([3], [4], kept=2, action="b"), turn([1], [2]))
    elsewhere = replace(first, key="other")
    assert distinct([first, same, longer, elsewhere]) == [first, longer, elsewhere]
    assert by_task([first, elsewhere, longer]) == {"task": [first, longer], "other": [elsewhere]}


def test_the_store_replaces_a_round_and_misses_none(tmp_path):
    store = TrajectoryStore(tmp_path / "s")
    store.add(1, [APPENDED])
    store.add(2, [WINDOWED, APPENDED])
    store.add(2, [WINDOWED])
    assert store.read(1, 2) == [APPENDED, WINDOWED]
    assert store.read(2, 2) == [WINDOWED]
    store.add(3, [])
    assert store.read(3, 3) == []
    (tmp_path / "s" / "round-0001.jsonl").unlink()
    with pytest.raises(DataError, match=r"0001\.jsonl is missing"):
        store.read(1, 3)


def test_what_is_affordable():
    assert affordable("abcdef", 25, 10) == "ab"
    assert affordable("abcdef", 9, 10) == ""
    assert affordable("abcdef", -5, 10) == ""
    assert affordable("ab", 1000, 10) == "ab"


# ---- rounds --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A policy that opens doors in the right form, the right one now and then."""
    return cloned(tmp_path_factory.mktemp("clone"), ID, expert_of=4, epochs=8)


def config(out, policy, **changes):
    settings = {
        "env": ID,
        "iterations": 3,
        "tasks_per_iteration": 8,
        "group_size": 4,
        "max_new_tokens": 8,
        "max_context_tokens": 200,
        "epochs": 2,
        "tasks_per_batch": 4,
        "learning_rate": 3e-3,
        **changes,
    }
    return rft.Config(out=out, policy=f"tiny:{policy}", **settings)


def stop_in_round(monkeypatch, kind, number):
    original = kind.iterate

    def iterate(self, iteration):
        if iteration == number:
            original(self, iteration)  # the round's files are there, its checkpoint is not
            raise KeyboardInterrupt
        return original(self, iteration)

    monkeypatch.setattr(kind, "iterate", iterate)


@pytest.mark.parametrize(
    "changes",
    [
        {"evaluate_every": 1, "eval_tasks": 8},
        {"restart": False, "accumulate": False, "average_checkpoints": True, "decay": "constant"},
        {"context": "window", "window_turns": 1, "observation_weight": 0.5, "length_mean": False},
        {"rationalise": True, "options": ("knocks=true",), "group_size": 1},
    ],
)
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, clone, changes):
    straight = rft.train(config(tmp_path / "straight", clone, **changes))
    with monkeypatch.context() as patch:
        stop_in_round(patch, rft.RFT, 2)
        with pytest.raises(KeyboardInterrupt):
            rft.train(config(tmp_path / "broken", clone, **changes))
    broken = rft.train(config(tmp_path / "broken", clone, **changes))
    assert metrics(straight) == metrics(broken)
    assert same(weights_in(straight / "policy"), weights_in(broken / "policy"))
    assert not same(weights_in(straight / "policy"), weights_in(clone))


def test_a_resumed_run_needs_its_store(tmp_path, clone):
    run = rft.train(config(tmp_path / "run", clone, iterations=2))
    (run / "trajectories" / "round-0001.jsonl").unlink()
    with pytest.raises(DataError, match="missing"):
        rft.train(config(tmp_path / "run", clone, iterations=3))


def test_rft_improves_the_policy_on_colours_that_it_sometimes_gets_right(tmp_path, clone):
    run = rft.train(
        config(
            tmp_path,
            clone,
            tasks_per_iteration=40,
            iterations=3,
            epochs=6,
            evaluate_every=1,
            eval_tasks=40,
            eval_options=("split=test",),
        )
    )
    rows = metrics(run)
    assert rows[-1]["eval/success"] > rows[0]["eval/success"] + 0.15
    coverage = [row["round/coverage"] for row in rows[1:]]
    assert coverage == sorted(coverage)
    # Solved by one try of this round's policy, and by those of any round: two numbers.
    single = [row["eval/success"] for row in rows[1:]]
    accumulated = [row["eval/accumulated_success"] for row in rows[1:]]
    assert accumulated[0] == single[0]
    assert accumulated == sorted(accumulated)
    assert all(many >= one for many, one in zip(accumulated, single, strict=True))
    assert "eval/accumulated_success" not in rows[0]


def test_only_successes_are_kept_and_tasks_stay_the_same(tmp_path, clone):
    run = rft.train(config(tmp_path, clone, iterations=2, save_episodes_every=1))
    played = [list(read_episodes(run / "episodes" / f"step-0000000{n}.jsonl")) for n in (1, 2)]
    assert {e.key for e in played[0]} == {e.key for e in played[1]}
    assert [e.attempt for e in played[0][:8]] == [4] * 8
    assert len({(e.key, e.attempt) for e in [*played[0], *played[1]]}) == 64
    store = TrajectoryStore(run / "trajectories")
    assert store.read(1, 2) == [e for episodes in played for e in episodes if e.success]


def test_a_round_takes_no_more_actions_than_it_may(tmp_path, clone):
    run = rft.train(config(tmp_path, clone, round_steps=31, iterations=2))
    steps = [row["rollout/environment_steps"] for row in metrics(run)]
    assert 29 < steps[0] <= 31
    assert 29 < steps[1] - steps[0] <= 31
    generous = rft.train(config(tmp_path / "b", clone, round_steps=1000, iterations=1))
    assert metrics(generous)[0]["rollout/episodes"] == 32


def _trainer(tmp_path, clone, **changes):
    settings = config(tmp_path, clone, **changes)
    policy = TinyPolicy.load(clone)
    return rft.RFT(settings, policy, Learner(policy.model, settings.learner()))


def test_a_round_begins_from_the_start_or_from_the_last_one(tmp_path, clone):
    for restart in (True, False):
        trainer = _trainer(tmp_path, clone, restart=restart)
        with torch.no_grad():
            for value in trainer.policy.model.parameters():
                value.add_(1.0)
        trainer.begin_training(8)
        assert same(weights_in(clone), trainer.policy.model.state_dict()) == restart
        assert trainer.learner.config.decay_steps == 4
        assert trainer.learner.steps == 0


def test_the_mean_of_the_epochs_weights(tmp_path, clone, monkeypatch):
    ends = []
    original = RoundsTrainer.batches

    def batches(self, lessons, generator):
        ends.append({n: v.detach().clone() for n, v in self.policy.model.named_parameters()})
        return original(self, lessons, generator)

    monkeypatch.setattr(RoundsTrainer, "batches", batches)
    trainer = _trainer(tmp_path, clone, average_checkpoints=True, epochs=2, decay="constant")
    trainer.credit(1, trainer.collect(1))
    last = {}
    update = trainer.update

    def remembering(rows, policy_loss=None):
        found = update(rows, policy_loss)
        last.update({n: v.detach().clone() for n, v in trainer.policy.model.named_parameters()})
        return found

    trainer.update = remembering
    trainer.learn(1, [])
    for name, value in trainer.policy.model.named_parameters():
        assert torch.allclose(value, (ends[1][name] + last[name]) / 2, atol=1e-7)


def test_batches_hold_some_trajectories_of_each_task_once_an_epoch(tmp_path, clone):
    trainer = _trainer(tmp_path, clone, tasks_per_batch=2, trajectories_per_task=3)

    def row(number, value=1.0):
        return [Row([1, number], [False, True], [0.0, 0.0], imitation=[0.0, value])]

    lessons = [
        Lesson([row(10 * task + n) for n in range(count)], [row(10 * task + 9, -1.0)])
        for task, count in enumerate((5, 2, 3))
    ]
    batches = trainer.batches(lessons, np.random.default_rng(0))
    assert len(batches) == 2
    numbers = [[row.ids[1] for row in batch] for batch in batches]
    for batch in numbers:
        for task in {number // 10 for number in batch}:
            assert 10 * task + 9 in batch
    imitated = sorted(number for batch in numbers for number in batch if number % 10 != 9)
    assert len([n for n in imitated if n < 10]) == len({n for n in imitated if n < 10}) == 3
    assert [n for n in imitated if n >= 10] == [10, 11, 20, 21, 22]
    other = trainer.batches(lessons, np.random.default_rng(1))
    assert [[row.ids[1] for row in batch] for batch in other] != numbers


def test_a_round_without_a_success_leaves_the_weights(tmp_path, clone):
    run = rft.train(config(tmp_path, clone, iterations=1, options=("max_steps=1",), max_new_tokens=1))
    (row,) = metrics(run)
    assert row["round/kept"] == row["learner/steps"] == 0
    assert same(weights_in(run / "policy"), weights_in(clone))


# ---- rationalising -------------------------------------------------------------------------------


# The expert knocks first, so that there is something to hint at.
HINTED = {"rationalise": True, "options": ("knocks=true",), "tasks_per_iteration": 20, "group_size": 1}


def sides(episodes):
    """Own and hinted episodes."""
    hinted = [episode for episode in episodes if hints.is_hinted(episode)]
    return [episode for episode in episodes if not hints.is_hinted(episode)], hinted


def test_only_tasks_that_no_own_try_solved_are_hinted_and_once(tmp_path, clone):
    trainer = _trainer(tmp_path, clone, **HINTED | {"group_size": 2})
    own, hinted = sides(trainer.collect(1))
    assert len(own) == 40
    solved = {episode.key for episode in own if episode.success}
    assert sorted(e.key for e in hinted) == sorted({e.key for e in own} - solved)
    assert solved
    assert hinted
    for episode in hinted:
        assert episode.tags[hints.TAG] == f"Hint: a good way to begin is: knock at {episode.scenario}."
        begun = AppendContext(trainer.policy.tokenizer, 200)
        begun.begin(f"{episode.tags[hints.TAG]}\n\n{episode.turns[0].observation}")
        assert episode.turns[0].prompt_ids == begun.prompt()[0]
    again = sides(trainer.collect(2))[1]
    attempts = [(e.key, e.attempt) for e in [*own, *hinted, *again]]
    assert len(set(attempts)) == len(attempts)


@pytest.mark.parametrize("context", [{}, {"context": "window", "window_turns": 1}])
def test_rationalised_successes_are_learnt_after_the_prompts_without_the_hint(tmp_path, clone, context):
    trainer = _trainer(tmp_path, clone, **HINTED, **context)
    played = trainer.collect(1)
    trainer.credit(1, played)
    kept, rationalised = sides(trainer.store.read(1, 1))
    assert kept == [episode for episode in sides(played)[0] if episode.success]
    assert [e.key for e in rationalised] == [e.key for e in sides(played)[1] if e.success]
    assert rationalised
    for episode in rationalised:
        history = trainer.config.history(trainer.policy.tokenizer)
        history.begin(episode.turns[0].observation)
        assert episode.turns[0].prompt_ids == history.prompt()[0]
        rows = trainer.rows(episode, 1.0)
        assert not any("Hint" in trainer.policy.tokenizer.decode(row.ids) for row in rows)
        (as_played,) = [e for e in sides(played)[1] if e.key == episode.key]
        sampled = [id for turn in as_played.turns for id in turn.completion_ids]
        assert [id for row in rows for id, own in zip(row.ids, row.sampled, strict=True) if own] == sampled
    assert len(trainer.lessons([*kept, *rationalised])) == len(kept) + len(rationalised)


def test_a_rounds_success_and_coverage_are_of_own_play(tmp_path, clone):
    run = rft.train(config(tmp_path, clone, **HINTED, iterations=2, save_episodes_every=1))
    covered = set()
    for number, row in enumerate(metrics(run), 1):
        own, hinted = sides(list(read_episodes(run / "episodes" / f"step-0000000{number}.jsonl")))
        won = {episode.key for episode in own if episode.success}
        covered |= won
        assert row["success"] == row["reward"] == row["round/solved"] == len(won) / 20
        assert row["round/coverage"] == len(covered) / 20
        assert row["round/hinted"] == len(hinted) > 0
        assert row["round/rationalised"] == sum(episode.success for episode in hinted)
        assert row["round/kept"] == len(won) + row["round/rationalised"]
    assert metrics(run)[0]["round/rationalised"] > 0


def test_hinted_tries_take_what_own_ones_left_of_a_rounds_actions(tmp_path, clone):
    trainer = _trainer(tmp_path, clone, **HINTED)
    own, hinted = sides(trainer.collect(1))
    assert len(hinted) > 4
    assert sides(_trainer(tmp_path, clone, **HINTED, round_steps=10).collect(1))[1] == []
    bounded = _trainer(tmp_path, clone, **HINTED, round_steps=actions_of(own) + 5)
    same_own, fewer = sides(bounded.collect(1))
    assert [e.key for e in same_own] == [e.key for e in own]
    assert 3 < actions_of(fewer) <= 5


def test_evaluations_are_never_hinted(tmp_path, clone, monkeypatch):
    asked = overheard(monkeypatch)
    trainer = _trainer(tmp_path, clone, **HINTED, evaluate_every=1, eval_options=("knocks=true",))
    trainer.credit(1, trainer.collect(1))
    assert any("Hint" in prompt for prompt in asked)
    asked.clear()
    trainer.evaluate()
    assert len(asked) >= 64
    assert not any("Hint" in prompt for prompt in asked)


def test_rationalising_needs_an_expert(tmp_path, clone, monkeypatch):
    monkeypatch.setattr(DoorsEnv, "has_expert", False)
    _trainer(tmp_path, clone)
    with pytest.raises(OptionError, match="no expert"):
        rft.train(config(tmp_path, clone, **HINTED))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hint_actions": 2}, "belongs to rationalise"),
        ({"rationalise": True, "hint_actions": 0}, "hint_actions"),
        ({"temperature": 0.0}, "temperature"),
        ({"epochs": 0}, "epochs"),
        ({"round_steps": -1}, "round_steps"),
        ({"observation_weight": -0.1}, "observation_weight"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, "nowhere", **changes)


def test_the_published_settings_are_settings():
    made = rft.Config(policy="hf:x", **rft.PRESETS["published"])  # type: ignore[arg-type]
    assert (made.group_size, made.epochs, made.learning_rate) == (100, 3, 2e-5)
    assert math.isclose(made.tasks_per_batch * made.trajectories_per_task, 128)


def test_actions_are_counted_without_questions():
    assert actions_of([APPENDED, episode(turn([9], [8], action=""))]) == 2
