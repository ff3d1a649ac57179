"""B-STaR: the balance score by hand, what is selected, what the search chooses, resuming."""

import pytest
from doors import ID
from training_runs import cloned, metrics, same, weights_in

from palaestra.agents.episode import Episode, Turn
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.errors import OptionError
from palaestra.trainers import bstar
from palaestra.trainers.bstar import Choice, Ranked, balance_score, smallest_cap
from palaestra.trainers.core.trajectories import TrajectoryStore


def tried(key, actions, reward):
    """An episode of ``actions`` at task ``key``."""
    turns = [Turn("seen", [1], 0, [2], [0.0], action) for action in actions]
    return Episode("e", key, "g", 0, "p", "a", turns=turns, key=key, reward=reward, success=reward == 1.0)


def bare(**changes):
    """A trainer for its choices alone; the longest episode has ten steps."""
    trainer = object.__new__(bstar.BStar)
    trainer.config = bstar.Config(policy="tiny:x", env=ID, **changes)
    trainer.max_steps = 10
    return trainer


@pytest.mark.parametrize(
    ("correct", "selected", "wanted", "expected"),
    [
        (0, 0, 8, 0.0),
        (0, 5, 8, 0.0),
        (4, 4, 8, 0.5),  # pure, but half of what is wanted
        (8, 8, 8, 1.0),
        (8, 16, 8, 0.5),  # enough, but half of it wrong
        (4, 8, 8, 0.25),
        (12, 16, 8, 0.75),  # more than wanted counts no further
    ],
)
def test_the_balance_score(correct, selected, wanted, expected):
    assert balance_score(correct, selected, wanted) == expected


def test_the_cap_grows_until_there_is_enough():
    assert smallest_cap([5, 1, 3], 3) == 1
    assert smallest_cap([5, 1, 3], 4) == 2
    assert smallest_cap([5, 1, 3], 7) == 3
    assert smallest_cap([5, 1, 3], 100) == 5
    assert smallest_cap([], 4) == 0
    assert smallest_cap([0, 0], 4) == 0


def test_above_a_threshold_means_above():
    task = Ranked([], [0.9, 0.5, 0.5, -0.2])
    assert [task.above(t) for t in (0.95, 0.9, 0.6, 0.5, 0.0, -0.2, -1.0)] == [0, 0, 1, 1, 3, 3, 4]


def test_the_score_prefers_the_shorter():
    trainer = bare(brevity=0.2)
    assert trainer.score(tried("t", "ab", 1.0)) == pytest.approx(1 - 0.2 * 2 / 10)
    assert trainer.score(tried("t", "abcde", 0.0)) == pytest.approx(-0.1)


def test_of_every_task_the_best_distinct_ones_are_selected():
    short, long, wrong = tried("t", "a", 1.0), tried("t", "bc", 1.0), tried("t", "d", 0.5)
    other = tried("u", "abc", 1.0)
    trainer = bare(selected_per_task=1.0)
    tasks = trainer.rank([wrong, long, short, short, other])
    assert [task.episodes for task in tasks] == [[short, long, wrong], [other]]
    assert trainer.select(tasks, 0.0) == [[short], [other]]
    assert bare(selected_per_task=1.5).select(tasks, 0.0) == [[short, long], [other]]
    assert bare(selected_per_task=9.0).select(tasks, 0.0) == [[short, long, wrong], [other]]
    assert bare(selected_per_task=9.0).select(tasks, 0.97) == [[short], []]


def test_the_search_weighs_how_many_against_how_pure():
    cold = [tried("t", "a", 1.0), tried("t", "a", 1.0), tried("u", "b", 0.4)]
    hot = [tried("t", "a", 1.0), tried("t", "bc", 1.0), tried("t", "d", 0.6), tried("u", "e", 1.0)]
    trainer = bare(wanted_correct=2, selected_per_task=3.0, brevity=0.2, threshold_step=0.1)
    # Hot, above 0.6: t has 2 of 2 correct, u 1 of 1: (1 + 1/2) / 2. With theta below 0.58, t has 2 of 3.
    tasks = trainer.rank(hot)
    assert trainer.weigh(tasks, 1.0, 0.6) == Choice(1.0, 0.6, 0.75, 1.0)
    assert trainer.weigh(tasks, 1.0, 0.5) == Choice(1.0, 0.5, pytest.approx((2 / 3 + 1 / 2) / 2), 3 / 4)
    assert trainer.weigh(tasks, 1.0, 1.0) == Choice(1.0, 1.0, 0.0, 0.0)
    # Cold: t has 1 of 1, u nothing that is correct, which costs no balance but accuracy.
    assert trainer.weigh(trainer.rank(cold), 0.5, 0.6) == Choice(0.5, 0.6, 0.25, 1.0)
    assert trainer.weigh(trainer.rank(cold), 0.5, 0.3) == Choice(0.5, 0.3, 0.25, 0.5)
    # 0.6, 0.7, 0.8 and 0.9 tie.
    assert trainer.choose({0.5: cold, 1.0: hot}) == Choice(1.0, 0.8, 0.75, 1.0)
    assert trainer.choose({1.0: hot, 0.5: hot}).temperature == 0.5
    assert trainer.choose({0.5: hot, 1.0: hot}).temperature == 0.5
    # From 0.4 to 0.9, the error at u is not selected.
    assert trainer.choose({0.5: cold}) == Choice(0.5, 0.7, 0.25, 1.0)


