"""The environment contract: ``Task``, ``TaskSet``, ``Verdict`` and ``TextEnv``.

An author of an environment subclasses ``TextEnv`` and writes three short methods:

* ``_start(task)``   set the state up and return the first observation,
* ``_apply(action)`` make one transition and return ``(observation, over)``,
* ``_verify()``      judge the final state, as a pure function of task and state.

The base class does the rest: seeding, choosing the task, the step limit, paying the reward once at the
end, ``info``, snapshots, and typed errors. Everything random comes from ``self.np_random``.
"""

from __future__ import annotations

import copy
import inspect
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import gymnasium

from palaestra.envs.spaces import Unicode
from palaestra.errors import ContractError, OptionError, UnknownNameError

Info = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do: what is asked, which split it belongs to, and the data its environment needs.

    ``scenario`` names the family of sibling tasks (a task type, a template); skill methods group by it.
    """

    id: str
    goal: str
    split: str
    scenario: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class TaskSet(Sequence[Task]):
    """A sequence of tasks of one split, loaded or generated; item ``i`` never depends on another item.

    Subclasses give ``__len__`` and ``task(index)``. ``find`` turns an id into a task; the default looks
    through all of them once, so generated sets override ``index_of`` with the inverse of their naming.
    """

    _indices: dict[str, int] | None = None

    @abstractmethod
    def task(self, index: int) -> Task:
        """Return task ``index``, with ``0 <= index < len(self)``."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self.task(i) for i in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(f"task {index} of {len(self)}")
        return self.task(position)

    def __iter__(self) -> Iterator[Task]:
        return (self.task(i) for i in range(len(self)))

    def index_of(self, task_id: str) -> int | None:
        """Return the index of the task with this id, or None."""
        if self._indices is None:
            self._indices = {task.id: i for i, task in enumerate(self)}
        return self._indices.get(task_id)

    def find(self, task_id: str) -> Task:
        """Return the task with this id; raises ``UnknownNameError`` with the nearest id."""
        index = self.index_of(task_id)
        if index is None:
            raise UnknownNameError("task", task_id, (self.task(i).id for i in range(min(len(self), 2000))))
        return self.task(index)


