"""A3T: Eq. 2 as it is learnt, K = 1 against K = 3, what rounds keep and cover, reasons, resuming."""

import re
from dataclasses import replace

import pytest
import torch
from doors import ID
from training_runs import SHAPE, cloned, metrics, same, weights_in

from palaestra.agents.actre import compose_unsolved
from palaestra.agents.episode import Episode, Turn, read_episodes
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.agents.rollout import Job
from palaestra.envs.panel import make_panel
from palaestra.errors import OptionError
from palaestra.trainers import a3t, rft
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.rounds import RoundsConfig
from palaestra.trainers.core.trajectories import TrajectoryStore, mean_over_trajectories, trajectory_rows


def trajectory(*ids, success=True, key="task", composed=False):
    """An episode: the prompt (1, 2), then one completion."""
    turn = Turn("seen", [1, 2], 0, list(ids), [0.0] * len(ids), str(ids))
    tags = {"composed": True} if composed else {}
    return Episode(
        "e", key, "goal", 0, "p", "a", turns=[turn], key=key, group=key, success=success, tags=tags
    )


# ---- the objective -------------------------------------------------------------------------------


def _gradient(model, rows, **settings):
    model.zero_grad()
    learner = Learner(model, LearnerConfig(aggregation="sequence-sum", **settings))
    loss = learner.gradients(rows)["imitation_loss"]
    return loss, torch.cat([p.grad.flatten() for p in model.parameters()])


def _log_likelihood_gradient(model, episode, length_mean):
    model.zero_grad()
    ids = [*episode.turns[0].prompt_ids, *episode.turns[0].completion_ids]
    logprobs = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
    own = logprobs[range(1, len(ids) - 1), ids[2:]]
    (own.mean() if length_mean else own.sum()).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


@pytest.mark.parametrize("length_mean", [True, False])
@pytest.mark.parametrize("failure_reward", [-1.0, -0.3, 0.0])
def test_the_gradient_of_a_task_is_equation_2(failure_reward, length_mean):
    model = TinyPolicy.new(["open the red door"], **SHAPE, seed=1).model
    successes = [trajectory(3, 4, 5), trajectory(3, 6), trajectory(7, 8, 9, 5)]
    failure = trajectory(3, 4, 9, 9, 9, success=False)
    rows = [trajectory_rows(e, 1.0, length_mean=length_mean) for e in successes]
    rows.append(trajectory_rows(failure, failure_reward, length_mean=length_mean))
    _, found = _gradient(model, mean_over_trajectories(rows))
    of_s = [_log_likelihood_gradient(model, e, length_mean) for e in successes]
    of_f = _log_likelihood_gradient(model, failure, length_mean)
    k = len(successes)
    expected = ((1 - 1 / k) * sum(of_s) + (1 + failure_reward) * of_f + sum(s - of_f for s in of_s) / k) / (
        k + 1
    )
    if failure_reward == 0:
        # Such a failure does not count as a trajectory: the mean is over K, which is RFT.
        expected = sum(of_s) / k
    torch.testing.assert_close(-found, expected, atol=1e-6, rtol=1e-4)


def _pair(k):
    """One failure and ``k`` successes that share their beginning with it and end otherwise."""
    return [trajectory(10, 11, 12, 20 + n) for n in range(k)], trajectory(10, 11, 12, 30, success=False)


def _learns(k, least, failure_reward=-1.0, steps=60):
    """Return the mean log-likelihood of the successes after every step, and the failure's at the end."""
    model = TinyPolicy.new(["open the red door"], **SHAPE, seed=2).model
    trainer = _bare(failure_reward=failure_reward, least_successes=least)
    successes, failure = _pair(k)
    [lesson] = trainer.lessons([*successes, failure])
    learner = Learner(model, LearnerConfig(aggregation="sequence-sum", learning_rate=1e-2, warmup_steps=0))
    curve = []
    for _ in range(steps):
        learner.update(mean_over_trajectories([*lesson.imitated, *lesson.always]))
        rows = [trajectory_rows(e, 1.0) for e in successes]
        curve.append(-learner.gradients(mean_over_trajectories(rows))["imitation_loss"])
    against = learner.gradients(mean_over_trajectories([trajectory_rows(failure, 1.0)]))
    return curve, -against["imitation_loss"]


