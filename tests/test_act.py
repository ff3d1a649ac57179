"""ACT: pairs of actions, the reward of an answer, stages that resume exactly, controls and refusals."""

import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from training_runs import metrics, same_weights, weights

from palaestra.agents.context import AppendContext, WindowContext, reencode
from palaestra.agents.episode import Episode, Turn, read_episodes, sequences
from palaestra.agents.policies.core import Completion
from palaestra.agents.policies.scripted import ByteTokenizer, ScriptedPolicy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.agents.react import parse
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.cli.main import parse_config
from palaestra.envs.guess_number import GuessNumberTasks
from palaestra.envs.panel import PanelItem
from palaestra.errors import FailureRateError, OptionError, UnknownNameError
from palaestra.trainers import act, grpo, sft
from palaestra.trainers.core import judging
from palaestra.trainers.core.judging import Comparison, Question, Reading, State

GUESS = {
    "env": "palaestra/GuessNumber-v0",
    "options": ("highest=8", "max_steps=4"),
    "max_context_tokens": 300,
}
HOUSE = {
    "env": "palaestra/ALFWorld-v0",
    "options": ("scale=small", "max_steps=12", 'task_types=["pick_and_place_simple"]'),
    "max_context_tokens": 1500,
}
ITEM = PanelItem("palaestra/GuessNumber-v0", "train-1", 5, {"highest": 8})


def state(**changes):
    return State(
        **{
            "item": ITEM,
            "goal": "Find it.",
            "observations": ("You see a shelf.", "It is closed."),
            "actions": ("go to shelf",),
            "expert": "open shelf",
            "admissible": ("open shelf", "look", "close door"),
            "alternatives": ("look", "jump"),
            **changes,
        }
    )


# ---- which actions are compared --------------------------------------------------------------------------


def test_alternatives_that_equal_the_experts_or_one_another_are_dropped():
    given = ("Open  shelf", "look", " LOOK", "", "  ", "jump", "jump", "open shelf")
    assert judging.worse_actions(state(alternatives=given)) == ["look", "jump"]
    assert judging.worse_actions(state(alternatives=("open shelf",))) == []


def test_at_most_so_many_alternatives_of_a_state_are_compared():
    given = state(alternatives=tuple("abcdefgh"))
    for most, expected in ((1, 1), (3, 3), (20, 8)):
        found = judging.comparisons([given], np.random.default_rng(0), per_state=most)
        others = {pair.candidates[1 - pair.better] for pair in found}
        assert len(found) == len(others) == expected
        assert {pair.right for pair in found} == {"open shelf"}


def test_the_experts_action_stands_first_half_of_the_time():
    states = [state(alternatives=("look",))] * 2000
    found = judging.comparisons(states, np.random.default_rng(3), per_state=1)
    first = sum(pair.better == 0 for pair in found)
    assert 900 < first < 1100  # 4.5 standard deviations
    assert all(pair.candidates[pair.better] == "open shelf" for pair in found)
    again = judging.comparisons(states, np.random.default_rng(3), per_state=1)
    assert again == found


def test_random_negatives_are_admissible_as_many_and_never_the_experts():
    states = [state(), state(alternatives=("open shelf",)), state(alternatives=("x", "y", "z"))]
    own = judging.comparisons(states, np.random.default_rng(0), per_state=2)
    random = judging.comparisons(states, np.random.default_rng(0), per_state=2, negatives="random")
    assert [pair.state for pair in own] == [pair.state for pair in random]
    assert {pair.candidates[1 - pair.better] for pair in random} == {"look", "close door"}
    with pytest.raises(OptionError, match="does not list its admissible actions"):
        judging.comparisons(
            [state(admissible=None)], np.random.default_rng(0), per_state=1, negatives="random"
        )


def test_nothing_to_compare_is_an_error_that_says_so():
    with pytest.raises(OptionError, match="at none of 1 states"):
        judging.comparisons([state(alternatives=())], np.random.default_rng(0), per_state=1)


