"""``TextVectorEnv``: many text environments stepped together, none of which can spoil the others' batch.

``gymnasium.make_vec("palaestra/Name-v0", num_envs=64)`` returns one: every registered id is an attribute of
this module, so that the vector entry point of a spec stays a string (see ``registration.register``).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.envs.registration import load_env_creator
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from palaestra.envs.core import Info, TextEnv
from palaestra.envs.members import RemoteMember, ThreadedMember, make_member
from palaestra.envs.registration import spec
from palaestra.errors import (
    ContractError,
    InfrastructureError,
    OptionError,
    PalaestraError,
    UnknownNameError,
)

Isolation = Literal["none", "thread", "process"]
Batch = tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, "Infos"]

_KILL_GRACE_S = 10.0  # a worker's own deadline comes first; its thread is given up only when that failed


def __getattr__(name: str) -> Callable[..., TextVectorEnv]:
    """Return the creator of vector environments of the registered id ``name``."""
    if name.startswith("__") or name not in gymnasium.registry:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, nor is it a registered id")
    return functools.partial(TextVectorEnv, name)


class Infos(dict[str, Any]):
    """The infos of all members in Gymnasium's vector convention, put together only when looked at.

    ``infos[key]`` is an array over the members and ``infos["_" + key]`` the mask of those that have the
    key. Numbers of one type make an array of that type, dicts nest, everything else is an array of objects.
    ``members`` holds each member's plain info, which is cheaper to read.
    """

    def __init__(self, members: Sequence[Info]) -> None:
        super().__init__()
        self.members = members
        self._filled = False

    def fill(self) -> None:
        """Put all arrays together; every reading method but ``[key]`` does this first."""
        if not self._filled:
            self._filled = True
            for key in dict.fromkeys(key for info in self.members for key in info):
                self._add(key)

    def __missing__(self, key: str) -> Any:
        """Put together the one array that is asked for, when it is asked for alone."""
        if not self._filled:
            for name in (key, key.removeprefix("_")):
                if any(name in info for info in self.members):
                    self._add(name)
                    return dict.__getitem__(self, key)
        raise KeyError(key)

    def _add(self, key: str) -> None:
        if dict.__contains__(self, key):
            return
        count = len(self.members)
        having = [i for i, info in enumerate(self.members) if key in info]
        values = [self.members[i][key] for i in having]
        kinds = set(map(type, values))
        if kinds == {dict}:
            found = dict(zip(having, values, strict=True))
            array: Any = Infos([found.get(i, {}) for i in range(count)])
            array.fill()
        elif len(kinds) == 1 and kinds <= {bool, int, float}:
            array = np.zeros(count, kinds.pop())
            array[having] = values
        else:
            array = np.full(count, None, object)
            for i, value in zip(having, values, strict=True):
                array[i] = value
        mask = np.zeros(count, np.bool_)
        mask[having] = True
        dict.__setitem__(self, key, array)
        dict.__setitem__(self, f"_{key}", mask)

    def __reduce__(self) -> tuple[Any, ...]:
        return Infos, (self.members,)


def _filling(name: str) -> Callable[..., Any]:
    method = getattr(dict, name)

    @functools.wraps(method)
    def filled(self: Infos, *args: Any, **kwargs: Any) -> Any:
        self.fill()
        return method(self, *args, **kwargs)

    return filled


# A dict, because Gymnasium's vector wrappers insist on one; so every door into it has to fill it first.
_DOORS = [
    *("__contains__", "__delitem__", "__eq__", "__ior__", "__iter__", "__len__", "__ne__"),
    *("__or__", "__repr__", "__reversed__", "__ror__", "__setitem__", "clear", "copy", "get", "items"),
    *("keys", "pop", "popitem", "setdefault", "update", "values"),
]
for _name in _DOORS:
    setattr(Infos, _name, _filling(_name))


class TextVectorEnv(gymnasium.vector.VectorEnv[tuple[str, ...], Sequence[str], np.ndarray]):
    """``num_envs`` members of the environment ``env_id``, made with ``options``.

    Observations are a tuple of ``num_envs`` strings, actions a sequence of as many, rewards float64 and
    flags bool of shape ``(num_envs,)``; infos are ``Infos``.

    ``isolation`` says where members run: ``"none"`` one after another in the calling thread (the default
    for ``step_kind == "compute"``), ``"thread"`` each in a thread of its own (the default for ``"io"``), or
    ``"process"`` each in a killable process. In threads and processes a step may take ``step_deadline_s``
    and a reset, with the building of the member, ``reset_deadline_s``.

    A member *fails* when it raises, exits, hangs past its deadline, or hands back an observation that is no
    string, a reward that is not in [0, 1], or both flags. Its entry is then observation ``""``, reward 0,
    truncated, with the reason in ``info["failure"]`` (``final_info`` in mode ``SameStep``): training code
    skips such an episode, whose 0 the agent did not earn. The member is closed, replaced, and reset like
    one whose episode ended; the others' entries are what they would have been. ``failures`` counts these.

    ``autoreset_mode`` is Gymnasium's: ``NextStep`` (default), ``SameStep``, or ``Disabled`` (then reset
    finished members with ``options={"reset_mask": mask}``).
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        isolation: Isolation | None = None,
        step_deadline_s: float = 60.0,
        reset_deadline_s: float = 120.0,
        **options: Any,
    ) -> None:
        """Build all members; raises what the environment raises for options that it does not take."""
        if num_envs < 1:
            raise OptionError(f"num_envs must be at least 1, not {num_envs}")
        self.env_id = env_id
        self.num_envs = num_envs
        self.spec = registered = spec(env_id)
        self._entry_point = registered.entry_point
        kind = _environment_class(env_id)
        chosen = isolation or ("thread" if kind.step_kind == "io" else "none")
        if chosen not in ("none", "thread", "process"):
            raise UnknownNameError("isolation", chosen, ("none", "thread", "process"))
        self.isolation: Isolation = chosen
        self.step_deadline_s = step_deadline_s
        self.reset_deadline_s = reset_deadline_s
        self.autoreset_mode = _mode(autoreset_mode)
        self.metadata = {**kind.metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = options.get("render_mode", registered.kwargs.get("render_mode"))
        self.failures = 0
        self._options = {**registered.kwargs, **options}
        self._member_failures = [0] * num_envs
        self._seeds: list[int | None] = [None] * num_envs
        # What each member needs next: a reset (True) or a step (False).
        self._over = [True] * num_envs
        self._began = False
        self._members: list[Any] = []
        self._build_all()
        first = self._members[0]
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[tuple[str, ...], Infos]:
        """Begin an episode in every member; member i is seeded with ``seed + i`` or ``seed[i]``.

        ``options``: ``{"task": id}`` for all or ``{"tasks": [id, ...]}`` one each, and ``"reset_mask"``, a
        bool array of the members to reset (the others' observation stays ``""`` and info empty). Raises
        ``UnknownNameError`` for an unknown option or task; a member that fails otherwise is isolated.
        """
        mask, member_options = self._read_options(options)
        seeds = self._read_seeds(seed)
        chosen = [i for i in range(self.num_envs) if mask is None or mask[i]]
        for i in chosen:
            self._over[i] = True
            if seeds[i] is not None:
                self._seeds[i] = seeds[i]
        self._began = True
        observations, infos = [""] * self.num_envs, [{} for _ in range(self.num_envs)]
        self._begin_resets(chosen, seeds, member_options)
        for i in chosen:
            observations[i], infos[i] = self._reset_member(i, seeds[i], member_options[i], told=True)
        return tuple(observations), Infos(infos)

    def step(self, actions: Sequence[str]) -> Batch:
        """Step every member whose episode is live and reset the others, as the autoreset mode says.

        Raises ``ResetNeeded`` before the first reset (in mode ``Disabled`` also for a finished member),
        ``ContractError`` for actions that are not ``num_envs`` strings.
        """
        self._check_step(actions)
        if self.isolation != "none":
            self._begin_steps(actions)
        count = self.num_envs
        observations, infos = [""] * count, [{}] * count
        rewards, terminations, truncations = [0.0] * count, [False] * count, [False] * count
        over, members = self._over, self._members
        for i in range(count):
            if over[i]:
                observations[i], infos[i] = self._reset_member(i)
                truncations[i] = over[i]  # only when the reset failed
                continue
            try:
                observation, reward, terminated, truncated, info = members[i].step(actions[i])
                if not (isinstance(observation, str) and 0.0 <= reward <= 1.0 and isinstance(info, dict)) or (
                    terminated and truncated
                ):
                    raise ContractError(_breach(observation, reward, info))
            except (Exception, SystemExit) as error:  # whatever one member does, the others go on
                infos[i] = self._fail(i, error)
                truncations[i] = True
                continue
            observations[i], rewards[i], infos[i] = observation, reward, info
            if terminated or truncated:
                terminations[i], truncations[i], over[i] = bool(terminated), bool(truncated), True
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            self._reset_finished(observations, infos)
        return (
            tuple(observations),
            np.array(rewards, np.float64),
            np.array(terminations, np.bool_),
            np.array(truncations, np.bool_),
            Infos(infos),
        )

    def call(self, method: str, *args: Any) -> tuple[Any, ...]:
        """Return ``method(*args)`` of every member; what one raises is raised here."""
        self._members = [member or self._build(i) for i, member in enumerate(self._members)]
        for member in self._members:
            if isinstance(member, ThreadedMember):
                member.begin(method, *args)
        return tuple(getattr(member, method)(*args) for member in self._members)

    def render(self) -> tuple[Any, ...]:
        """Return every member's rendering."""
        return self.call("render")

    def close_extras(self, **kwargs: Any) -> None:
        """Close every member; one that does not close in 5 s is given up (a process is killed)."""
        for member in self._members:
            if isinstance(member, ThreadedMember):
                member.begin("close")
        for member in self._members:
            if member is not None:
                with contextlib.suppress(Exception):
                    member.close()
        self._members = [None] * self.num_envs

    # ---- resets and failures ---------------------------------------------------------------------

    def _reset_member(
        self, i: int, seed: int | None = None, options: dict[str, Any] | None = None, told: bool = False
    ) -> tuple[str, Info]:
        """Reset one member. ``told``: the caller chose what to reset to, so a wrong choice is an error."""
        try:
            member = self._members[i]
            if member is None:
                member, seed = self._replace(i, seed)
            observation, info = member.reset(seed=seed, options=options)
            if not (isinstance(observation, str) and isinstance(info, dict)):
                raise ContractError(_breach(observation, 0.0, info))
        except (Exception, SystemExit) as error:
            wrong_choice = isinstance(error, PalaestraError) and not isinstance(
                error, ContractError | InfrastructureError
            )
            if told and wrong_choice:
                raise
            return "", self._fail(i, error)
        self._over[i] = False
        return observation, info

    def _reset_finished(self, observations: list[str], infos: list[Info]) -> None:
        """Begin the next episodes within the same step; the last observation and info go to ``final_*``."""
        finished = [i for i in range(self.num_envs) if self._over[i]]
        self._begin_resets(finished)
        for i in finished:
            final = {"final_obs": observations[i], "final_info": infos[i]}
            observations[i], info = self._reset_member(i)
            infos[i] = {**info, **final}

    def _fail(self, i: int, error: BaseException) -> Info:
        self.failures += 1
        self._member_failures[i] += 1
        self._over[i] = True
        member, self._members[i] = self._members[i], None
        if isinstance(member, ThreadedMember):
            member.abandon()
        elif member is not None:
            with contextlib.suppress(Exception, SystemExit):
                member.close()
        return {"failure": f"{type(error).__name__}: {error}"}

    def _replace(self, i: int, seed: int | None) -> tuple[Any, int | None]:
        """Build a fresh member; its seed is a function of the member's own and of its failures so far."""
        member = self._members[i] = self._build(i)
        if seed is None and self._seeds[i] is not None:
            mixed = np.random.SeedSequence([abs(self._seeds[i] or 0), self._member_failures[i]])
            seed = int(mixed.generate_state(1)[0])
        return member, seed

    # ---- members in threads and processes --------------------------------------------------------

    def _build(self, i: int) -> Any:
        if self.isolation == "none":
            return make_member(self.env_id, self._entry_point, self._options)
        if self.isolation == "thread":
            build = functools.partial(make_member, self.env_id, self._entry_point, self._options)
            return ThreadedMember(build, f"{self.env_id} [{i}]", self.step_deadline_s, self.reset_deadline_s)
        build = functools.partial(
            RemoteMember,
            {"env_id": self.env_id, "entry_point": self._entry_point, "options": self._options},
            self.step_deadline_s,
            self.reset_deadline_s,
        )
        return ThreadedMember(
            build,
            f"{self.env_id} [{i}]",
            self.step_deadline_s + _KILL_GRACE_S,
            2 * self.reset_deadline_s + _KILL_GRACE_S,
        )

    def _build_all(self) -> None:
        try:
            for i in range(self.num_envs):
                self._members.append(self._build(i))
            for member in self._members:
                if isinstance(member, ThreadedMember):
                    member.begin("spaces")
            for member in self._members:
                if isinstance(member, ThreadedMember):
                    member.spaces()
        except BaseException:
            for member in self._members:
                if isinstance(member, ThreadedMember):
                    member.abandon()
            raise

    def _begin_steps(self, actions: Sequence[str]) -> None:
        """Set all members going at once, so that their waits overlap; the loop then collects."""
        self._begin_resets([i for i in range(self.num_envs) if self._over[i]])
        for i in range(self.num_envs):
            if not self._over[i]:
                self._members[i].begin("step", actions[i])

    def _begin_resets(
        self,
        chosen: Sequence[int],
        seeds: Sequence[int | None] | None = None,
        options: Sequence[dict[str, Any] | None] | None = None,
    ) -> None:
        if self.isolation == "none":
            return
        for i in chosen:
            seed = seeds[i] if seeds else None
            member = self._members[i]
            if member is None:
                member, seed = self._replace(i, seed)
            member.begin("reset", seed=seed, options=options[i] if options else None)

    # ---- reading arguments -----------------------------------------------------------------------

    def _check_step(self, actions: Sequence[str]) -> None:
        if not self._began:
            raise gymnasium.error.ResetNeeded("call reset() first")
        if len(actions) != self.num_envs:
            raise ContractError(f"{self.num_envs} actions are needed, one a member, not {len(actions)}")
        if isinstance(actions, str) or not all(isinstance(action, str) for action in actions):
            raise ContractError("actions are a sequence of strings, one a member")
        if self.autoreset_mode is AutoresetMode.DISABLED and any(self._over):
            raise gymnasium.error.ResetNeeded(
                f"member {self._over.index(True)} is over: reset(options={{'reset_mask': mask}})"
            )

    def _read_seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + i for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise OptionError(f"{self.num_envs} seeds are needed, one a member, not {len(seed)}")
        return list(seed)

    def _read_options(
        self, options: dict[str, Any] | None
    ) -> tuple[np.ndarray | None, list[dict[str, Any] | None]]:
        given = dict(options or {})
        mask = given.pop("reset_mask", None)
        if mask is not None:
            mask = np.asarray(mask)
            if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
                raise OptionError(f"reset_mask must be a bool array of shape ({self.num_envs},)")
        tasks = given.pop("tasks", None)
        if "task" in given:
            if tasks is not None:
                raise OptionError("give either 'task' or 'tasks', not both")
            tasks = [given.pop("task")] * self.num_envs
        if given:
            raise UnknownNameError("reset option", next(iter(given)), ("task", "tasks", "reset_mask"))
        if tasks is None:
            return mask, [None] * self.num_envs
        if len(tasks) != self.num_envs:
            raise OptionError(f"{self.num_envs} tasks are needed, one a member, not {len(tasks)}")
        return mask, [{"task": task} for task in tasks]


def _environment_class(env_id: str) -> type[TextEnv]:
    entry_point = spec(env_id).entry_point
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    if not (isinstance(creator, type) and issubclass(creator, TextEnv)):
        raise OptionError(f"{env_id} is not a TextEnv; use gymnasium's own vector environments for it")
    return creator


def _mode(mode: AutoresetMode | str) -> AutoresetMode:
    try:
        return AutoresetMode(mode)
    except ValueError:
        raise UnknownNameError("autoreset mode", mode, [known.value for known in AutoresetMode]) from None


def _breach(observation: Any, reward: Any, info: Any) -> str:
    if not isinstance(observation, str):
        return f"an observation must be a string, not {type(observation).__name__}"
    if not isinstance(info, dict):
        return f"an info must be a dict, not {type(info).__name__}"
    if not 0.0 <= reward <= 1.0:
        return f"a reward must be finite and in [0, 1], not {reward!r}"
    return "an episode ends either terminated or truncated, not both"
