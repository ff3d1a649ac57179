"""The laws of the contract itself: Gymnasium's, specs, episodes, rewards, seeding, snapshots, names."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from palaestra.envs.conformance_bed import (
    Bed,
    Check,
    Record,
    Seen,
    Style,
    Violation,
    difference,
    shorten,
)
from palaestra.envs.core import TextEnv
from palaestra.errors import UnknownNameError

# Long enough for the step limit of most environments, short enough for one that has none to speak of.
MOST_STEPS = 500


def made(bed: Bed) -> Seen:
    """Make it once: with no environment there is nothing else to look at."""
    env = bed.make()
    return Seen(f"{type(env).__name__}, {len(env.tasks)} tasks")


def gymnasium_accepts(bed: Bed) -> Seen:
    """Let Gymnasium's own checker judge it."""
    env = bed.make()
    with bed.watched("gymnasium's check_env"):
        try:
            check_env(env)
        except AssertionError as error:
            raise Violation(f"check_env says: {error}") from error
    return Seen("check_env found nothing")


def spec_and_pickle(bed: Bed) -> Seen:
    """Send the spec through JSON, and spaces and a fresh environment through pickle."""
    env = bed.make()
    wanted = bed.play(env, bed.seed, limit=2)
    assert env.spec is not None
    try:
        again = EnvSpec.from_json(env.spec.to_json())
    except Exception as error:
        raise Violation(f"the spec does not survive JSON: {error}") from error
    with bed.watched("making the environment from its JSON spec"):
        remade = gymnasium.make(again, disable_env_checker=True)
    try:
        assert isinstance(remade.unwrapped, TextEnv)
        _agree("made from the JSON of its spec", wanted, bed.play(remade.unwrapped, bed.seed, limit=2))
    finally:
        remade.close()
    for name in ("observation_space", "action_space"):
        space = getattr(env, name)
        if _through_pickle(name, space) != space:
            raise Violation(f"{name} is another space after pickling")
    copied = _through_pickle("a fresh environment", bed.make())
    try:
        _agree("pickled and unpickled", wanted, bed.play(copied, bed.seed, limit=2))
    finally:
        copied.close()
    return Seen("the spec as JSON, both spaces and a fresh environment by pickle came back the same")


def _through_pickle(what: str, value: Any) -> Any:
    try:
        return pickle.loads(pickle.dumps(value))
    except Exception as error:
        raise Violation(f"{what} cannot be pickled: {type(error).__name__}: {error}") from error


def _agree(what: str, first: list[Record], second: list[Record]) -> None:
    if parted := difference(first, second):
        raise Violation(f"{what}: {parted}")


def episodes(bed: Bed) -> Seen:
    """Play with sensible text, junk and the expert: every text is answered with text, and episodes end."""
    count = steps = 0
    for env, records in _plays(bed):
        for record in records:
            if record.observation not in env.observation_space:
                raise Violation(
                    f"after {shorten(record.action)!r} the observation {shorten(record.observation)!r} "
                    f"({type(record.observation).__name__}) is not in the observation space"
                )
        if not records[-1].over and len(records) > env.max_steps:
            raise Violation(
                f"the episode goes on after {len(records) - 1} steps; max_steps is {env.max_steps}"
            )
        count, steps = count + 1, steps + len(records) - 1
    return Seen(f"{count} episodes, {steps} steps")


def _plays(bed: Bed) -> Iterator[tuple[TextEnv, list[Record]]]:
    """Yield episodes of each style of playing, so that both kinds of end are seen."""
    env = bed.make()
    styles: tuple[Style, ...] = ("mixed", "junk", "expert") if type(env).has_expert else ("mixed", "junk")
    for style in styles:
        for offset in range(2):
            yield env, bed.play(env, bed.seed + offset, style=style, limit=min(env.max_steps, MOST_STEPS))


def info_keys(bed: Bed) -> Seen:
    """Look at what every info must hold."""
    infos = 0
    for env, records in _plays(bed):
        for record in records:
            if problem := _info_problem(env, record):
                raise Violation(f"after the action {shorten(record.action)!r}: {problem}")
        infos += len(records)
    return Seen(f"{infos} infos hold task_id, goal and success")