def test_shuffled_labels_are_right_half_of_the_time_and_keep_the_candidates():
    pairs = judging.comparisons([state()] * 1000, np.random.default_rng(0), per_state=2)
    shuffled = judging.shuffled_labels(pairs, np.random.default_rng(1))
    assert [pair.candidates for pair in pairs] == [pair.candidates for pair in shuffled]
    right = sum(pair.right == "open shelf" for pair in shuffled)
    assert 900 < right < 1100
    # Labels that went by position instead would be as useless, and show as a bias: they must not.
    assert 900 < sum(pair.better == 0 for pair in shuffled) < 1100


def test_neutral_comparisons_favour_nobody():
    states = [state()] * 3000
    pairs = judging.neutral_comparisons(states, np.random.default_rng(0))
    assert {action for pair in pairs for action in pair.candidates} == {
        "look",
        "jump",
        "open shelf",
        "close door",
    }
    with_expert = [pair for pair in pairs if "open shelf" in pair.candidates]
    assert 1350 < len(with_expert) < 1650  # 2 of 4 actions are drawn
    chosen = sum(pair.right == "open shelf" for pair in with_expert) / len(with_expert)
    assert 0.44 < chosen < 0.56
    assert judging.neutral_comparisons([state(admissible=None, alternatives=("a", "A"))], None) == []


# ---- what is asked, in which ids -------------------------------------------------------------------------


@pytest.mark.parametrize("context", ["append", "window"])
@pytest.mark.parametrize("remind_goal", [False, True])
@pytest.mark.parametrize("thought", [False, True])
def test_a_prompt_has_the_ids_of_an_agent_that_did_the_same(context, remind_goal, thought):
    tokenizer = ByteTokenizer()

    def fresh():
        return AppendContext(tokenizer, 5000) if context == "append" else WindowContext(tokenizer, 1, 5000)

    seen, done = ("first.", "second.", "third."), ("one", "two")
    episode = Episode("e", "t", "the goal", 0, "p", "a")
    for observation, action in zip(seen, (*done, "three"), strict=True):
        tags = {"thought": ""} if thought else {}
        episode.turns.append(Turn(observation, [], 0, [], [], action, tags=tags))
    turn = reencode(episode, fresh(), remind_goal=remind_goal).turns[2]
    played = reencode(episode, fresh(), remind_goal=remind_goal)
    before = sequences(played)[-1].ids[: turn.kept + len(turn.prompt_ids)]
    asked = judging.act_question(
        state(goal="the goal", observations=seen, actions=done, expert="three")
    ).prompt(fresh(), Reading(thought=thought, remind_goal=remind_goal))
    assert asked == before


def test_a_judge_prompt_shows_the_history_and_then_both_candidates_in_their_order():
    tokenizer = ByteTokenizer()
    pair = Comparison(state(), ("look", "open shelf"), 1)
    texts = {}
    for shown in (pair, pair.swapped()):
        question = judging.judge_question(shown)
        assert question.right == "open shelf"
        texts[shown.better] = tokenizer.decode(question.prompt(AppendContext(tokenizer, 5000), Reading()))
    assert texts[1] == (
        "You see a shelf.\n> go to shelfIt is closed.\nWhich is better now, look or open shelf?\n>"
    )
    assert texts[0].endswith("Which is better now, open shelf or look?\n>")
    assert pair.swapped().swapped() == pair


def test_what_can_be_carried_out_is_known_from_the_environment_or_else_the_candidates():
    pair = Comparison(state(admissible=None), ("look", "open shelf"), 1)
    assert judging.judge_question(pair).valid == ("look", "open shelf")
    assert judging.act_question(state(admissible=None)).valid == ()
    assert judging.judge_question(Comparison(state(), ("jump", "open shelf"), 1)).valid == state().admissible


# ---- what an answer is worth -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "formed", "worth"),
    [
        ("open shelf", True, 1.0),  # not 1.1: R_adm is for the others
        ("look", True, 0.1),
        ("jump", True, 0.0),
        ("Open shelf", True, 0.0),  # the environment would not take it
        ("open shelf", False, -0.5),
        ("look", False, -0.5),
        ("", False, -0.5),
    ],
)
def test_the_reward_of_an_answer(answer, formed, worth):
    question = judging.act_question(state())
    assert act.reward(answer, question, formed) == pytest.approx(worth)


