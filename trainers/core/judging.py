"""Judging: states of demonstrations, and questions about which of two actions is the better one there.

A demonstration is retraced once: its actions are repeated in the environment and, before each of them, the
policy says a few times what it would do itself. What comes of that are ``State``s. A state makes questions of
two kinds: which of two actions is better (``Comparison``), and what to do. Both show the history in the ids
that an agent would have sent, so nothing differs between judging and acting but the text that asks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from palaestra.agents.context import Context, with_goal, written
from palaestra.agents.episode import Episode, EpisodeWriter, read_episodes
from palaestra.agents.policies.core import Completion, Policy, Sampling, Tokenizer
from palaestra.agents.react import make_context, parse
from palaestra.agents.rollout import Actor, Agent, Job, RolloutSettings, rollout
from palaestra.envs.panel import PanelItem
from palaestra.errors import InfrastructureError, OptionError

Negatives = Literal["policy", "random"]


@dataclass(frozen=True, slots=True)
class Reading:
    """How a policy is shown things and read: the settings of its context and the form of its answers."""

    context: Literal["append", "window"] = "append"
    window_turns: int | None = None
    thought: bool = False
    remind_goal: bool = False
    max_context_tokens: int = 2048
    system: str = ""

    def history(self, tokenizer: Tokenizer, context_tokens: int | None = None) -> Context:
        """Return an empty context for a policy that takes ``context_tokens``."""
        limit = min(self.max_context_tokens, context_tokens or self.max_context_tokens)
        return make_context(self.context, tokenizer, limit, self.window_turns, self.system)

    def written(self, tokenizer: Tokenizer, action: str) -> Completion:
        """Return an action in the form in which the policy answers, after an empty thought if it thinks."""
        return written(tokenizer, action, "" if self.thought else None)

    def answer(self, tokenizer: Tokenizer, completion: Completion) -> tuple[str, bool]:
        """Return the action that a completion names, and whether the completion has the right form: ended
        by itself, one line of action, after a thought where there is to be one.
        """
        text = tokenizer.decode(completion.ids)
        _, action, formed = parse(text) if self.thought else ("", text.strip(), True)
        return action, formed and completion.finish_reason == "stop" and bool(action) and "\n" not in action


@dataclass(frozen=True, slots=True)
class State:
    """A state of a demonstration after t actions: ``observations`` (t + 1) and ``actions`` (t) so far, what
    the ``expert`` does, what is ``admissible`` (None where the environment does not say), and what the policy
    would do (``alternatives``, as sampled).
    """

    item: PanelItem
    goal: str
    observations: tuple[str, ...]
    actions: tuple[str, ...]
    expert: str
    admissible: tuple[str, ...] | None = None
    alternatives: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two candidate actions at a state; ``better`` (0 or 1) is the one that counts as right."""

    state: State
    candidates: tuple[str, str]
    better: int

    @property
    def right(self) -> str:
        """The candidate that counts as right."""
        return self.candidates[self.better]

    def swapped(self) -> Comparison:
        """Return the same comparison in the other order."""
        first, second = self.candidates
        return replace(self, candidates=(second, first), better=1 - self.better)


@dataclass(frozen=True, slots=True)
class Question:
    """Something asked at a state: ``asked`` stands below the observation ("": only act), ``right`` is the
    answer, and ``valid`` are the actions that can be carried out, as far as that is known.
    """

    state: State
    asked: str
    right: str
    valid: tuple[str, ...] = ()

    def prompt(self, context: Context, reading: Reading, room_tokens: int = 0) -> list[int]:
        """Return the ids of the prompt: those of an agent that saw and did the same, and then is asked.

        Raises ``ContextFull`` where it and ``room_tokens`` more do not fit.
        """
        state = self.state
        for number, observation in enumerate(state.observations):
            text = with_goal(observation, state.goal) if reading.remind_goal and number else observation
            if number == len(state.actions) and self.asked:
                text = f"{text}\n{self.asked}"
            if number == 0:
                context.begin(text)
            else:
                context.observe(text)
            if number < len(state.actions):
                context.record(reading.written(context.tokenizer, state.actions[number]))
        return context.prompt(room_tokens)[0]


def judge_question(comparison: Comparison, *, thought: bool = False) -> Question:
    """Return the question which candidate is better; the answer is the action itself, not its number, so
    that what is learnt about it is learnt about acting.
    """
    first, second = comparison.candidates
    # The candidates come last, where even a small model finds what it is to repeat.
    asked = f"{'Think: which' if thought else 'Which'} is better now, {first} or {second}?"
    valid = comparison.state.admissible
    return Question(
        comparison.state, asked, comparison.right, comparison.candidates if valid is None else valid
    )


