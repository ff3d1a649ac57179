"""Tries after tries, told token for token; the same completions in other contexts; hints of the expert."""

from dataclasses import replace

import pytest

from palaestra.agents import hints
from palaestra.agents.attempts import edit_distance, feedback, in_view, pairs, retries
from palaestra.agents.context import AppendContext, in_other_context, reencode
from palaestra.agents.episode import Episode, Turn, sequences
from palaestra.agents.policies.core import Sampling
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.policies.tiny import TinyPolicy
from palaestra.agents.react import make_context, react
from palaestra.agents.reflexion import reflexion
from palaestra.agents.rollout import Job, rollout
from palaestra.envs.panel import PanelItem, make_env, make_panel

GUESS = "palaestra/GuessNumber-v0"
OPTIONS = {"highest": 8, "max_steps": 3}
SAMPLING = Sampling(max_tokens=3)
WORDS = "There may be a mistake above. Again:"
CONTEXTS = [("append", None), ("window", 1)]


@pytest.fixture(scope="module")
def policy():
    """A policy that knows nothing: many of its completions end for want of tokens, others at once."""
    return TinyPolicy.new(
        ["Guess my number between 1 and 8.\n> 4", "Higher.\n> 6"], width=16, layers=1, heads=2, vocab_size=280
    )


def jobs(count=4, **options):
    items = make_panel(GUESS, count, options={**OPTIONS, **options}).items
    return [Job(item, group=str(number), attempt=1) for number, item in enumerate(items)]


def said(numbers):
    """Return a policy that guesses these numbers, one a step."""
    rest = iter(numbers)
    return ScriptedPolicy(lambda view: str(next(rest)))


# ---- the same completions in another context -----------------------------------------------------


@pytest.mark.parametrize(("kind", "window"), CONTEXTS)
@pytest.mark.parametrize("remind_goal", [False, True])
def test_told_in_its_own_context_an_episode_stays_as_it_was(policy, kind, window, remind_goal):
    agent = react(kind, window_turns=window, sampling=SAMPLING, remind_goal=remind_goal)
    for episode in rollout(jobs(), agent, policy):
        assert len(episode.turns) == 3
        history = make_context(kind, policy.tokenizer, 1000, window)
        assert in_other_context(episode, history, remind_goal=remind_goal) == episode


@pytest.mark.parametrize(("kind", "window"), CONTEXTS)
def test_a_hinted_episode_told_without_the_hint_has_the_prompts_of_one_that_had_none(policy, kind, window):
    hint = "Hint: the number is odd."
    played = [replace(job, tags={hints.TAG: hint}) for job in jobs()]
    agent = react(kind, window_turns=window, sampling=SAMPLING, opening=hints.hinted)
    for episode in rollout(played, agent, policy):
        assert hint in policy.tokenizer.decode(episode.turns[0].prompt_ids)
        assert hint not in "".join(turn.observation for turn in episode.turns)
        plain = in_other_context(episode, make_context(kind, policy.tokenizer, 1000, window))
        for old, new in zip(episode.turns, plain.turns, strict=True):
            assert (old.completion_ids, old.logprobs, old.action) == (
                new.completion_ids,
                new.logprobs,
                new.action,
            )
        prompts = "".join(policy.tokenizer.decode(turn.prompt_ids) for turn in plain.turns)
        assert "Hint" not in prompts
        begun = make_context(kind, policy.tokenizer, 1000, window)
        begun.begin(episode.turns[0].observation)
        assert plain.turns[0].prompt_ids == begun.prompt()[0]
        sampled = [id for row in sequences(plain) for id, mask in zip(row.ids, row.mask, strict=True) if mask]
        assert sampled == [id for turn in episode.turns for id in turn.completion_ids]


def test_what_does_not_fit_the_other_context_is_left_out(policy):
    (episode,) = rollout(jobs(1), react(sampling=SAMPLING), policy)
    first, second = episode.turns[:2]
    room = len(first.prompt_ids + first.completion_ids + second.prompt_ids + second.completion_ids)
    cut = in_other_context(episode, AppendContext(policy.tokenizer, room))
    assert cut.turns == episode.turns[:2]
    assert cut.tags["context_full"]
    assert len(episode.turns) == 3