def test_the_parts_of_the_reward_are_settings():
    question = judging.act_question(state())
    settings = {"admissible_reward": 0.25, "format_penalty": 2.0}
    assert act.reward("look", question, True, **settings) == 0.25
    assert act.reward("look", question, False, **settings) == -2.0


@pytest.mark.parametrize(
    ("text", "ended", "thought", "expected"),
    [
        (" look", "stop", False, ("look", True)),
        (" look", "length", False, ("look", False)),
        (" ", "stop", False, ("", False)),
        (" look\nagain", "stop", False, ("look\nagain", False)),
        ("Thought: dark. Action: look", "stop", True, ("look", True)),
        ("look", "stop", True, ("look", False)),
        ("Thought: dark. Action:", "stop", True, ("Thought: dark. Action:", False)),
    ],
)
def test_the_form_of_an_answer(text, ended, thought, expected):
    ids = ByteTokenizer().encode(text)
    completion = Completion(ids, [0.0] * len(ids), ended)
    assert Reading(thought=thought).answer(ByteTokenizer(), completion) == expected


def test_group_advantages_of_judge_tries_by_hand():
    # R = (1, 0.1, 0.1, -0.5): mean 0.175; squared differences 0.680625, 0.005625 twice, 0.455625.
    episodes = []
    for number, worth in enumerate((1.0, 0.1, 0.1, -0.5)):
        turn = Turn("o", [1], 0, [2], [-0.5], "")
        episodes.append(
            Episode("e", "t", "g", 0, "p", "a", group="x", attempt=number, turns=[turn], reward=worth)
        )
    credit = grpo.assign_credit(episodes, act.Config("tiny:x").crediting())
    scale = (1.1475 / 3) ** 0.5 + 1e-6
    expected = [0.825 / scale, -0.075 / scale, -0.075 / scale, -0.675 / scale]
    assert [values[0] for values in credit.advantages] == pytest.approx(expected)


def test_judgement_metrics_by_hand():
    pair = Comparison(state(), ("good", "bad"), 0)
    found = judging.judgement_metrics(
        [
            (pair, "good", "good"),  # right in both orders
            (pair, "good", "bad"),  # the first one, whatever it is
            (pair.swapped(), "bad", "good"),  # likewise
            (pair, "neither", "bad"),  # undecided, then wrong: there it stands first
        ]
    )
    # Right first: good, good, good, neither. Right second: good, bad, bad, bad.
    assert found["accuracy"] == 4 / 8
    assert found["accuracy_right_first"] == 3 / 4
    assert found["accuracy_right_second"] == 1 / 4
    # Of seven that name a candidate, the first is named by all but the second answer of the first line.
    assert found["position_bias"] == pytest.approx(6 / 7 - 0.5)
    assert found["undecided_share"] == pytest.approx(1 / 8)
    assert found["both_orders"] == 1 / 4


def test_an_unbiased_judge_has_no_position_bias():
    pairs = [(Comparison(state(), ("a", "b"), better), "b", "b") for better in (0, 1)]
    assert judging.judgement_metrics(pairs)["position_bias"] == 0
    assert judging.judgement_metrics(pairs)["both_orders"] == 0.5


# ---- demonstrations become states ------------------------------------------------------------------------


def house_config(out, **changes):
    return sft.Config(**HOUSE, out=out, episodes=6, noise=0.3, keep_failures=True, **changes)


def gathered(tmp_path, demonstrations, policy, alternatives=2):
    reading = Reading(max_context_tokens=100_000)
    agent = judging.retrace(demonstrations, alternatives, reading, judging.Sampling(max_tokens=40))
    return judging.gather(demonstrations, agent, policy, tmp_path / "states.jsonl", RolloutSettings())


def test_states_are_those_where_the_expert_acted_with_what_was_admissible_and_the_policys_own(tmp_path):
    demonstrations = sft.expert_episodes(house_config(tmp_path))
    policy = ScriptedPolicy(lambda view: view.info["admissible_actions"][0])
    states = gathered(tmp_path, demonstrations, policy)
    acted = [(d, t) for d in demonstrations for t in range(len(d.turns)) if "noise" not in d.turns[t].tags]
    assert len(states) == len(acted)
    assert sum(len(d.turns) for d in demonstrations) > len(acted)
    for found, (shown, number) in zip(states, acted, strict=True):
        assert found.item.task_id == shown.task_id
        assert found.actions == tuple(turn.action for turn in shown.turns[:number])
        assert found.observations == tuple(turn.observation for turn in shown.turns[: number + 1])
        assert found.expert == shown.turns[number].action
        assert found.expert in found.admissible
        assert found.alternatives == (found.admissible[0],) * 2