def act_question(state: State) -> Question:
    """Return the question what to do: the very prompt of an agent, to which the expert's action is right."""
    return Question(state, "", state.expert, state.admissible or ())


def rehearsals(states: Sequence[State]) -> list[Question]:
    """Return the question what to do with each of the policy's own answers, as it gave them: learning them
    keeps a policy as it is.
    """
    return [replace(act_question(state), right=own) for state in states for own in state.alternatives]


# ---- from demonstrations to states -----------------------------------------------------------------------


def retrace(
    demonstrations: Sequence[Episode], alternatives: int, reading: Reading, sampling: Sampling
) -> Agent:
    """Return an agent that repeats the actions of a demonstration (its number is the job's tag
    ``demonstration``) and asks the policy ``alternatives`` times before each what it would do.

    Actions tagged ``noise`` are repeated, but nobody is asked about them. An environment that answers
    otherwise than it did raises ``InfrastructureError``: there the states would not be the expert's.
    """

    async def agent(actor: Actor) -> None:
        history = reading.history(actor.tokenizer, actor.context_tokens)
        history.begin(actor.observation)
        for turn in demonstrations[actor.job.tags["demonstration"]].turns:
            if actor.done or actor.observation != turn.observation:
                raise InfrastructureError(
                    f"{actor.job.item.env_id}, task {actor.job.item.task_id}: the expert's actions lead "
                    f"elsewhere when repeated (seen: {actor.observation[:60]!r})"
                )
            tags = {name: turn.tags[name] for name in ("noise",) if name in turn.tags}
            if not tags:
                ids, _ = history.prompt(sampling.max_tokens)
                for _ in range(alternatives):
                    await _alternative(actor, ids, reading, sampling)
            if (admissible := actor.info.get("admissible_actions")) is not None:
                tags["admissible"] = list(admissible)
            completion = reading.written(actor.tokenizer, turn.action)
            ids, kept = history.prompt(len(completion.ids))
            actor.insert(ids, completion.ids, kept=kept)
            history.record(completion)
            observation, _, _ = await actor.step(turn.action, tags=tags)
            history.observe(
                with_goal(observation, actor.episode.goal) if reading.remind_goal else observation
            )

    return agent


async def _alternative(actor: Actor, ids: Sequence[int], reading: Reading, sampling: Sampling) -> None:
    completion = await actor.aside(ids, sampling, question=actor.observation, tags={})
    answer, formed = reading.answer(actor.tokenizer, completion)
    actor.episode.turns[-1].tags.update(answer=answer, formed=formed)


def gather(
    demonstrations: Sequence[Episode], agent: Agent, policy: Policy, path: Path, settings: RolloutSettings
) -> list[State]:
    """Retrace the demonstrations by ``agent`` and return their states, in order.

    Episodes are kept in ``path``, and those that are there already are not played again.
    """
    there = _read(path)
    jobs = [
        Job(
            PanelItem(shown.env_id, shown.task_id, shown.seed, shown.options),
            attempt=shown.attempt,
            tags={"demonstration": number},
        )
        for number, shown in enumerate(demonstrations)
        if number not in there
    ]
    with EpisodeWriter(path) as writer:
        rollout(jobs, agent, policy, settings, writer=writer)
    # Read back, so that a resumed run sees what an uninterrupted one saw, to the last bit.
    retraced = _read(path)
    return [state for number in sorted(retraced) for state in states_of(retraced[number])]


def _read(path: Path) -> dict[int, Episode]:
    if not path.exists():
        return {}
    return {episode.tags["demonstration"]: episode for episode in read_episodes(path) if not episode.failed}


def states_of(retraced: Episode) -> list[State]:
    """Return the states of a retraced demonstration at which the expert acted (not the noise)."""
    item = PanelItem(retraced.env_id, retraced.task_id, retraced.seed, retraced.options)
    states: list[State] = []
    observations: list[str] = []
    actions: list[str] = []
    alternatives: list[str] = []
    for turn in retraced.turns:
        if turn.tags.get("aside"):
            alternatives += [turn.tags["answer"]] if turn.tags["formed"] else []
            continue
        observations.append(turn.observation)
        if not turn.tags.get("noise"):
            admissible = turn.tags.get("admissible")
            states.append(
                State(
                    item=item,
                    goal=retraced.goal,
                    observations=tuple(observations),
                    actions=tuple(actions),
                    expert=turn.action,
                    admissible=None if admissible is None else tuple(admissible),
                    alternatives=tuple(alternatives),
                )
            )
        actions.append(turn.action)
        alternatives = []
    return states


