"""ACT, agentic critical training: learn by RL which of two actions is better, then imitate or act.

Source: Agentic Critical Training (arXiv 2603.08706, 2026). Nobody published its code; what is not in the
paper (numbers of alternatives and tries, the optimiser) is our choice and a setting here.

1. Judge data: at every state s of an expert's demonstrations, K actions are sampled from the *initial*
   policy. Those that equal the expert's a+, repeat another or have no usable form are dropped; each that is
   left is paired with a+, in random order.
2. ``act``: GRPO on "which is better?" from the prompt of s, with
   ``R = R_acc + R_adm + R_fmt``: 1 for a+; 0.1 for another action that can be carried out; -0.5 for an answer
   of the wrong form. The answer is the action's text. Advantages are (R - mean) / std within the tries at one
   comparison, the loss is the clipped one of GRPO.
3. ``il``: imitate the demonstrations, or ``rl``: GRPO with the same R at the expert's states, where the
   policy is asked nothing and acts. One action each; the environment is not played on.

The first version of the paper has ``act`` and then ``il`` or ``rl`` (orders "v1-il", "v1-rl"), the second
warms up by ``act``, imitates, and may go on by ``rl`` ("v2"). A tiny policy trained from nothing follows no
instructions: ``introduction``, which is ours, first teaches it to answer such a question by one of the two.
Each stage is a run of its own in ``stages``, which a killed run resumes where it was. No training takes steps
in the environment, beyond the expert's.

With ``thought`` the policy reasons before it answers. The expert's actions, those imitated and those in a
question's history, then follow an empty thought, as it has none: that keeps the form, but teaches to answer
without reasoning.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from palaestra.agents.episode import Episode
from palaestra.agents.policies.core import Policy, Sampling
from palaestra.agents.rollout import Actor, Agent, Job, RolloutSettings, rollout
from palaestra.errors import OptionError, UnknownNameError
from palaestra.trainers import grpo, sft
from palaestra.trainers.core import instructions
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.judging import (
    Comparison,
    Negatives,
    Question,
    Reading,
    State,
    act_question,
    comparisons,
    gather,
    judge_question,
    judgement_metrics,
    neutral_comparisons,
    rehearsals,
    retrace,
    shuffled_labels,
)
from palaestra.trainers.core.learner import Learner, Metrics
from palaestra.trainers.core.online import MAY_CHANGE, mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy, resumed_policy, trainable_policy
from palaestra.trainers.core.run import Run

Order = Literal["v1-il", "v1-rl", "v2", "introduction", "act", "il", "rl"]
# The order of a run is settled by its options, and so is how many updates its stages have.
_MAY_CHANGE = tuple(name for name in MAY_CHANGE if name not in ("iterations", "environment_steps"))

ORDERS: dict[str, tuple[str, ...]] = {
    "v1-il": ("act", "il"),
    "v1-rl": ("act", "rl"),
    "v2": ("act", "il", "rl"),
    "introduction": ("introduction",),
    "act": ("act",),
    "il": ("il",),
    "rl": ("rl",),
}

# Settings that one stage alone reads.
_ONLY_OF = {
    "introduction": ("introduction",),
    "act": ("iterations", "pairs_per_state", "negatives", "shuffled_labels", "judging"),
    "il": ("il_epochs", "il_batch_tokens", "il_auxiliary_coefficient"),
    "rl": ("rl_iterations",),
}

# Published are the orders, the rewards, two candidates in random order and 10,240 judge examples (ALFWorld),
# but not the optimisers' settings and the numbers of demonstrations, alternatives and tries.
_PUBLISHED: dict[str, object] = {
    "introduction": 0,
    "thought": True,
    "system": instructions.HOUSEHOLD,  # our words
    "iterations": 80,  # x 128 = 10,240 judge examples, which is one pass if there are as many pairs
    # Our choice: with 9.4 actions an episode (the mean of 512 generated games) and two pairs a state, as many
    # as 10,240 pairs need. A policy that often does what the expert does leaves fewer.
    "demonstrations": 545,
    "tasks_per_iteration": 128,  # our choice
    "group_size": 8,  # our choice
    "alternatives": 4,  # our choice
    "pairs_per_state": 2,  # our choice
    "learning_rate": 1e-6,  # our choice
    "imitation_learning_rate": 1e-5,  # our choice; in v1-rl for judging=sft and introduction, if switched on
    "kl_coefficient": 0.001,  # our choice
    "max_new_tokens": 2048,  # our choice
    "max_context_tokens": 16384,  # our choice
    "device": "cuda",
}
_PUBLISHED_IL: dict[str, object] = {
    "il_epochs": 3,  # our choice
    "il_batch_tokens": 8192,  # our choice
    "il_auxiliary_coefficient": 0.0,
}
_PUBLISHED_RL: dict[str, object] = {"rl_iterations": 80}  # our choice: two passes over the states

# One for each published order, since an order refuses the settings of stages that it does not have.
PRESETS: dict[str, dict[str, object]] = {
    "published": {"order": "v2", **_PUBLISHED, **_PUBLISHED_IL, **_PUBLISHED_RL},
    "published-v1-il": {"order": "v1-il", **_PUBLISHED, **_PUBLISHED_IL},
    "published-v1-rl": {"order": "v1-rl", **_PUBLISHED, **_PUBLISHED_RL},
}


@dataclass(frozen=True)
class Config(grpo.Config):
    """Learn to tell the expert's action from the policy's own, then to act. The same command again resumes
    the run in the stage where it was.
    """

    out: Path = Path("runs/act")
    """The run directory. The trained policy is left in its folder `policy`."""
    order: Order = "v1-il"
    """The stages: act, then il or rl (v1-il, v1-rl), act, il and rl (v2), or one of them alone."""

    demonstrations: int = 200
    """Expert episodes, the same ones for all stages. Each has another task while there are enough."""
    noise: float = 0.0
    """Share of the expert's actions replaced by random ones, which are shown but not learnt."""

    iterations: int = 100
    """Updates of the stage act."""
    introduction: int = 60
    """Updates before act that teach a policy which never saw such a question to name one of the two, either
    as often; 0 for policies that follow instructions."""
    alternatives: int = 4
    """Actions sampled from the initial policy at each state (K)."""
    pairs_per_state: int = 2
    """At most so many of them are compared with the expert's."""
    negatives: Negatives = "policy"
    """What the expert's action is compared with: the policy's own, or (as a control) random ones."""
    shuffled_labels: bool = False
    """Say at random which candidate is right: the control that must teach nothing."""
    judging: Literal["grpo", "sft"] = "grpo"
    """How judging is learnt: by tries and rewards, or (as a control) by imitating the right answer."""
    held_out: int = 20
    """Expert episodes of `eval_options` (else of other tasks) whose states measure the judgement; 0: none."""

    rl_iterations: int = 100
    """Updates of the stage rl."""
    admissible_reward: float = 0.1
    """R_adm: what an action earns that can be carried out and is not the expert's."""
    format_penalty: float = 0.5
    """What an answer of the wrong form costs (-R_fmt)."""

    il_epochs: int = 4
    """How often the stage il goes over the demonstrations."""
    il_batch_tokens: int = 2048
    """Tokens of an optimiser step of il, about."""
    imitation_learning_rate: float = 1e-3
    """The learning rate of whatever is learnt by imitation: il (the highest), introduction, judging=sft."""
    il_auxiliary_coefficient: float = 0.3
    """Weight of predicting the observations too, in il."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order not in ORDERS:
            raise UnknownNameError("order", self.order, ORDERS)
        if self.order == "introduction" and not self.introduction:
            raise OptionError("order='introduction' needs introduction >= 1: the updates of its only stage")
        require_positive(self, ("demonstrations", "alternatives", "pairs_per_state"))
        require_positive(self, ("rl_iterations", "il_epochs", "il_batch_tokens", "imitation_learning_rate"))
        require_positive(
            self, ("introduction", "held_out", "admissible_reward", "format_penalty"), or_zero=True
        )
        one_action = "every try is one answer, and the environment is not played on"
        refuse_idle(
            self, ("environment_steps", "gigpo_omega", "baseline", "invalid_action_penalty"), one_action
        )
        self._refuse_of_other_stages()

    def _refuse_of_other_stages(self) -> None:
        for stage, names in _ONLY_OF.items():
            if stage not in ("introduction" if "act" in self.stages else "", *self.stages):
                refuse_idle(self, names, f"order={self.order!r} has no stage {stage}")
        if not {"introduction", "act"} & {*self.stages}:
            refuse_idle(self, ("alternatives", "held_out"), f"order={self.order!r} asks for no judgement")
        if not ("rl" in self.stages or ("act" in self.stages and self.judging == "grpo")):
            names = ("group_size", "admissible_reward", "format_penalty")
            refuse_idle(self, names, "nothing in this run is learnt by tries and rewards")

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages, in order."""
        stages = ORDERS[self.order]
        return ("introduction", *stages) if self.introduction and "act" in stages else stages

    @property
    def reading(self) -> Reading:
        """How the policy is shown things and read."""
        return Reading(**self._shared_with(Reading))

    def imitating(self, out: Path, policy: str) -> sft.Config:
        """Return the settings of the stage il; its expert episodes are the demonstrations of all stages."""
        return sft.Config(
            **self._shared_with(sft.Config)
            | {
                "out": out,
                "policy": policy,
                "episodes": self.demonstrations,
                "epochs": self.il_epochs,
                "batch_tokens": self.il_batch_tokens,
                "learning_rate": self.imitation_learning_rate,
                "auxiliary_coefficient": self.il_auxiliary_coefficient,
            }
        )

    def answering(self, out: Path, policy: str, iterations: int, *, imitating: bool = False) -> grpo.Config:
        """Return the settings of a stage of single answers, as those of a run of GRPO."""
        given = self._shared_with(grpo.Config) | {"out": out, "policy": policy, "iterations": iterations}
        if imitating:
            given["learning_rate"] = self.imitation_learning_rate
        return grpo.Config(**given)

    def _shared_with(self, other: type[Any]) -> dict[str, Any]:
        names = {field.name for field in dataclasses.fields(other)}
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name in names}