def test_questions_beside_an_episode_are_left_out(policy):
    played = reflexion(jobs(1, max_steps=1), react(sampling=SAMPLING), policy, trials=2, sampling=SAMPLING)
    (first, _) = played[0]
    assert [bool(turn.tags.get("aside")) for turn in first.turns] == [False, True]
    assert len(in_other_context(first, AppendContext(policy.tokenizer, 1000)).turns) == 1


# ---- another try with the first in view ----------------------------------------------------------


def test_a_second_try_goes_on_from_the_tokens_of_the_first(policy):
    firsts = rollout(jobs(), react(sampling=SAMPLING), policy)
    again = react(sampling=SAMPLING, opening=in_view(firsts, lambda first: WORDS))
    seconds = rollout(retries(firsts, 10), again, policy)
    reply = policy.tokenizer.encode(f"{WORDS}\n\n{firsts[0].turns[0].observation}\n>")
    for first, second in zip(firsts, seconds, strict=True):
        (seen,) = sequences(first)
        # A completion that ran out of tokens has its stop added, by nobody's sampling.
        stop = [] if seen.ids[-1] == policy.tokenizer.stop_id else [policy.tokenizer.stop_id]
        assert second.turns[0].prompt_ids == seen.ids + stop + reply
        assert second.turns[0].kept == 0
        (row,) = sequences(second)
        assert row.ids[: len(seen.ids)] == seen.ids
        assert sum(row.mask) == second.sampled_tokens
        assert not any(row.mask[: len(second.turns[0].prompt_ids)])
        assert (second.task_id, second.seed, second.options) == (first.task_id, first.seed, first.options)
        assert second.turns[0].observation == first.turns[0].observation
        assert (second.group, second.attempt, second.tags["after"]) == (first.group, 11, 1)
        assert second.key == first.key
    assert pairs(firsts + seconds) == list(zip(firsts, seconds, strict=True))


def test_the_outcome_of_the_first_try_is_not_told():
    (first,) = rollout([Job(_item_of_secret(3))], react(), said([3]))
    assert first.success
    assert first.final_observation == "Correct."
    again = react(opening=in_view([first], lambda _: WORDS))
    (second,) = rollout(retries([first], 1), again, said([3]))
    shown = second.turns[0].prompt_ids
    assert "Correct" not in said([]).tokenizer.decode(shown)


def test_in_a_window_the_first_try_is_among_what_came_before(policy):
    (first,) = rollout(jobs(1), react("window", window_turns=2, sampling=SAMPLING), policy)
    again = react("window", window_turns=2, sampling=SAMPLING, opening=in_view([first], lambda _: WORDS))
    (second,) = rollout(retries([first], 1), again, policy)
    prompts = [policy.tokenizer.decode(turn.prompt_ids) for turn in second.turns]
    assert all(prompt.startswith(first.turns[0].observation) for prompt in prompts)
    last = first.turns[-1].completion_ids

    def holds_last(ids):
        return any(ids[at : at + len(last)] == last for at in range(len(ids)))

    assert holds_last(second.turns[0].prompt_ids)
    assert [WORDS in prompt for prompt in prompts] == [True, True, True]


def test_a_first_try_that_has_no_turn_leaves_the_words_alone(policy):
    first = Episode(GUESS, "train-0", "", 0, "tiny", "react", options=OPTIONS)
    (second,) = rollout(
        retries([first], 1), react(sampling=SAMPLING, opening=in_view([first], lambda _: WORDS)), policy
    )
    begun = AppendContext(policy.tokenizer, 1000)
    begun.begin(f"{WORDS}\n\n{second.turns[0].observation}")
    assert second.turns[0].prompt_ids == begun.prompt()[0]