def test_gathering_goes_on_after_what_is_on_disk(tmp_path):
    demonstrations = sft.expert_episodes(house_config(tmp_path))
    asked = []

    def answer(view):
        asked.append(view)
        return "look"

    states = gathered(tmp_path, demonstrations, ScriptedPolicy(answer))
    once = len(asked)
    assert gathered(tmp_path, demonstrations, ScriptedPolicy(answer)) == states
    assert len(asked) == once
    path = tmp_path / "states.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:50])  # as a killed process leaves it
    assert gathered(tmp_path, demonstrations, ScriptedPolicy(answer)) == states
    assert once < len(asked) < 2 * once


def test_a_demonstration_that_does_not_repeat_is_a_typed_failure(tmp_path):
    demonstrations = sft.expert_episodes(house_config(tmp_path))
    demonstrations[0].turns[1].observation += "!"
    with pytest.raises(FailureRateError, match="lead elsewhere when repeated"):
        gathered(tmp_path, demonstrations, ScriptedPolicy(lambda view: "look"))


def test_all_tries_at_a_question_see_the_same_ids_and_take_no_step(tmp_path):
    demonstrations = sft.expert_episodes(house_config(tmp_path))
    states = gathered(tmp_path, demonstrations, ScriptedPolicy(lambda view: "look"))
    questions = [judging.judge_question(Comparison(states[3], ("look", states[3].expert), 1))]
    agent = act.answerer(questions, Reading(max_context_tokens=100_000), judging.Sampling(max_tokens=40))
    jobs = [
        Job(dataclasses.replace(states[3].item, seed=9), "g", attempt, {"question": 0})
        for attempt in range(3)
    ]
    answers = iter(["look", states[3].expert, "fly"])
    played = rollout(jobs, agent, ScriptedPolicy(lambda view: next(answers)), RolloutSettings(concurrency=1))
    assert [episode.reward for episode in played] == [0.1, 1.0, 0.0]
    assert [episode.success for episode in played] == [False, True, False]
    assert len({tuple(episode.turns[0].prompt_ids) for episode in played}) == 1
    assert all(not turn.action for episode in played for turn in episode.turns)
    (row,) = sequences(played[1])
    assert ByteTokenizer().decode(row.ids).endswith(f"{states[3].expert}?\n> {states[3].expert}")
    assert row.mask == [False] * len(played[1].turns[0].prompt_ids) + [True] * len(
        played[1].turns[0].completion_ids
    )


# ---- runs ------------------------------------------------------------------------------------------------


def cloned(out, **changes):
    settings = {
        **{"width": 32, "layers": 1, "heads": 2, "vocab_size": 300},
        **{"episodes": 60, "noise": 0.0, "epochs": 2, "batch_tokens": 200},
        **{"learning_rate": 1e-2, "warmup_steps": 2},
        **changes,
    }
    sft.train(sft.Config(**GUESS, out=out, **settings))
    return out / "policy"


@pytest.fixture(scope="module")
def guesser(tmp_path_factory):
    """A policy that guesses in the right form, and knows little of halving."""
    return cloned(tmp_path_factory.mktemp("guesser"))


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """One that writes a thought (an empty one) before it guesses."""
    return cloned(tmp_path_factory.mktemp("thinker"), thought=True)


def act_config(out, policy, **changes):
    settings = {
        **GUESS,
        "demonstrations": 12,
        "held_out": 6,
        "introduction": 3,
        "iterations": 4,
        "tasks_per_iteration": 3,
        "group_size": 4,
        "max_new_tokens": 4,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "checkpoint_every": 2,
        **changes,
    }
    return act.Config(out=out, policy=f"tiny:{policy}", **settings)