def _info_problem(env: TextEnv, record: Record) -> str | None:
    info = record.info
    for key, kind in (("task_id", str), ("goal", str), ("success", bool)):
        if key not in info:
            return f"info has no {key!r}"
        if type(info[key]) is not kind:
            return f"info[{key!r}] is {shorten(info[key])!r}, not a {kind.__name__}"
    if info["task_id"] != env.task.id:
        return f"info['task_id'] is {info['task_id']!r}, but the task is {env.task.id!r}"
    if info["success"] and not record.over:
        return "info['success'] is True although the episode goes on"
    listed = info.get("admissible_actions", [])
    if not (isinstance(listed, list) and all(isinstance(action, str) for action in listed)):
        return f"info['admissible_actions'] is {shorten(listed)!r}, not a list of strings"
    if type(env).siblings and not env.task.scenario:
        return f"siblings is True, but the task {env.task.id!r} has no scenario"
    return _metrics_problem(info.get("metrics", {}))


def _metrics_problem(metrics: object) -> str | None:
    if not isinstance(metrics, Mapping):
        return f"info['metrics'] is {shorten(metrics)!r}, not a mapping"
    for name, value in metrics.items():
        if not (isinstance(name, str) and isinstance(value, int | float) and math.isfinite(value)):
            return f"info['metrics'] has {shorten(name)!r}: {shorten(value)!r}, no name with a finite number"
    return None


def rewards(bed: Bed) -> Seen:
    """Look at every reward: a finite number in [0, 1], and 0 before the episode ends."""
    seen: set[float] = set()
    for _, records in _plays(bed):
        for number, record in enumerate(records):
            reward = record.reward
            if isinstance(reward, bool) or not isinstance(reward, int | float | np.number):
                raise Violation(f"step {number} paid {reward!r}, which is not a number")
            if not (math.isfinite(reward) and 0.0 <= reward <= 1.0):
                raise Violation(f"step {number} paid {reward!r}, which is not finite and in [0, 1]")
            if reward != 0.0 and not record.over:
                raise Violation(f"step {number} paid {reward!r} although the episode goes on")
            seen.add(float(reward))
    return Seen("paid " + ", ".join(f"{reward:g}" for reward in sorted(seen)))


def flags(bed: Bed) -> Seen:
    """Look at the two flags, and at steps where no episode is live."""
    _refuses_step(bed, bed.make(), "before the first reset")
    ends = {"terminated": 0, "truncated": 0}
    for env, records in _plays(bed):
        for number, record in enumerate(records):
            for name in ends:
                if type(getattr(record, name)) is not bool:
                    raise Violation(f"step {number}: {name} is {getattr(record, name)!r}, not a bool")
            if record.terminated and record.truncated:
                raise Violation(f"step {number} sets both terminated and truncated")
        if records[-1].over:
            ends["terminated" if records[-1].terminated else "truncated"] += 1
            _refuses_step(bed, env, "after the end of an episode")
    return Seen(f"{ends['terminated']} episodes terminated, {ends['truncated']} were truncated")


def _refuses_step(bed: Bed, env: TextEnv, when: str) -> None:
    try:
        bed.step(env, "look")
    except ResetNeeded:
        return
    raise Violation(f"a step {when} is answered; it must raise gymnasium.error.ResetNeeded")


def same_seed(bed: Bed) -> Seen:
    """Play the same seeds in two fresh environments: same tasks, observations, infos."""
    seeds = range(bed.seed, bed.seed + 4)
    for seed in seeds:
        _agree(f"seed {seed} played twice", bed.play(bed.make(), seed), bed.play(bed.make(), seed))
    return Seen(f"{len(seeds)} seeds gave the same episodes twice")


def independent(bed: Bed) -> Seen:
    """Play a seed after other episodes, and with another environment at work in between."""
    seed = bed.seed + 1
    wanted = bed.play(bed.make(), seed)
    used = bed.make()
    for other in range(seed + 1, seed + 4):
        bed.play(used, other)
    _agree("played after other episodes", wanted, bed.play(used, seed))
    actions = [record.action for record in wanted if record.action is not None]
    alone, other = _stepwise(bed, seed, actions, None), _stepwise(bed, seed, actions, bed.make())
    _agree("with another environment at work in between", alone, other)
    return Seen("earlier episodes and another environment changed nothing")