class ListTaskSet(TaskSet):
    """Tasks held in memory."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            raise OptionError("a task set needs at least one task")
        self._tasks = list(tasks)
        self._indices = {task.id: i for i, task in enumerate(self._tasks)}
        if len(self._indices) != len(self._tasks):
            raise OptionError("task ids must be unique within a set")

    def __len__(self) -> int:
        return len(self._tasks)

    def task(self, index: int) -> Task:
        """Return task ``index``."""
        return self._tasks[index]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the verifier found: a finite reward in [0, 1], success, and the named checks behind them."""

    reward: float
    success: bool
    checks: Mapping[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reward) and 0.0 <= self.reward <= 1.0):
            raise ContractError(f"a verdict's reward must be finite and in [0, 1], not {self.reward!r}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A point of an episode to return to.

    ``state`` is the environment's own copy of its state, or None: then the actions are replayed.
    """

    task: Task
    generator_state: Mapping[str, Any]
    actions: tuple[str, ...]
    observation: str
    live: bool
    state: Any = None


class TextEnv(gymnasium.Env[str, str]):
    """Base of every Palaestra environment: text in, text out, one verified reward at the end.

    ``step`` pays 0 until the episode ends, then the verdict's reward. ``terminated`` means that the task
    ended, ``truncated`` that ``max_steps`` did; never both. ``info`` always holds ``task_id``, ``goal``,
    ``success`` and ``steps``, and what ``_info`` adds: ``admissible_actions``, ``tools``, or ``metrics``, a
    mapping from names to finite numbers, of which the last of an episode are kept with it.

    ``siblings`` is True where the tasks of one ``scenario`` are siblings (the same task with other details),
    so that solving a scenario means solving all of them.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 4}  # noqa: RUF012
    step_kind: ClassVar[Literal["compute", "io"]] = "compute"
    splits: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    has_expert: ClassVar[bool] = False
    siblings: ClassVar[bool] = False

    def __init__(
        self, tasks: TaskSet, *, max_steps: int, render_mode: str | None = None, **unknown: Any
    ) -> None:
        """Take tasks and limits; subclasses pass their own ``**unknown`` on: misspelt options are errors."""
        if unknown:
            raise UnknownNameError("option", next(iter(unknown)), self.options())
        if max_steps < 1:
            raise OptionError(f"max_steps must be at least 1, not {max_steps}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UnknownNameError("render mode", render_mode, self.metadata["render_modes"])
        self.tasks = tasks
        self.max_steps = max_steps
        self.render_mode = render_mode
        self.observation_space = Unicode()
        self.action_space = Unicode()
        self._task: Task | None = None
        self._live = False
        self._actions: list[str] = []
        self._observation = ""
        self._success = False
        self._generator_state: Mapping[str, Any] = {}

    # ---- what an author writes -------------------------------------------------------------------

    @abstractmethod
    def _start(self, task: Task) -> str:
        """Set the state up for ``task`` and return the first observation."""

    @abstractmethod
    def _apply(self, action: str) -> tuple[str, bool]:
        """Make one transition; return the observation and whether the task is over."""

    @abstractmethod
    def _verify(self) -> Verdict:
        """Judge the state reached, as a pure function of task and state."""

    def _info(self) -> Info:
        """Return what this domain adds to ``info``."""
        return {}

    def _save(self) -> Any:
        """Return a copy of the state for ``snapshot``, or None where replaying the actions must do."""
        return None

    def _load(self, state: Any) -> None:
        """Take back what ``_save`` returned."""
        raise ContractError(f"{type(self).__name__} saves a state but does not define _load")

    def expert(self) -> str:
        """Return the next action of a scripted or planned solution from the present state.

        Raises ``ContractError`` where ``has_expert`` is False.
        """
        raise ContractError(f"{type(self).__name__} has no expert (has_expert is False)")

    def near_misses(self) -> list[list[str]]:
        """Return action sequences for the present task that come close and must score below 1."""
        return []

    # ---- what the base class does ----------------------------------------------------------------

    @classmethod
    def options(cls) -> list[str]:
        """Return the names of the options that ``gym.make`` takes for this environment."""
        parameters = inspect.signature(cls).parameters.values()
        return [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

    @property
    def task(self) -> Task:
        """The present task; raises ``ResetNeeded`` before the first reset."""
        if self._task is None:
            raise gymnasium.error.ResetNeeded("call reset() first")
        return self._task

    @property
    def steps(self) -> int:
        """How many steps this episode has taken."""
        return len(self._actions)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, Info]:
        """Begin an episode; ``options={"task": id}`` chooses the task, else one is drawn.

        Raises ``UnknownNameError`` for an unknown task id or option.
        """
        super().reset(seed=seed)
        chosen = dict(options or {})
        wanted = chosen.pop("task", None)
        if chosen:
            raise UnknownNameError("reset option", next(iter(chosen)), ["task"])
        if wanted is None:
            task = self.tasks[int(self.np_random.integers(len(self.tasks)))]
        else:
            task = self.tasks.find(wanted)
        return self._begin(task)

    def _begin(self, task: Task) -> tuple[str, Info]:
        self._task = task
        self._generator_state = self.np_random.bit_generator.state  # numpy builds it anew at each reading
        self._actions = []
        self._success = False
        self._observation = self._start(task)
        self._live = True
        self._show()
        return self._observation, self._full_info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        """Take one action. Raises ``ResetNeeded`` when no episode is live."""
        if not self._live:
            raise gymnasium.error.ResetNeeded("the episode is over or never began: call reset() first")
        if not isinstance(action, str):
            raise ContractError(f"an action is a string, not {type(action).__name__}")
        self._observation, over = self._apply(action)
        self._actions.append(action)
        truncated = not over and len(self._actions) >= self.max_steps
        reward = 0.0
        if over or truncated:
            self._live = False
            verdict = self._verify()
            reward, self._success = float(verdict.reward), verdict.success
            info = self._full_info()
            info["checks"] = dict(verdict.checks)
        else:
            info = self._full_info()
        if self.render_mode == "human":
            self._show()
        return self._observation, reward, over, truncated, info

    def _full_info(self) -> Info:
        task = self._task
        assert task is not None
        info: Info = {
            "task_id": task.id,
            "goal": task.goal,
            "success": self._success,
            "steps": len(self._actions),
        }
        if added := self._info():
            info.update(added)
        return info

    def snapshot(self) -> Snapshot:
        """Return a point to come back to with ``restore``."""
        task, state = self.task, self._save()
        # A replay draws again from the beginning on; a saved state goes on drawing from here.
        drawn = self._generator_state if state is None else self.np_random.bit_generator.state
        return Snapshot(
            task=task,
            generator_state=drawn,
            actions=tuple(self._actions),
            observation=self._observation,
            live=self._live,
            state=state,
        )

    def restore(self, snapshot: Snapshot) -> tuple[str, Info]:
        """Return to ``snapshot`` (of this or another instance made with the same options)."""
        self.np_random.bit_generator.state = copy.deepcopy(snapshot.generator_state)
        if snapshot.state is None:
            self._begin(snapshot.task)
            for action in snapshot.actions:
                self.step(action)
        else:
            self._task = snapshot.task
            self._generator_state = snapshot.generator_state
            self._actions = list(snapshot.actions)
            self._observation = snapshot.observation
            self._load(copy.deepcopy(snapshot.state))
            self._live = snapshot.live
            self._success = False if snapshot.live else self._verify().success
        return self._observation, self._full_info()

    def render(self) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return the last observation as text (``ansi``), or nothing (``human`` prints it as it goes)."""
        return self._observation if self.render_mode == "ansi" else None

    def _show(self) -> None:
        if self.render_mode == "human":
            print(self._observation)