@contextlib.contextmanager
def stopped_in(monkeypatch, owner, method, call):
    """Stop as if Ctrl-C was pressed in the given call of a method."""
    original, calls = getattr(owner, method), []

    def stopping(self, *arguments):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, stopping)
        with pytest.raises(KeyboardInterrupt):
            yield


V2 = {"order": "v2", "rl_iterations": 4, "il_epochs": 2, "il_batch_tokens": 200}


@pytest.fixture(scope="module")
def straight(tmp_path_factory, guesser):
    """A run of all stages that nothing interrupted."""
    return act.train(act_config(tmp_path_factory.mktemp("straight"), guesser, **V2))


# Updates: introduction 1 to 3, act 4 to 7, il 8 on, rl the last 4.
@pytest.mark.parametrize("update", [2, 7, 10, -1])
def test_a_killed_run_goes_on_in_the_stage_where_it_was(tmp_path, monkeypatch, guesser, straight, update):
    taken = sum("learner/loss" in row for row in metrics(straight))
    config = act_config(tmp_path, guesser, **V2)
    with stopped_in(monkeypatch, act.Learner, "update", update if update > 0 else taken):
        act.train(config)
    assert not (tmp_path / "policy").exists()
    begun = {path.name for path in (tmp_path / "stages").iterdir()}
    assert len(begun) == {2: 1, 7: 2, 10: 3, -1: 4}[update]
    act.train(config)
    assert same_weights(straight, tmp_path)
    assert metrics(straight) == metrics(tmp_path)


# The stages of the published preset, with reasoning as there, after an introduction.
THINKING = {"order": "v1-rl", "thought": True, "rl_iterations": 2, "iterations": 2, "max_new_tokens": 24}


@pytest.fixture(scope="module")
def thinking(tmp_path_factory, thinker):
    """A run that nothing interrupted, by a policy that reasons."""
    return act.train(
        act_config(tmp_path_factory.mktemp("thinking"), thinker, save_episodes_every=1, **THINKING)
    )


def test_a_policy_that_reasons_is_asked_to_and_read_so(thinking):
    names = sorted(path.name for path in (thinking / "stages").iterdir())
    assert names == ["1-introduction", "2-act", "3-rl"]
    tokenizer = TinyPolicy.load(thinking / "policy").tokenizer
    for stage, asked in (("2-act", True), ("3-rl", False)):
        files = sorted((thinking / "stages" / stage / "episodes").iterdir())
        assert len(files) == 2
        for row, file in zip(metrics(thinking / "stages" / stage), files, strict=True):
            played = list(read_episodes(file))
            for turn in (turn for episode in played for turn in episode.turns):
                prompt = tokenizer.decode(turn.prompt_ids)
                assert ("Think: which is better now, " in prompt) is asked
            formed = [episode for episode in played if episode.tags["formed"]]
            assert formed
            assert row["answers/formed_share"] == pytest.approx(len(formed) / len(played))
            for episode in formed:
                said = tokenizer.decode(episode.turns[0].completion_ids)
                assert parse(said)[1:] == (episode.tags["answer"], True)


@pytest.mark.parametrize("update", [2, 7])  # of the introduction, of rl
def test_a_killed_run_of_a_policy_that_reasons_goes_on_too(tmp_path, monkeypatch, thinker, thinking, update):
    config = act_config(tmp_path, thinker, save_episodes_every=1, **THINKING)
    with stopped_in(monkeypatch, act.Learner, "update", update):
        act.train(config)
    act.train(config)
    assert same_weights(thinking, tmp_path)
    assert metrics(thinking) == metrics(tmp_path)


def test_the_stages_follow_one_another_and_leave_their_metrics(straight, guesser):
    names = sorted(path.name for path in (straight / "stages").iterdir())
    assert names == ["1-introduction", "2-act", "3-il", "4-rl"]
    rows = metrics(straight)
    assert [row["step"] for row in rows] == sorted(row["step"] for row in rows)
    assert {row.get("stage") for row in rows} == {None, 1, 2, 3, 4}
    assert sum("judge/accuracy" in row for row in rows) == 5  # before all, and after each
    for row in rows:
        if row.get("stage") == 2 and "success" in row:
            assert row["rollout/environment_steps"] == 0
            assert 0 <= row["answers/formed_share"] <= 1
    last = rows[-1]["step"]
    il = len((straight / "stages" / "3-il" / "metrics.jsonl").read_text().splitlines())
    assert last == 3 + 4 + il + 4
    assert not same_weights(straight, guesser.parent)