# ---- a single question and its answer --------------------------------------------------------------------


def reward(
    answer: str,
    question: Question,
    formed: bool,
    *,
    admissible_reward: float = 0.1,
    format_penalty: float = 0.5,
) -> float:
    """Return R = R_acc + R_adm + R_fmt of an answer.

    An answer of the wrong form names no action, so it has the penalty alone. R_adm is for actions that are
    not the right one; letters count, since the environment takes no others.
    """
    if not formed:
        return -format_penalty
    accuracy = float(answer == question.right)
    admissible = admissible_reward if not accuracy and answer in question.valid else 0.0
    return accuracy + admissible


def answerer(
    questions: Sequence[Question],
    reading: Reading,
    sampling: Sampling,
    admissible_reward: float = 0.1,
    format_penalty: float = 0.5,
) -> Agent:
    """Return an agent that answers one question (its number is the job's tag ``question``) and stops.

    All tries at a question see the same ids. The environment is not acted on, so the reward is the episode's
    alone; the tag ``answer`` holds the action that was named.
    """

    async def agent(actor: Actor) -> None:
        question = questions[actor.job.tags["question"]]
        history = reading.history(actor.tokenizer, actor.context_tokens)
        ids = question.prompt(history, reading, sampling.max_tokens)
        actor.observation = f"{question.state.observations[-1]}\n{question.asked}".strip()
        completion = await actor.generate(ids, sampling)
        answer, formed = reading.answer(actor.tokenizer, completion)
        episode = actor.episode
        episode.tags |= {"answer": answer, "formed": formed, "admissible": answer in question.valid}
        episode.reward = reward(
            answer,
            question,
            formed,
            admissible_reward=admissible_reward,
            format_penalty=format_penalty,
        )
        episode.success = formed and answer == question.right
        episode.outcome = "terminated"

    agent.__name__ = "answer"
    return agent