def _stepwise(bed: Bed, seed: int, actions: list[str], between: TextEnv | None) -> list[Record]:
    env = bed.make()
    records = bed.play(env, seed, limit=0)
    for action in actions:
        if between is not None:
            bed.play(between, seed + 9, limit=2)
        records += bed.repeat(env, [action])
    return records


def global_generators_alone(bed: Bed) -> Seen:
    """Compare the state of the global generators before and after, then play under two different ones."""

    def played() -> list[Record]:
        env = bed.make()
        observation, info = bed.reset(env, bed.seed)
        records = [Record(None, observation, 0.0, False, False, info)]
        for action in (info.get("admissible_actions") or ["hello?"])[:1] * 4:
            if not records[-1].over:
                records.append(bed.step(env, action))
        # The expert too: cold-start data is made by it.
        if type(env).has_expert and not records[-1].over:
            with bed.watched("expert()"):
                action = env.expert()
            records.append(bed.step(env, action))
        bed.close(env)
        return records

    plays = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)
        before = random.getstate(), pickle.dumps(np.random.get_state())
        plays.append(played())
        touched = [
            name
            for name, old, new in zip(
                ("random", "numpy.random"),
                before,
                (random.getstate(), pickle.dumps(np.random.get_state())),
                strict=True,
            )
            if old != new
        ]
        if touched:
            raise Violation(
                f"an episode seeded, or drew from, the global generator of {' and '.join(touched)}"
            )
    _agree("played under two states of the global generators", *plays)
    return Seen("neither written nor read")


def groups(bed: Bed) -> Seen:
    """Begin one task with one seed in several environments, and again in one that has played."""
    instances = [bed.make() for _ in range(3)]
    tasks = bed.task_ids(instances[0], salt=1)[:5]
    for task in tasks:
        starts = [bed.play(env, bed.seed, task=task, limit=0) for env in instances]
        bed.play(instances[0], bed.seed + 1, limit=5)
        starts.append(bed.play(instances[0], bed.seed, task=task, limit=0))
        for start in starts[1:]:
            _agree(f"task {task!r} begun again with the same seed", starts[0], start)
    return Seen(f"{len(tasks)} tasks began alike four times each")