def _bare(**changes):
    """A trainer for its ``lessons`` alone."""
    trainer = object.__new__(a3t.A3T)
    settings = {"negative_floor_nats": 0.0, **changes}
    if not settings.get("failure_reward", -1.0):
        settings = {"failure_reward": 0.0}
    trainer.config = a3t.Config(policy="tiny:x", env=ID, **settings)
    return trainer


def test_contrast_alone_loses_what_it_should_learn_and_k_above_1_does_not():
    alone, failure_alone = _learns(k=1, least=1)
    held, failure_held = _learns(k=3, least=2)
    # Both push the failure away. With K = 1, nothing holds the beginning that it shares with the success.
    assert failure_alone < -10
    assert failure_held < -1.5
    assert alone[-1] < alone[0]
    assert held[-1] > -1.0
    # The best that three equally likely endings allow is log(1/3) on one token of four.
    assert max(held) > -0.45
    assert max(held) - held[-1] < 0.5


def test_with_a_failure_reward_of_0_the_loss_is_that_of_rft():
    model = TinyPolicy.new(["open the red door"], **SHAPE, seed=2).model
    successes, failure = _pair(3)
    [lesson] = _bare(failure_reward=0.0).lessons([*successes, failure])
    [plain] = rft.RFT.lessons(_bare(failure_reward=0.0), [*successes, failure])  # type: ignore[arg-type]
    loss, gradient = _gradient(model, mean_over_trajectories([*lesson.imitated, *lesson.always]))
    other, expected = _gradient(model, mean_over_trajectories(plain.imitated))
    assert loss == pytest.approx(other, abs=1e-6)
    assert loss > 1
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=0)


# ---- lessons -------------------------------------------------------------------------------------


def test_a_task_teaches_by_its_distinct_successes_and_its_latest_failure():
    old, new = trajectory(9, success=False), trajectory(8, success=False)
    kept = [trajectory(3), old, trajectory(4, composed=True), trajectory(3), new]
    [lesson] = _bare().lessons(kept)
    assert [row.ids[-1] for rows in lesson.imitated for row in rows] == [3, 4]
    [[against]] = lesson.always
    assert (against.ids[-1], against.imitation) == (8, [0.0, 0.0, -1.0])


def test_a_failure_needs_enough_successes_of_its_own_task():
    failure, first = trajectory(9, success=False), trajectory(3)
    elsewhere = trajectory(3, key="other"), trajectory(4, key="other")
    assert [lesson.always for lesson in _bare().lessons([failure, first, *elsewhere])] == [[], []]
    assert _bare().lessons([failure]) == []
    [lesson] = _bare(least_successes=1).lessons([failure, first])
    assert lesson.always


def test_observations_are_learnt_in_successes_only():
    trainer = _bare(observation_weight=0.5)
    two = [Turn("seen", [1], 0, [5], [0.0], "x"), Turn("seen", [6, 7], 2, [8], [0.0], "y")]
    success = replace(trajectory(), turns=two)
    [lesson] = trainer.lessons([success, trajectory(4), replace(success, success=False)])
    assert lesson.imitated[0][0].imitation == [0, 0.5, 0.25, 0.25, 0.5]
    assert lesson.always[0][0].imitation == [0, -0.5, 0, 0, -0.5]


def test_inserted_actions_are_imitated():
    inserted = Turn("seen", [1, 2, 5, 6], 0, [], [], "x", tags={"inserted_tokens": 2})
    [lesson] = _bare().lessons([replace(trajectory(composed=True), turns=[inserted])])
    assert lesson.imitated[0][0].imitation == [0, 0, 0.5, 0.5]