def test_again_after_the_end_changes_nothing(tmp_path, guesser):
    config = act_config(tmp_path, guesser, order="act", introduction=0, iterations=1)
    act.train(config)
    before, logged = weights(tmp_path), metrics(tmp_path)
    act.train(config)
    assert all(torch.equal(before[name], value) for name, value in weights(tmp_path).items())
    assert metrics(tmp_path) == logged


def test_il_alone_is_sft_on_the_same_demonstrations(tmp_path, guesser):
    config = act_config(
        tmp_path / "act",
        guesser,
        **{"order": "il", "il_epochs": 1, "il_batch_tokens": 200},
        **{"introduction": 60, "iterations": 100, "held_out": 20, "group_size": 8},
    )
    act.train(config)
    other = sft.train(dataclasses.replace(config.imitating(tmp_path / "sft", config.policy)))
    assert same_weights(tmp_path / "act", other)


def test_stages_one_by_one_equal_one_run_of_them(tmp_path, guesser):
    """Studies share the stage act between arms, which is only fair where this holds."""
    whole = act_config(
        tmp_path / "whole", guesser, order="v1-il", introduction=0, il_epochs=1, il_batch_tokens=200
    )
    act.train(whole)
    act.train(act_config(tmp_path / "act", guesser, order="act", introduction=0))
    rest = {"introduction": 60, "iterations": 100, "held_out": 20, "group_size": 8}
    second = act_config(
        tmp_path / "il", tmp_path / "act" / "policy", order="il", il_epochs=1, il_batch_tokens=200, **rest
    )
    act.train(second)
    assert same_weights(whole.out, second.out)


@pytest.mark.parametrize("control", [{"shuffled_labels": True}, {"judging": "sft", "group_size": 8}])
def test_controls_share_the_pairs_and_differ_in_what_is_learnt(tmp_path, guesser, control):
    # So many that some of the tries name a candidate, whose label then matters.
    shared = {"order": "act", "introduction": 0, "tasks_per_iteration": 8}
    plain = act_config(tmp_path / "plain", guesser, **shared)
    other = act_config(tmp_path / "other", guesser, **shared, **control)
    act.train(plain)
    act.train(other)
    asked = [
        [pair.candidates for pair in act.Lessons(config).pairs]
        for config in (plain, dataclasses.replace(other, out=other.out))
    ]
    assert asked[0] == asked[1]
    assert not same_weights(plain.out, other.out)
    held_out = [act.Lessons(config).held_out for config in (plain, other)]
    assert held_out[0] == held_out[1]
    assert all(pair.right == pair.state.expert for pair in held_out[0])


def test_held_out_states_are_of_other_tasks(tmp_path, monkeypatch, guesser):
    # Of 20 tasks, 12 are learnt from; some of the 15 that are drawn to be held out are among them.
    monkeypatch.setattr(GuessNumberTasks, "__len__", lambda self: 20)
    lessons = act.Lessons(act_config(tmp_path, guesser, order="act", held_out=15))
    learnt = {pair.state.item.task_id for pair in lessons.pairs}
    assert learnt
    assert len({shown.task_id for shown in lessons.demonstrations}) == 12
    assert lessons.held_out
    assert not learnt & {pair.state.item.task_id for pair in lessons.held_out}
    there = list(read_episodes(tmp_path / "demonstrations.jsonl"))
    assert len(there) == 12


def test_the_examination_shows_every_pair_in_both_orders():
    def first_of_the_two(view):
        return view.observation.rpartition(" now, ")[2].partition(" or ")[0]

    pairs = judging.comparisons([state()] * 9, np.random.default_rng(0), per_state=1)
    config = act.Config("tiny:x", max_new_tokens=40)
    found = act.examine(pairs, config, ScriptedPolicy(first_of_the_two), RolloutSettings())
    assert found["judge/accuracy"] == found["judge/position_bias"] == 0.5
    assert found["judge/accuracy_right_first"] == 1
    assert found["judge/both_orders"] == found["judge/accuracy_right_second"] == 0