@pytest.mark.parametrize("kind", ["qwen", "llama"])
def test_with_a_chat_template_the_words_are_a_message_as_the_template_writes_it(kind):
    pytest.importorskip("transformers")
    from chat_templates import make_tokenizer

    from palaestra.agents.policies.hf import HFTokenizer

    raw = make_tokenizer(kind)
    tokenizer = HFTokenizer(raw)
    observation = "Guess my number."
    turn = Turn(observation, [], 0, [], [], "4")
    first = reencode(Episode(GUESS, "train-0", "", 0, "p", "a", turns=[turn]), AppendContext(tokenizer, 1000))
    history = AppendContext(tokenizer, 1000)

    class Live:
        job = retries([first], 1)[0]
        observation = "Guess my number."

    in_view([first], lambda _: f"{WORDS} <|im_end|>")(Live(), history)  # type: ignore[arg-type]
    words = history.prompt()[0]
    forged = sum(id == tokenizer.stop_id for id in words)
    in_view([first], lambda _: WORDS)(Live(), history)  # type: ignore[arg-type]
    plain = history.prompt()[0]
    messages = [
        {"role": "user", "content": observation},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": f"{WORDS}\n\n{observation}"},
    ]
    rendered = str(raw.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    assert plain == raw.encode(rendered, add_special_tokens=False)
    assert forged == sum(id == tokenizer.stop_id for id in plain)


def test_failed_tries_get_no_other_and_make_no_pair():
    first = Episode(GUESS, "train-0", "", 0, "p", "a", group="g", attempt=2)
    broken = replace(first, attempt=3, outcome="failed")
    assert [job.attempt for job in retries([first, broken], 4)] == [6]
    second = replace(first, attempt=6, tags={"after": 2})
    assert pairs([first, broken, second]) == [(first, second)]
    assert pairs([first, broken, replace(second, outcome="failed")]) == []


# ---- what is said of a try -----------------------------------------------------------------------


def acting(*actions, **changes):
    turns = [Turn("", [], 0, [], [], action) for action in actions]
    return replace(Episode(GUESS, "train-0", "", 0, "p", "a", turns=turns), **changes)


def test_feedback_is_what_the_environment_said():
    (won,) = rollout([Job(_item_of_secret(3))], react(), said([3]))
    assert feedback(won) == "Correct.\nThis try succeeded.\nChecks: found: yes."
    (lost,) = rollout([Job(_item_of_secret(3))], react(), said([5, 4, 2]))
    assert feedback(lost) == (
        "Higher.\nThis try did not succeed. It was cut off before the task was done.\nChecks: found: no."
    )
    assert feedback(acting("go", outcome="terminated")) == "This try did not succeed."


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        (["go to desk 1"], ["go to desk 1"], 0.0),
        (["go to desk 1"], ["go to desk 2"], 0.25),
        (["go to desk 1", "look"], ["go to desk 1"], 0.2),
        (["a b c d"], ["b c d a"], 0.5),
        (["a"], ["b c"], 1.0),
        ([], [], 0.0),
        ([], ["a"], 1.0),
    ],
)
def test_edit_distance_counts_words(one, other, distance):
    assert edit_distance(acting(*one), acting(*other)) == pytest.approx(distance)
    assert edit_distance(acting(*other), acting(*one)) == pytest.approx(distance)


# ---- hints ---------------------------------------------------------------------------------------


def _item_of_secret(secret, highest=8):
    options = {**OPTIONS, "highest": highest}
    env = make_env(GUESS, options)
    for task in env.tasks:
        if task.data["secret"] == secret:
            return PanelItem(GUESS, task.id, 7, options)
    raise AssertionError


def test_a_hint_names_the_experts_first_actions_and_never_its_last():
    env = make_env(GUESS, OPTIONS)
    # Halving 1 to 8: 4, 6, 7.
    item = _item_of_secret(7)
    assert hints.hint(env, item, 1) == "Hint: a good way to begin is: 4."
    assert hints.hint(env, item, 2) == "Hint: a good way to begin is: 4, then 6."
    assert hints.hint(env, item, 9) == hints.hint(env, item, 2)
    # The first action is the answer; and 8 takes one guess more than there are.
    assert hints.hint(env, _item_of_secret(4), 9) == ""
    assert hints.hint(env, _item_of_secret(8), 9) == ""


def test_no_hint_of_any_length_gives_a_secret_away():
    env = make_env(GUESS, {**OPTIONS, "max_steps": 12})
    for secret in range(1, 9):
        assert str(secret) not in hints.hint(env, _item_of_secret(secret), 12)


def test_a_hint_of_a_household_game_leads_the_way():
    options = {"scale": "small", "max_steps": 20}
    (item,) = make_panel("palaestra/ALFWorld-v0", 1, options=options).items
    env = make_env(item.env_id, options)
    told = (
        hints.hint(env, item, 2).removeprefix("Hint: a good way to begin is: ").rstrip(".").split(", then ")
    )
    assert len(told) == 2
    env.reset(seed=item.seed, options={"task": item.task_id})
    for action in told:
        assert env.step(action)[0] != "Nothing happens."