def test_own_trajectories_are_kept_and_composed_ones_if_they_succeed():
    own, lost = trajectory(3), trajectory(4, success=False)
    found, vain = trajectory(5, composed=True), trajectory(6, success=False, composed=True)
    broken = replace(trajectory(7), outcome="failed", success=False)
    episodes = [own, lost, found, vain, broken]
    assert _bare().keep(2, episodes) == [own, lost, found]
    assert _bare().keep(1, episodes) == [own, found]
    assert _bare(bootstrap=False).keep(1, episodes) == [own, lost, found]
    assert _bare(failure_reward=0.0).keep(2, episodes) == [own, found]


# ---- rounds --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A policy that finds two of four colours and never tries the other two."""
    return cloned(tmp_path_factory.mktemp("clone"), ID, expert_of=2, epochs=20)


def config(out, policy, **changes):
    settings = {
        "env": ID,
        "iterations": 3,
        "tasks_per_iteration": 8,
        "max_new_tokens": 8,
        "max_context_tokens": 200,
        "epochs": 2,
        "tasks_per_batch": 4,
        "learning_rate": 3e-3,
        **changes,
    }
    return a3t.Config(out=out, policy=f"tiny:{policy}", **settings)


def test_composing_covers_and_teaches_what_the_policy_never_does(tmp_path, clone):
    settings = {"tasks_per_iteration": 40, "epochs": 6, "evaluate_every": 1, "eval_tasks": 40}
    settings |= {"eval_options": ("split=test",), "rate": 0.5, "save_episodes_every": 1}
    run = a3t.train(config(tmp_path, clone, **settings))
    start, *rows = metrics(run)
    assert start["eval/success"] < 0.55
    assert rows[-1]["eval/success"] > 0.8
    # The first round only bootstraps; then coverage jumps, and never falls.
    assert rows[0]["round/composed"] == 0
    assert rows[0]["round/coverage"] == rows[0]["success"] < 0.6
    assert rows[1]["round/coverage"] > 0.9
    assert rows[1]["round/own_coverage"] == rows[1]["success"] < 0.6
    coverage = [row["round/coverage"] for row in rows]
    assert coverage == sorted(coverage)
    # What one try of this round's policy solves is another number than what all rounds' have solved.
    assert rows[2]["round/accumulated_success"] >= rows[2]["success"]
    accumulated = [row["eval/accumulated_success"] for row in rows]
    assert accumulated == sorted(accumulated)
    episodes = list(read_episodes(run / "episodes" / "step-00000002.jsonl"))
    tries = {}
    for episode in episodes:
        tries.setdefault(episode.key, []).append(episode)
    for played in tries.values():
        own, *composed = played
        assert not a3t.is_composed(own)
        assert all(map(a3t.is_composed, composed))
        assert sum(e.success for e in composed) <= 2
        assert (len(composed) == 0) == own.success
    attempts = [(e.key, e.attempt) for e in episodes]
    assert len(set(attempts)) == len(attempts)


def test_without_composing_nor_failures_it_is_rft(tmp_path, clone):
    shared = {"group_size": 3, "iterations": 2}
    ours = a3t.train(
        config(
            tmp_path / "a3t",
            clone,
            **shared,
            tries=0,
            failure_reward=0.0,
            least_successes=2,
            negative_floor_nats=4.0,
        )
    )
    settings = config(tmp_path / "x", clone, **shared)
    names = RoundsConfig.__dataclass_fields__
    theirs = rft.train(
        rft.Config(**{name: getattr(settings, name) for name in names if name != "out"}, out=tmp_path / "rft")
    )
    assert same(weights_in(ours / "policy"), weights_in(theirs / "policy"))
    assert not same(weights_in(ours / "policy"), weights_in(clone))


@pytest.mark.parametrize(
    "changes",
    [{"round_steps": 60, "bootstrap": False}, {"restart": False, "context": "window", "window_turns": 1}],
)
def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, clone, changes):
    straight = a3t.train(config(tmp_path / "straight", clone, **changes))
    original = a3t.A3T.iterate

    def iterate(self, iteration):
        found = original(self, iteration)
        if iteration == 3:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(a3t.A3T, "iterate", iterate)
        with pytest.raises(KeyboardInterrupt):
            a3t.train(config(tmp_path / "broken", clone, **changes))
    broken = a3t.train(config(tmp_path / "broken", clone, **changes))
    assert metrics(straight) == metrics(broken)
    assert same(weights_in(straight / "policy"), weights_in(broken / "policy"))