def asking(trainer, config, policy, questions):
    settings = config.answering(config.out / "stage", config.policy, 1)
    return trainer(settings, policy, act.Learner(policy.model, settings.learner()), questions, config)


def test_a_pass_asks_every_question_once_and_the_next_in_another_order(tmp_path, guesser):
    policy = TinyPolicy.load(guesser)
    questions = [judging.act_question(state(goal=str(number))) for number in range(10)]

    def sequence(**changes):
        config = act_config(tmp_path, guesser, order="act", introduction=0, **changes)
        trainer = asking(act.Answering, config, policy, questions)
        size = config.tasks_per_iteration
        jobs = [trainer.jobs(iteration) for iteration in range(1, 60 // size + 1)]
        assert all(len(found) == size * config.group_size for found in jobs)
        return [job.tags["question"] for found in jobs for job in found if job.attempt == 0]

    drawn = sequence(tasks_per_iteration=3)
    passes = [drawn[begin : begin + 10] for begin in range(0, 60, 10)]
    assert all(sorted(numbers) == list(range(10)) for numbers in passes)
    assert len({tuple(numbers) for numbers in passes}) == 6
    # However many an iteration takes, also where that is more than a pass has.
    assert drawn == sequence(tasks_per_iteration=5) == sequence(tasks_per_iteration=15)
    assert drawn != sequence(tasks_per_iteration=3, seed=1)


def test_further_rounds_ask_what_the_iteration_did_not_and_move_no_pass_on(tmp_path, guesser):
    config = act_config(tmp_path, guesser, order="act", introduction=0)
    questions = [judging.act_question(state(goal=str(number))) for number in range(10)]
    trainer = asking(act.Answering, config, TinyPolicy.load(guesser), questions)
    for iteration in range(1, 8):
        # Rounds that miss few leave places free, which the next does not fall back on.
        rounds = [trainer.chosen(iteration, number, missing) for number, missing in enumerate((3, 2, 3))]
        assert [len(numbers) for numbers in rounds] == [3, 2, 3]
        first, *further = ({*numbers} for numbers in rounds)
        assert not first & (further[0] | further[1])
        assert len(further[0] | further[1]) == 5
        assert trainer.chosen(iteration, 2) == rounds[2]
    few = asking(act.Answering, config, trainer.policy, questions[:3])
    assert sorted(few.chosen(1)) == sorted(few.chosen(1, 1)) == [0, 1, 2]  # there are no others


@pytest.mark.parametrize("thought", [False, True])
def test_rows_of_the_imitating_control_hold_the_right_answer(tmp_path, guesser, thinker, thought):
    clone = thinker if thought else guesser
    changes = {"thought": thought, "max_new_tokens": 24}
    config = act_config(tmp_path, clone, order="act", judging="sft", group_size=8, **changes)
    lessons = act.Lessons(config)
    policy = TinyPolicy.load(clone)
    questions = [judging.judge_question(pair) for pair in lessons.pairs]
    settings = config.answering(tmp_path / "stage", config.policy, 1, imitating=True)
    assert settings.learning_rate == config.imitation_learning_rate
    trainer = act.Imitating(
        settings, policy, act.Learner(policy.model, settings.learner()), questions, config
    )
    rows, _ = trainer.credit(1, trainer.collect(1))
    numbers = trainer.chosen(1)
    assert len(rows) == 3
    for row, number in zip(rows, numbers, strict=True):
        taught = [row.ids[at] for at in range(len(row.ids)) if row.imitation[at]]
        lead = "Thought: \nAction: " if thought else ""
        assert policy.tokenizer.decode(taught).strip() == lead + questions[number].right
        assert taught[-1] == policy.tokenizer.stop_id
        assert row.advantage is None


def test_the_stage_act_raises_the_accuracy_on_held_out_states_in_both_orders(tmp_path, guesser):
    run = act.train(
        act_config(
            tmp_path,
            guesser,
            order="act",
            introduction=0,
            demonstrations=40,
            held_out=20,
            iterations=40,
            tasks_per_iteration=8,
            group_size=8,
            learning_rate=5e-3,
            checkpoint_every=100,
        )
    )
    before, after = [row for row in metrics(run) if "judge/accuracy" in row]
    for name in ("accuracy_right_first", "accuracy_right_second"):
        assert after[f"judge/{name}"] > before[f"judge/{name}"] + 0.2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"order": "il"}, "would do nothing: order='il' has no stage"),
        ({"order": "act", "rl_iterations": 7}, "rl_iterations=7 would do nothing"),
        ({"order": "act", "il_epochs": 7}, "il_epochs=7 would do nothing"),
        ({"order": "act", "judging": "sft"}, "group_size=4 would do nothing"),
        ({"order": "introduction", "introduction": 0, "iterations": 100}, "needs introduction"),
        ({"environment_steps": 5}, "environment_steps=5 would do nothing"),
        ({"gigpo_omega": 1.0}, "gigpo_omega=1.0 would do nothing"),
        ({"alternatives": 0}, "alternatives"),
        ({"format_penalty": -1.0}, "negative"),
        ({"group_size": 1}, "nothing to compare"),
    ],
)
def test_senseless_settings_are_refused(tmp_path, changes, words):
    with pytest.raises(OptionError, match=words):
        act_config(tmp_path, "nowhere", **changes)