def snapshots(bed: Bed) -> Seen:
    """Go back to the middle of an episode, in the same environment and in a fresh one, and go on alike."""
    styles: tuple[Style, ...] = ("mixed", "expert") if type(env := bed.make()).has_expert else ("mixed",)
    places = 0
    for style in styles:
        actions = [record.action or "" for record in bed.play(env, bed.seed, style=style)[1:]]
        for place in sorted({0, len(actions) // 2, len(actions) - 1}):
            _comes_back(bed, actions[:place], actions[place:])
            places += 1
    return Seen(f"{places} snapshots taken, each restored twice")


def _comes_back(bed: Bed, before: list[str], after: list[str]) -> None:
    env = bed.make()
    bed.play(env, bed.seed, limit=0)
    bed.repeat(env, before)
    with bed.watched("snapshot()"):
        snapshot = env.snapshot()
    wanted = bed.repeat(env, after)
    for where, other in (("the same environment", env), ("a fresh environment", bed.make())):
        with bed.watched("restore()"):
            observation, _ = other.restore(snapshot)
        if observation != snapshot.observation:
            raise Violation(f"restore() in {where} returned {shorten(observation)!r} as the observation")
        _agree(f"restored after {len(before)} steps in {where}", wanted, bed.repeat(other, after))


def unknown_names(bed: Bed) -> Seen:
    """Misspell an option, a split, a task and a reset option: each is a typed error with the nearest name."""
    env = bed.make()
    tried = []
    if known := env.options():
        wrong = _misspelt(known[0], known)
        _names_nearest(f"the option {wrong!r}", known[0], lambda: bed.make(**{wrong: 1}))
        tried.append("option")
    if "split" in known:
        right = type(env).splits[0]
        wrong = _misspelt(right, type(env).splits)
        _names_nearest(f"the split {wrong!r}", right, lambda: bed.make(split=wrong))
        tried.append("split")
    wrong = _misspelt(task := env.tasks[0].id, ())
    _names_nearest(f"the task {wrong!r}", task, lambda: bed.reset(env, 0, wrong))
    _names_nearest("the reset option 'taskk'", "task", lambda: env.reset(options={"taskk": task}))
    return Seen(f"misspelt {', '.join([*tried, 'task', 'reset option'])}: each error names the nearest")


def _misspelt(name: str, known: Any) -> str:
    wrong = name + name[-1:]
    return wrong if wrong not in known else wrong + "_"


def _names_nearest(what: str, right: str, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except UnknownNameError as error:
        if right not in str(error):
            raise Violation(f"{what}: the error does not name {right!r}: {error}") from error
        return
    except Exception as error:
        raise Violation(f"{what} raised {type(error).__name__}, not UnknownNameError: {error}") from error
    raise Violation(f"{what} was accepted without a word")


CONTRACT_CHECKS = (
    Check(
        "make",
        made,
        "gym.make(id, **options) returns a TextEnv.",
        "Make the class importable under its entry point and let __init__ call super().__init__(tasks, ...).",
    ),
    Check(
        "gymnasium",
        gymnasium_accepts,
        "gymnasium.utils.env_checker.check_env accepts the environment.",
        "Leave reset and step to TextEnv, draw from self.np_random only, and let _info build a new dict.",
    ),
    Check(
        "episodes",
        episodes,
        "step answers every text with a text of the observation space, and an episode ends by max_steps.",
        "Answer an action that makes no sense with a text that says so; let no input raise in _apply.",
    ),
    Check(
        "info",
        info_keys,
        "Every info holds task_id (str), goal (str) and success (bool, True only at the end). Metrics, where "
        "there are any, are finite numbers, and a task of siblings has a scenario.",
        "Add to info by overriding _info; do not override reset or step, nor remove keys in a wrapper.",
    ),
    Check(
        "rewards",
        rewards,
        "A reward is a finite number in [0, 1], and 0 until the step that ends the episode.",
        "Return a Verdict from _verify and leave paying it to TextEnv; shaping is a wrapper's business.",
    ),
    Check(
        "flags",
        flags,
        "terminated and truncated are bools and never both True; a step without a live episode raises.",
        "Return over=True from _apply only when the task ended; TextEnv truncates at max_steps by itself.",
    ),
    Check(
        "same seed",
        same_seed,
        "The same seed gives the same task, observations and infos.",
        "Draw everything random from self.np_random, and iterate over sorted collections, not over sets.",
    ),
    Check(
        "spec and pickle",
        spec_and_pickle,
        "The spec survives JSON, and spaces and a fresh environment survive pickle, unchanged: panels, "
        "records and worker processes depend on it.",
        "Take plain values as options, and open files, processes and connections in _start, not in __init__.",
        needs="same seed",
    ),
    Check(
        "independence",
        independent,
        "An episode depends neither on earlier episodes nor on other environments of the process.",
        "Set the whole state up anew in _start, and keep no changing state in the class or the module.",
        needs="same seed",
    ),
    Check(
        "global generators",
        global_generators_alone,
        "random and numpy.random are neither seeded nor drawn from: they belong to the user.",
        "Use self.np_random; pass a generator of your own to libraries that take one.",
        needs="same seed",
    ),
    Check(
        "groups",
        groups,
        "One task and one seed give one first observation, in every environment and at every time: "
        "group-relative algorithms compare episodes that began alike.",
        "Let _start depend on the task and self.np_random alone, also when reset names the task.",
        needs="same seed",
    ),
    Check(
        "snapshots",
        snapshots,
        "restore(snapshot()) goes on as the original did, also in a fresh environment.",
        "Let _save return a copy of everything that _apply and _verify look at, and _load take all of it "
        "back; without _save the actions are replayed.",
        needs="same seed",
    ),
    Check(
        "unknown names",
        unknown_names,
        "An unknown option, split or task raises UnknownNameError, which names the nearest one.",
        "Pass **unknown on to TextEnv.__init__, and raise UnknownNameError(kind, name, known) for the rest.",
    ),
)