# ---- from states to comparisons --------------------------------------------------------------------------


def normalise(action: str) -> str:
    """Return an action without what makes no difference: case and the amount of white space."""
    return " ".join(action.split()).casefold()


def worse_actions(state: State) -> list[str]:
    """Return the alternatives worth comparing: none that equals the expert's action, none twice (both after
    ``normalise``), none empty. That they are worse is an assumption: another action may be as good.
    """
    expert = normalise(state.expert)
    return [action for action in _distinct(state.alternatives) if normalise(action) != expert]


def comparisons(
    states: Sequence[State],
    generator: np.random.Generator,
    *,
    per_state: int,
    negatives: Negatives = "policy",
) -> list[Comparison]:
    """Compare the expert's action with up to ``per_state`` others at every state, each in random order.

    With ``negatives`` "random" the others are drawn from the admissible actions, as many at each state as
    "policy" would take from the alternatives. Raises ``OptionError`` where nothing is left to compare, or
    random ones cannot be drawn.
    """
    found: list[Comparison] = []
    for state in states:
        others = _drawn(worse_actions(state), per_state, generator)
        if negatives == "random":
            others = _drawn(_admissible_others(state), len(others), generator)
        for other in others:
            better = int(generator.integers(2))
            candidates = (other, state.expert) if better else (state.expert, other)
            found.append(Comparison(state, candidates, better))
    if not found:
        raise OptionError(
            f"at none of {len(states)} states is there an action to compare with the expert's: the policy "
            "always does what the expert does, or its answers have no usable form. Sample more alternatives"
        )
    return found


def shuffled_labels(found: Sequence[Comparison], generator: np.random.Generator) -> list[Comparison]:
    """Return the comparisons with labels that say nothing: which candidate counts as right is drawn anew."""
    return [replace(comparison, better=int(generator.integers(2))) for comparison in found]


def neutral_comparisons(states: Sequence[State], generator: np.random.Generator) -> list[Comparison]:
    """Return a comparison of any two actions at every state that has so many, admissible ones and the
    policy's own alike; which counts as right is chance. They teach how to answer, not what.
    """
    found: list[Comparison] = []
    for state in states:
        pool = _distinct([*state.alternatives, *(state.admissible or ())])
        if len(pool) > 1:
            first, second = generator.permutation(len(pool))[:2].tolist()
            found.append(Comparison(state, (pool[first], pool[second]), int(generator.integers(2))))
    return found


def _distinct(actions: Sequence[str]) -> list[str]:
    first_of: dict[str, str] = {}
    for action in actions:
        first_of.setdefault(normalise(action), action)
    return [action for key, action in first_of.items() if key]


def _drawn(actions: Sequence[str], most: int, generator: np.random.Generator) -> list[str]:
    if len(actions) <= most:
        return list(actions)
    numbers: list[int] = generator.choice(len(actions), most, replace=False).tolist()
    return [actions[number] for number in sorted(numbers)]


def _admissible_others(state: State) -> list[str]:
    if state.admissible is None:
        raise OptionError(
            f"{state.item.env_id} does not list its admissible actions, so no random ones can be drawn"
        )
    return [action for action in state.admissible if normalise(action) != normalise(state.expert)]


# ---- how good the judgements are -------------------------------------------------------------------------


def judgement_metrics(pairs: Sequence[tuple[Comparison, str, str]]) -> Mapping[str, float]:
    """Return how well candidates were told apart, from (comparison, answer, answer in the other order).

    ``accuracy`` is over both orders, also apart by the place of the right candidate. ``position_bias`` is the
    share of answers that name the first candidate, among those that name either, less one half: 0 is none.
    ``undecided_share`` named neither, and ``both_orders`` were right in the one order and the other.
    """
    first: list[bool] = []  # right answers where the right candidate stands first
    second: list[bool] = []
    named_first: list[bool] = []
    both: list[bool] = []
    for comparison, answer, other in pairs:
        orders = [(comparison, answer), (comparison.swapped(), other)]
        for shown, given in orders:
            (second if shown.better else first).append(given == shown.right)
            if given in shown.candidates:
                named_first.append(given == shown.candidates[0])
        both.append(all(given == shown.right for shown, given in orders))
    return {
        "accuracy": _share(first + second),
        "accuracy_right_first": _share(first),
        "accuracy_right_second": _share(second),
        "position_bias": _share(named_first) - 0.5,
        "undecided_share": 1.0 - len(named_first) / len(first + second) if both else math.nan,
        "both_orders": _share(both),
    }


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else math.nan