def test_an_unknown_order_names_those_there_are(tmp_path):
    with pytest.raises(UnknownNameError, match="v1-il"):
        act_config(tmp_path, "nowhere", order="v3")


def test_a_changed_option_is_refused_when_resuming(tmp_path, guesser):
    act.train(act_config(tmp_path, guesser, order="act", introduction=0, iterations=1))
    with pytest.raises(OptionError, match="alternatives=4, now it is 3"):
        act.train(act_config(tmp_path, guesser, order="act", introduction=0, iterations=1, alternatives=3))


def test_random_negatives_need_an_environment_that_lists_its_actions(tmp_path, guesser):
    with pytest.raises(OptionError, match="GuessNumber-v0 does not list"):
        act.train(act_config(tmp_path, guesser, order="act", negatives="random"))


@pytest.mark.parametrize(
    ("preset", "stages"),
    [
        ("published", ("act", "il", "rl")),
        ("published-v1-il", ("act", "il")),
        ("published-v1-rl", ("act", "rl")),
    ],
)
def test_there_is_a_published_preset_for_every_published_order(preset, stages):
    config = act.Config("hf:somewhere", **act.PRESETS[preset])
    assert config.stages == stages
    assert config.iterations * config.tasks_per_iteration == 10_240
    imitating = config.imitating(config.out, config.policy)
    assert (imitating.learning_rate, imitating.thought, imitating.device) == (1e-5, True, "cuda")
    if "il" in stages:
        assert (imitating.epochs, imitating.auxiliary_coefficient) == (3, 0.0)


@pytest.mark.parametrize("order", ["v1-il", "v1-rl"])
def test_the_settings_of_all_stages_are_refused_by_an_order_without_some(order):
    """So nobody trains with the published settings of other stages than those that run."""
    with pytest.raises(OptionError, match="would do nothing"):
        act.Config("hf:somewhere", **{**act.PRESETS["published"], "order": order})


def test_the_config_is_a_command_line():
    given = ["--policy", "tiny:x", "--order", "v2", "--shuffled-labels", "--negatives", "random"]
    found = parse_config(act.Config, "act", given)
    assert found == act.Config("tiny:x", order="v2", shuffled_labels=True, negatives="random")


def test_a_question_about_acting_is_asked_without_words():
    question = Question(state(), "", "open shelf")
    text = ByteTokenizer().decode(question.prompt(AppendContext(ByteTokenizer(), 500), Reading()))
    assert text == "You see a shelf.\n> go to shelfIt is closed.\n>"


def test_judging_and_acting_begin_with_how_to_play(tmp_path):
    reading = act_config(tmp_path, "tiny:nowhere", system="Halve.").reading
    tokenizer = ByteTokenizer()
    history = reading.history(tokenizer)
    history.begin("Guess.")
    assert tokenizer.decode(history.prompt()[0]).startswith("Halve.\n\nGuess.")