def test_a_round_takes_no_more_actions_than_it_may(tmp_path, clone):
    run = a3t.train(config(tmp_path, clone, round_steps=40, bootstrap=False, iterations=2, tries=40))
    steps = [row["rollout/environment_steps"] for row in metrics(run)]
    assert 38 < steps[0] <= 40
    assert 38 < steps[1] - steps[0] <= 40


def test_composing_stops_where_its_actions_end():
    jobs = [Job(item) for item in make_panel(ID, 8, options={"max_steps": 5}).items]
    policy = ScriptedPolicy(lambda view: "wait")
    own = [Episode("e", "t", "g", 0, "p", "a", turns=trajectory(1).turns * 5) for _ in jobs]
    agent = a3t.Config(policy="tiny:x", rate=0.0, stuck_turns=0).composer()
    found = compose_unsolved(jobs, own, agent, policy, tries=3, actions=68)
    assert [len(episodes) for episodes in found] == [2] * 5 + [1] * 3
    assert compose_unsolved(jobs, own, agent, policy, tries=3, actions=4) == [[]] * 8


def test_no_reason_says_that_an_action_was_arbitrary(tmp_path, clone):
    answers = iter(
        [
            "I try this door because it is near. It was picked at random.",
            "A random choice.",
            "It stands ajar.",
            "Arbitrarily, there is no particular reason.",
        ]
        * 100
    )

    def act(view):
        if view.observation.endswith("\nReason:"):
            return next(answers)
        return "Thought: I shall wait.\nAction: wait"

    settings = config(tmp_path, clone, thought=True, rate=0.5, bootstrap=False, max_new_tokens=16)
    policy = TinyPolicy.load(clone)
    trainer = a3t.A3T(settings, policy, Learner(policy.model, settings.learner()))
    trainer.policy = ScriptedPolicy(act)  # type: ignore[assignment]
    trainer.credit(1, trainer.collect(1))
    thoughts = [
        turn.tags["thought"]
        for episode in TrajectoryStore(tmp_path / "trajectories").read(1, 1)
        if a3t.is_composed(episode)
        for turn in episode.turns
        if "inserted_tokens" in turn.tags
    ]
    assert len(thoughts) > 3
    assert not any(re.search("random|arbitrar|reason", thought, re.IGNORECASE) for thought in thoughts)
    [lesson, *_] = trainer.lessons(TrajectoryStore(tmp_path / "trajectories").read(1, 1))
    [row] = lesson.imitated[0]
    said = trainer.policy.tokenizer.decode(
        [i for i, w in zip(row.ids, row.imitation or [], strict=True) if w]
    )
    assert "Thought: " in said
    assert "Action: open" in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"failure_reward": 0.5}, r"failure_reward must be in \[-1, 0\]"),
        ({"failure_reward": 0.0, "least_successes": 3}, "least_successes=3 would do nothing"),
        ({"tries": 0, "rate": 0.1}, "rate=0.1 would do nothing"),
        ({"explanation_tokens": 5}, "explanation_tokens=5 would do nothing"),
        ({"least_successes": 5}, "least_successes=5 cannot be kept"),
        ({"rate": 1.5}, "probability"),
        ({"wanted": 0}, "wanted"),
        ({"tries": -1}, "tries"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, "nowhere", **changes)


def test_the_published_settings_are_settings():
    made = a3t.Config(policy="hf:x", **a3t.PRESETS["published"])  # type: ignore[arg-type]
    assert (made.tries, made.wanted, made.epochs, made.learning_rate) == (40, 40, 6, 1e-5)
    assert (made.failure_reward, made.negative_floor_nats, made.length_mean) == (-1.0, 0.0, False)
