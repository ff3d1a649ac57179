"""Replay, the running median, the masks of bad responses and the cosine rise, against hand-made cases."""

import pytest

from palaestra.agents.episode import Episode, Turn, sequences
from palaestra.errors import OptionError
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.masks import SHORTEST_REPETITIVE, faults, without
from palaestra.trainers.core.replay import Replay, RunningMedian, Stored
from palaestra.trainers.core.schedules import cosine_rise


def row(number):
    return Row([0, number], [False, True], [0.0, -0.5], [0.0, 1.0], group=f"g{number}")


def turn(text, ids=None, finish_reason="stop"):
    ids = list(text.encode()) if ids is None else ids
    return Turn("seen", [1, 2], 0, ids, [-0.5] * len(ids), text, finish_reason=finish_reason)


def test_replay_gives_everything_once_oldest_first():
    replay = Replay(age=3)
    replay.add(1, [row(1), row(2)], [0.5, 0.7])
    replay.add(2, [row(3)], [0.1])
    assert len(replay) == 3
    assert replay.scores() == [0.5, 0.7, 0.1]
    assert replay.take() == [Stored(row(1), 0.5, 1), Stored(row(2), 0.7, 1), Stored(row(3), 0.1, 2)]
    assert len(replay) == 0
    assert replay.take() == []


def test_replay_forgets_what_is_older_than_its_age():
    replay = Replay(age=2)
    for iteration in (1, 2, 3):
        replay.add(iteration, [row(iteration)], [float(iteration)])
    replay.forget(3)
    assert replay.scores() == [1.0, 2.0, 3.0]
    replay.forget(4)
    assert replay.scores() == [2.0, 3.0]
    replay.forget(6)
    assert replay.scores() == []


def test_replay_and_median_come_back_from_their_states():
    replay, again = Replay(age=2), Replay(age=2)
    replay.add(4, [row(1), row(2)], [0.25, 0.5])
    again.load_state(replay.state())
    assert again.take() == replay.take()
    median, other = RunningMedian(3), RunningMedian(3)
    median.add([5.0, 1.0, 2.0, 3.0])
    other.add([9.0])
    other.load_state(median.state())
    assert other.value == 2.0
    other.add([4.0, 4.0])
    assert other.value == 4.0


def test_every_row_needs_a_score():
    with pytest.raises(ValueError, match="zip"):
        Replay(age=1).add(1, [row(1)], [])


def test_the_median_is_of_the_newest_values_alone():
    median = RunningMedian(3)
    assert median.value == 0.0
    median.add([1.0])
    assert median.value == 1.0
    median.add([0.0])
    assert median.value == 0.5
    median.add([0.0, 0.2, 0.9])
    assert median.value == 0.2


@pytest.mark.parametrize("make", [lambda: Replay(0), lambda: RunningMedian(0)])
def test_room_for_nothing_is_refused(make):
    with pytest.raises(OptionError, match="at least 1"):
        make()


def test_cosine_rise_is_zero_at_first_a_half_halfway_and_one_from_its_end():
    # The paper's warm-up of 200 iterations: 0.146 at 50, a half at 100.
    assert cosine_rise(0, 200) == 0.0
    assert cosine_rise(50, 200) == pytest.approx(0.14645, abs=1e-5)
    assert cosine_rise(100, 200) == pytest.approx(0.5)
    assert cosine_rise(199, 200) < 1.0
    assert cosine_rise(200, 200) == cosine_rise(5000, 200) == 1.0
    assert cosine_rise(0, 0) == 1.0


def test_faults_are_found_each_by_its_rule():
    assert faults(turn("go to shelf 1"), "go to shelf 1", thought=False) == set()
    assert faults(turn("go to", finish_reason="length"), "go to", thought=False) == {"overlong"}
    assert faults(turn(" \n"), " \n", thought=False) == {"incomplete"}
    assert faults(turn("go to shelf 1"), "go to shelf 1", thought=True) == {"incomplete"}
    whole = "Thought: it is near. Action: go to shelf 1"
    assert faults(turn("go to shelf 1"), whole, thought=True) == set()
    assert faults(turn("x"), "go to �", thought=False) == {"unreadable"}


def test_repetition_is_the_same_twenty_tokens_ten_times():
    longest = [7] * (SHORTEST_REPETITIVE - 1)
    assert faults(turn("x", longest), "x", thought=False) == set()
    assert faults(turn("x", [*longest, 7]), "x", thought=False) == {"repetitive"}
    apart = [*range(20), 99] * 10
    assert faults(turn("x", apart), "x", thought=False) == {"repetitive"}
    assert faults(turn("x", apart[:-21]), "x", thought=False) == set()


def test_what_the_policy_did_not_sample_has_no_fault():
    assert faults(turn("", ids=[]), "", thought=False) == set()


def test_masked_completions_stay_in_the_context_but_are_not_sampled():
    first, second = turn("ab"), turn("cd")
    second.kept = 4
    episode = Episode("e", "t", "", 0, "p", "a", turns=[first, second], reward=1.0)
    masked = without(episode, [True, False])
    (before,), (after,) = sequences(episode), sequences(masked)
    assert after.ids == before.ids == [1, 2, 97, 98, 1, 2, 99, 100]
    assert before.mask == [False, False, True, True, False, False, True, True]
    assert after.mask == [False] * 6 + [True] * 2
    assert after.logprobs == [0.0] * 6 + [-0.5] * 2
    assert after.turn == [-1] * 6 + [1, 1]
    assert (masked.reward, masked.turns[0].action, episode.turns[0]) == (1.0, "ab", first)
    assert episode.turns[0].completion_ids == [97, 98]