def test_thresholds_span_minus_1_to_1():
    thresholds = bare().config.thresholds
    assert (len(thresholds), thresholds[0], thresholds[1], thresholds[-1]) == (201, -1, -0.99, 1)


# ---- rounds --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A policy that opens doors in the right form, the right one now and then."""
    return cloned(tmp_path_factory.mktemp("clone"), ID, expert_of=4, epochs=8)


def config(out, policy, **changes):
    settings = {
        "env": ID,
        "iterations": 3,
        "tasks_per_iteration": 12,
        "group_size": 4,
        "temperatures": (0.7, 1.3),
        "dev_tasks": 6,
        "dev_tries": 3,
        "wanted_correct": 2,
        "max_new_tokens": 8,
        "max_context_tokens": 200,
        "epochs": 3,
        "tasks_per_batch": 4,
        "learning_rate": 2e-3,
        **changes,
    }
    return bstar.Config(out=out, policy=f"tiny:{policy}", **settings)


def test_interrupted_and_resumed_equals_the_uninterrupted_run(tmp_path, monkeypatch, clone):
    straight = bstar.train(config(tmp_path / "straight", clone))
    original = bstar.BStar.iterate

    def iterate(self, iteration):
        found = original(self, iteration)
        if iteration == 2:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch:
        patch.setattr(bstar.BStar, "iterate", iterate)
        with pytest.raises(KeyboardInterrupt):
            bstar.train(config(tmp_path / "broken", clone))
    broken = bstar.train(config(tmp_path / "broken", clone))
    assert metrics(straight) == metrics(broken)
    assert same(weights_in(straight / "policy"), weights_in(broken / "policy"))
    assert not same(weights_in(straight / "policy"), weights_in(clone))


def test_it_improves_the_policy_and_says_what_it_chose(tmp_path, clone):
    run = bstar.train(
        config(
            tmp_path,
            clone,
            tasks_per_iteration=40,
            evaluate_every=3,
            eval_tasks=40,
            eval_options=("split=test",),
            epochs=6,
        )
    )
    rows = metrics(run)
    assert rows[-1]["eval/success"] > rows[0]["eval/success"] + 0.15
    for row in rows[1:]:
        assert row["balance/temperature"] in (0.7, 1.3)
        assert 0 < row["balance/score"] <= 1
        assert row["balance/selected_accuracy"] >= row["balance/accuracy"]
    # The store is of what was played at the chosen temperature, and of that, what was selected.
    kept = TrajectoryStore(run / "trajectories").read(1, 1)
    assert all(episode.success for episode in kept)
    assert len(kept) == rows[1]["round/kept"]


def test_the_search_counts_among_the_actions(tmp_path, clone):
    run = bstar.train(config(tmp_path, clone, iterations=1, round_steps=130))
    (row,) = metrics(run)
    assert 126 < row["rollout/environment_steps"] <= 130
    with pytest.raises(OptionError, match="leaves none to train on"):
        bstar.train(config(tmp_path / "b", clone, iterations=1, round_steps=20))


def test_the_dev_set_is_not_the_training_set_and_shares_its_tries(tmp_path, clone):
    settings = config(tmp_path, clone)
    policy = TinyPolicy.load(clone)
    trainer = bstar.BStar(settings, policy, None)  # type: ignore[arg-type]
    assert {item.key for item in trainer.dev_items}.isdisjoint(item.key for item in trainer.items)
    jobs = trainer.dev_jobs(2)
    assert len(jobs) == 18
    assert {job.attempt for job in jobs} == {6, 7, 8}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": 0.7}, "temperature=0.7 would do nothing"),
        ({"temperatures": ()}, "at least one"),
        ({"temperatures": (0.0, 1.0)}, "above 0"),
        ({"wanted_correct": 0}, "wanted_correct"),
        ({"brevity": -0.1}, "brevity"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        config(tmp_path, "nowhere", **changes)


def test_the_published_settings_are_settings():
    made = bstar.Config(policy="hf:x", **bstar.PRESETS["published"])  # type: ignore[arg-type]
    assert (made.temperatures[0], made.temperatures[-1], len(made.temperatures)) == (0.5, 1.2, 15)
    assert (made.wanted_correct, made.dev_tries) == (8, 64)