def examine(
    held_out: Sequence[Comparison], config: Config, policy: Policy, settings: RolloutSettings
) -> Metrics:
    """Let ``policy`` judge every comparison in both orders, greedily; return ``judgement_metrics``."""
    shown = [comparison for pair in held_out for comparison in (pair, pair.swapped())]
    questions = [judge_question(comparison, thought=config.thought) for comparison in shown]
    agent = answerer(questions, config.reading, Sampling(temperature=0.0, max_tokens=config.max_new_tokens))
    jobs = [Job(question.state.item, tags={"question": number}) for number, question in enumerate(questions)]
    answers = [str(episode.tags.get("answer", "")) for episode in rollout(jobs, agent, policy, settings)]
    found = judgement_metrics(list(zip(held_out, answers[::2], answers[1::2], strict=True)))
    return {f"judge/{name}": value for name, value in found.items()}


def in_passes(questions: int, begin: int, end: int, seed: int) -> list[int]:
    """Return what stands at the places from ``begin`` to ``end`` of endless passes over so many questions.

    A pass is a permutation of all their numbers, and a function of ``seed`` and the number of the pass.
    """
    first = begin // questions
    numbers: list[int] = []
    for number in range(first, -(-end // questions)):
        # Four words, so that no other stream of a run, whose seeds have three at most, is the same.
        numbers += np.random.default_rng([seed, number, 0, 1]).permutation(questions).tolist()
    return numbers[begin - first * questions : end - first * questions]


class Answering(grpo.GRPO[grpo.Config]):
    """GRPO on single answers: the tasks are ``questions``, the tries are what the policy says to them."""

    def __init__(
        self,
        config: grpo.Config,
        policy: TrainablePolicy,
        learner: Learner,
        questions: Sequence[Question],
        whole: Config,
        examination: Callable[[TrainablePolicy], Metrics] | None = None,
    ) -> None:
        super().__init__(config, policy, learner)
        self.questions = questions
        self.examination = examination
        self._reading = whole.reading
        sampling = Sampling(max_tokens=config.max_new_tokens)
        self._agent = answerer(
            questions, self._reading, sampling, whole.admissible_reward, whole.format_penalty
        )

    def play(self, jobs: Sequence[Job], agent: Agent | None = None) -> list[Episode]:
        """Answer, unless another agent is given (that of the evaluation)."""
        return super().play(jobs, agent or self._agent)

    def jobs(self, iteration: int, round_number: int = 0, tasks: int | None = None) -> list[Job]:
        """Ask the ``chosen`` questions; each time other seeds sample the tries."""
        generator = np.random.default_rng([self.config.seed, iteration, round_number])
        return [
            Job(
                replace(self.questions[number].state.item, seed=int(seed)),
                group=f"{iteration}.{round_number}.{rank}",
                attempt=attempt,
                tags={"question": number},
            )
            for rank, number in enumerate(self.chosen(iteration, round_number, tasks))
            for seed in [generator.integers(2**31)]
            for attempt in range(self.config.group_size)
        ]

    def chosen(self, iteration: int, round_number: int = 0, tasks: int | None = None) -> list[int]:
        """Return the numbers of the questions of an iteration.

        Its round 0 takes the next ``tasks_per_iteration`` of endless passes over all questions, each pass in
        another order. Further rounds (``resampling_rounds``) stand in for questions whose tries were all
        alike. They take others than the iteration asked so far, at random, while there are any, and do not
        move the passes on, so that nothing depends on how many rounds earlier iterations needed.
        """
        size, count, seed = self.config.tasks_per_iteration, len(self.questions), self.config.seed
        tasks = size if tasks is None else tasks
        begin = (iteration - 1) * size
        if not round_number:
            return in_passes(count, begin, begin + tasks, seed)
        asked = set(in_passes(count, begin, begin + size, seed))
        shuffled = np.random.default_rng([seed, iteration, 0, 2]).permutation(count).tolist()
        others = [number for number in shuffled if number not in asked] or shuffled
        # No round asks more than round 0, so places of this width never meet.
        place = (round_number - 1) * size
        return [others[at % len(others)] for at in range(place, place + tasks)]

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return rows and metrics of GRPO, and what kinds of answers there were."""
        rows, metrics = super().credit(iteration, episodes)
        judged = [episode for episode in episodes if not episode.failed]
        return rows, metrics | {
            "answers/formed_share": mean([bool(e.tags.get("formed")) for e in judged]),
            "answers/admissible_share": mean([bool(e.tags.get("admissible")) for e in judged]),
        }

    def evaluate(self) -> Metrics:
        """Play the evaluation's tasks; examine the judgement too where there are held-out states."""
        return super().evaluate() | (self.examination(self.policy) if self.examination else {})


class Imitating(Answering):
    """The control without tries: the right answers to the same questions are imitated."""

    def collect(self, iteration: int) -> list[Episode]:
        """Sample nothing."""
        return []

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the right answer to each of the iteration's questions as a row to imitate."""
        return [self.row(self.questions[number]) for number in self.chosen(iteration)], {}

    def row(self, question: Question) -> Row:
        """Return prompt and right answer (after an empty thought, if any), the latter to be imitated."""
        reading, tokenizer = self._reading, self.policy.tokenizer
        right = reading.written(tokenizer, question.right).ids
        ids = question.prompt(reading.history(tokenizer), reading, len(right))
        sampled = [False] * len(ids) + [True] * len(right)
        return Row(
            ids + right, sampled, [0.0] * len(sampled), imitation=[float(taught) for taught in sampled]
        )


# ---- the stages ------------------------------------------------------------------------------------------


class Lessons:
    """What the stages of one run learn from, made when first asked for.

    ``states`` are those of the demonstrations, ``pairs`` the comparisons to learn from and ``held_out`` those
    that measure the judgement. All are functions of the settings and the initial policy; what had to be
    played is kept in the run directory.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = RolloutSettings(
            concurrency=config.concurrency, max_failure_rate=config.max_failure_rate
        )
        self._judges = bool({"introduction", "act"} & {*config.stages})

    @cached_property
    def demonstrations(self) -> list[Episode]:
        """The expert's episodes, the very ones that il imitates."""
        return sft.expert_episodes(self.config.imitating(self.config.out, self.config.policy))

    @cached_property
    def states(self) -> list[State]:
        """The states of the demonstrations, with what the initial policy would do where that is needed."""
        return self._retraced(self.demonstrations, "demonstrations.jsonl")

    @cached_property
    def pairs(self) -> list[Comparison]:
        """The comparisons that act learns from."""
        config = self.config
        pairs = comparisons(
            self.states,
            np.random.default_rng([config.seed, 1]),
            per_state=config.pairs_per_state,
            negatives=config.negatives,
        )
        if not config.shuffled_labels:
            return pairs
        return shuffled_labels(pairs, np.random.default_rng([config.seed, 2]))

    @cached_property
    def held_out(self) -> list[Comparison]:
        """One comparison, true and with the policy's own action, at each state of tasks not learnt from."""
        config = self.config
        if not (self._judges and config.held_out):
            return []
        others = replace(
            config.imitating(config.out, config.policy),
            options=config.eval_options or config.options,
            episodes=config.held_out,
            seed=config.seed + 1,
        )
        learnt = {(shown.task_id, str(shown.options)) for shown in self.demonstrations}
        shown = [e for e in sft.expert_episodes(others) if (e.task_id, str(e.options)) not in learnt]
        states = self._retraced(shown, "held-out.jsonl")
        return comparisons(states, np.random.default_rng([config.seed, 3]), per_state=1)

    def _retraced(self, demonstrations: Sequence[Episode], name: str) -> list[State]:
        config = self.config
        sampling = Sampling(max_tokens=config.max_new_tokens)
        agent = retrace(demonstrations, config.alternatives if self._judges else 0, config.reading, sampling)
        policy = _loaded(config, trainable_policy(config.policy))
        return gather(demonstrations, agent, policy, config.out / name, self.settings)

    def examine(self, policy: Policy) -> Metrics:
        """Examine the judgement of ``policy``, where there are held-out states."""
        return examine(self.held_out, self.config, policy, self.settings) if self.held_out else {}


def introduction_stage(lessons: Lessons, policy: str, out: Path) -> Path:
    """Learn to name one of two actions, which are any two and either as often right; meanwhile imitate what
    the initial policy would do, so that it is not unlearnt. Neither tells anything about the expert.
    """
    config = lessons.config
    pairs = neutral_comparisons(lessons.states, np.random.default_rng([config.seed, 4]))
    asked = [judge_question(pair, thought=config.thought) for pair in pairs]
    own = rehearsals(lessons.states)
    chosen = np.random.default_rng([config.seed, 5]).permutation(len(own))[: len(asked)]
    questions = [*asked, *(own[number] for number in chosen.tolist())]

    def make(settings: grpo.Config, policy: TrainablePolicy, learner: Learner) -> Answering:
        return Imitating(settings, policy, learner, questions, config, lessons.examine)

    return run("act-introduction", config.answering(out, policy, config.introduction, imitating=True), make)


def judge_stage(lessons: Lessons, policy: str, out: Path) -> Path:
    """Learn which of two actions is better."""
    config = lessons.config
    questions = [judge_question(pair, thought=config.thought) for pair in lessons.pairs]
    trainer = Answering if config.judging == "grpo" else Imitating

    def make(settings: grpo.Config, policy: TrainablePolicy, learner: Learner) -> Answering:
        return trainer(settings, policy, learner, questions, config, lessons.examine)

    imitating = config.judging == "sft"
    return run("act-judge", config.answering(out, policy, config.iterations, imitating=imitating), make)


def imitation_stage(lessons: Lessons, policy: str, out: Path) -> Path:
    """Imitate the demonstrations."""
    return sft.train(lessons.config.imitating(out, policy))


def acting_stage(lessons: Lessons, policy: str, out: Path) -> Path:
    """Learn to act at the expert's states, from the reward of single actions."""
    config = lessons.config
    questions = [act_question(state) for state in lessons.states]

    def make(settings: grpo.Config, policy: TrainablePolicy, learner: Learner) -> Answering:
        return Answering(settings, policy, learner, questions, config)

    return run("act-rl", config.answering(out, policy, config.rl_iterations), make)


_STAGES = {"introduction": introduction_stage, "act": judge_stage, "il": imitation_stage, "rl": acting_stage}


def train(config: Config) -> Path:
    """Run the stages (or go on in the one that was interrupted) and return the run directory.

    The metrics of the stages stand in its metrics.jsonl one after the other, as each ends, by the number of
    updates so far; those of a stage under way in ``stages``. Raises ``OptionError`` for settings that cannot
    be used or differ from those that the run was begun with.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with Run(config.out, "act", config, free=_MAY_CHANGE, keep=len(config.stages)) as directory:
        lessons = Lessons(config)
        done = int(directory.resumed.state["stages"]) if directory.resumed else 0
        folder = directory.resumed.policy if directory.resumed else None
        steps = directory.step
        if not (config.out / "metrics.jsonl").stat().st_size:
            directory.log(0, lessons.examine(_loaded(config, trainable_policy(config.policy))))
        for number, stage in enumerate(config.stages[done:], done + 1):
            began_with = _named_like(config.policy, folder) if folder else config.policy
            place = _STAGES[stage](lessons, began_with, config.out / "stages" / f"{number}-{stage}")
            policy = _loaded(config, resumed_policy(config.policy, place / "policy"))
            steps = _take_over(directory, steps, number, place)
            directory.log(steps, {"stage": number, **lessons.examine(policy)})
            folder = directory.save(steps, policy, {}, {"stages": number}) / "policy"
        assert folder is not None
        resumed_policy(config.policy, folder).save(config.out / "policy")
    return config.out


def _take_over(directory: Run, steps: int, number: int, place: Path) -> int:
    """Log what the stage in ``place`` logged, after ``steps`` updates; return how many there are now."""
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    last = 0
    for line in lines:
        last = line.pop("step")
        values = {name: math.nan if value is None else value for name, value in line.items()}
        directory.log(steps + last, {"stage": number, **values})
    return steps + last


def _named_like(name: str, folder: Path) -> str:
    kind = "hf" if name == "smollm2" or name.startswith("hf:") else "tiny"
    return f"{kind}:{folder.resolve()}"


def _loaded(config: Config, policy: TrainablePolicy) -> TrainablePolicy:
    policy.model.to(config.device)
    return policy
