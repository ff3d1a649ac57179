"""Contestants: a policy in an agent with its settings, read from one word of a command line, and played."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from palaestra.agents.best_of_n import best_of_n
from palaestra.agents.codeact import codeact
from palaestra.agents.episode import EpisodeWriter
from palaestra.agents.policies import POLICIES
from palaestra.agents.policies.core import Policy, Sampling
from palaestra.agents.policies.smollm2 import default_folder, is_made
from palaestra.agents.react import CONTEXTS, react
from palaestra.agents.reflexion import reflexion
from palaestra.agents.rollout import Agent, Job, Progress, RolloutSettings, rollout
from palaestra.errors import CheckpointError, DataError, OptionError, UnknownNameError

AGENTS = ("react", "codeact", "reflexion", "best-of-n")
SETTINGS = (
    *("tries", "context", "window_turns", "thought", "remind_goal", "temperature", "max_tokens"),
    *("max_turns", "system"),
)
_NOT_OF_CODEACT = ("thought", "remind_goal", "system")
_TRIES = {"reflexion": 3, "best-of-n": 5}
_MAX_TOKENS = {"codeact": 512}
_MAX_TURNS = {"codeact": 20}
_REFLECTION_TOKENS = 256
_LONGEST_NAME_BYTES = 200  # a file's name has at most 255, and more than this one in it
_KINDS = tuple(known.partition(":")[0] for known in POLICIES)
# Of each of these files, one is in a folder that the policy can be loaded from.
_FILES = {
    "tiny": ("policy.json",),
    "hf": ("config.json", "adapter_config.json"),
    "vllm": ("config.json", "adapter_config.json"),
}


@dataclass(frozen=True, slots=True)
class Contestant:
    """A policy in an agent: what is compared. ``policy`` is a name for ``load_policy``.

    ``agent`` is one of ``AGENTS``. ``tries`` is how often "reflexion" (3 unless given) plays a task, told in
    between by the environment whether it succeeded, and "best-of-n" (5), which then chooses one by majority;
    the others play it once. ``max_tokens`` (64, codeact 512) is the longest completion. After ``max_turns``
    messages (codeact 20, the others as many as the environment allows) a try ends. ``system`` says how to
    play, before the first observation.
    """

    name: str
    policy: str
    context: Literal["append", "window"] = "append"
    window_turns: int | None = None
    thought: bool = False
    remind_goal: bool = False
    temperature: float = 0.0
    max_tokens: int | None = None
    agent: str = "react"
    tries: int | None = None
    system: str = ""
    max_turns: int | None = None

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\*?[]\0"):
            raise OptionError(f"a contestant's name becomes a file name; {self.name!r} cannot")
        if len(self.name.encode()) > _LONGEST_NAME_BYTES:
            raise OptionError(f"a contestant's name becomes a file name; {self.name!r} is too long")
        if self.agent not in AGENTS:
            raise UnknownNameError("agent", self.agent, AGENTS)
        if _kind(self.policy) not in _KINDS:
            raise UnknownNameError("policy", self.policy, POLICIES)
        # Saved with the results, so they say what was played rather than "the default".
        for setting, by_agent in (("tries", _TRIES), ("max_turns", _MAX_TURNS)):
            if getattr(self, setting) is None and self.agent in by_agent:
                object.__setattr__(self, setting, by_agent[self.agent])
        if self.max_tokens is None:
            object.__setattr__(self, "max_tokens", _MAX_TOKENS.get(self.agent, 64))
        self._check()

    def _check(self) -> None:
        if self.tries is not None and self.agent not in _TRIES:
            raise OptionError(f"{self.agent} plays a task once; tries is for {' and '.join(_TRIES)}")
        for setting in ("tries", "max_tokens", "max_turns"):
            value = getattr(self, setting)
            if value is not None and value < 1:
                raise OptionError(f"{setting} must be at least 1, not {value}")
        if not math.isfinite(self.temperature):
            raise OptionError(f"temperature must be a finite number, not {self.temperature}")
        unused = [setting for setting in _NOT_OF_CODEACT if getattr(self, setting)]
        if self.agent == "codeact" and unused:
            raise OptionError(f"{', '.join(unused)}: for the other agents, codeact has no use for that")
        if self.agent == "best-of-n" and self.temperature == 0 and self.policy != "random":
            raise OptionError(
                "best-of-n plays a task several times, which is the same each time at temperature 0: "
                "give it a temperature"
            )
        # Told now, not when the turn comes to this contestant.
        _agent(self)

    @property
    def settings(self) -> dict[str, Any]:
        """All fields, as they are saved."""
        return asdict(self)


def contestant_from(text: str, defaults: Mapping[str, Any] | None = None) -> Contestant:
    """Read ``[NAME=][AGENT:]POLICY[,SETTING=VALUE...]``; ``defaults`` are for settings that it does not give,
    where its agent and policy have a use for them.

    Examples: ``random``, ``tiny:runs/sft/policy``, ``cloned=react:tiny:runs/sft/policy,temperature=1``,
    ``reflexion:smollm2,tries=3,system=how-to-play.txt`` (a file). Raises ``UnknownNameError`` with the
    nearest agent, policy or setting, ``OptionError`` for a value that cannot be used.
    """
    who, *given = text.split(",")
    name, equals, rest = who.partition("=")
    if not equals or re.search(r"[:@/]", name):
        name, rest = "", who
    head, _, place = rest.partition(":")
    agent, policy = (head, place) if head in AGENTS else ("react", rest)
    if head not in (*AGENTS, *_KINDS):
        raise UnknownNameError("agent or policy", head, (*AGENTS, *_KINDS))
    settings = dict(_setting(pair) for pair in given)
    used = _used(agent, policy)
    try:
        if unused := [setting for setting in settings if setting not in used]:
            raise OptionError(f"{agent} with the policy {policy!r} has no use for {', '.join(unused)}")
        general = {key: value for key, value in (defaults or {}).items() if key in used}
        if settings.get("context") == "append":
            general.pop("window_turns", None)
        return Contestant(
            name or default_name(agent, policy, given), policy, agent=agent, **{**general, **settings}
        )
    except OptionError as error:
        raise OptionError(f"the contestant {text!r} cannot play: {error}") from error


def default_name(agent: str, policy: str, given: Sequence[str] = ()) -> str:
    """Return a name that says who plays, short enough for a table, that can be the name of a file.

    Of a policy's folder the end is shown, of a server the model.
    """
    kind, _, place = policy.partition(":")
    if kind == "openai":
        place = place.partition("@")[0]
    parts = [part for part in Path(place).parts if part != "/"]
    if len(parts) > 1 and parts[-1] == "policy":
        parts.pop()
    shown = [kind, *parts[-2:]]
    if agent != "react" or policy not in ("random", "expert"):
        shown.insert(0, agent)
    return re.sub(r"[^\w.=,+-]+", "_", ",".join(["-".join(shown), *given]))


def play(
    contestant: Contestant,
    jobs: Sequence[Job],
    policy: Policy,
    settings: RolloutSettings,
    writer: EpisodeWriter,
    progress: Progress | None,
) -> None:
    """Play ``jobs``; ``writer`` and ``progress`` get the one episode of each that counts."""
    agent, tries = _agent(contestant), contestant.tries or 1
    if contestant.agent == "reflexion":
        longest = max(_sampling(contestant).max_tokens, _REFLECTION_TOKENS)
        reflexion(
            jobs,
            agent,
            policy,
            trials=tries,
            sampling=Sampling(contestant.temperature, longest),
            settings=settings,
            writer=writer,
            progress=progress,
        )
    elif contestant.agent == "best-of-n":
        best_of_n(jobs, agent, policy, tries=tries, settings=settings, writer=writer, progress=progress)
    else:
        rollout(jobs, agent, policy, settings, writer=writer, progress=progress)


def _agent(contestant: Contestant) -> Agent:
    """Return what plays a single try."""
    if contestant.agent == "codeact":
        return codeact(
            contestant.context,
            window_turns=contestant.window_turns,
            sampling=_sampling(contestant),
            max_turns=contestant.max_turns or _MAX_TURNS["codeact"],
        )
    return react(
        contestant.context,
        window_turns=contestant.window_turns,
        thought=contestant.thought,
        remind_goal=contestant.remind_goal,
        system=contestant.system,
        sampling=_sampling(contestant),
        max_turns=contestant.max_turns,
    )


def _sampling(contestant: Contestant) -> Sampling:
    return Sampling(contestant.temperature, contestant.max_tokens or 64)


def check_ready(contestant: Contestant) -> None:
    """Raise ``CheckpointError`` when the contestant's policy is not where its name says.

    A long benchmark must not find that out when the turn comes to its last contestant.
    """
    kind, _, place = contestant.policy.partition(":")
    files = _FILES.get(kind, ())
    if files and not any((Path(place) / file).is_file() for file in files):
        raise CheckpointError(
            f"the policy of {contestant.name!r} is not there: {place or kind} is no folder with a "
            f"{' or '.join(files)}"
        )
    if kind == "smollm2" and not is_made(default_folder()):
        raise CheckpointError(
            f"the policy of {contestant.name!r} is not there yet; make it with: palaestra models smollm2"
        )


def _kind(policy: str) -> str:
    return policy.partition(":")[0]


def _used(agent: str, policy: str) -> set[str]:
    """Return the settings that say something about a contestant; a scripted policy reads no prompt."""
    used = set(SETTINGS) if policy not in ("random", "expert") else {"tries", "max_turns"}
    if agent not in _TRIES:
        used.discard("tries")
    return used.difference(_NOT_OF_CODEACT) if agent == "codeact" else used


def _setting(pair: str) -> tuple[str, Any]:
    """Return a setting of a contestant and its value, of the type that the setting has."""
    name, equals, text = pair.partition("=")
    if name not in SETTINGS:
        raise UnknownNameError("setting of a contestant", name, SETTINGS)
    if name == "system":
        return name, _text_of(Path(text))
    if name == "context":
        if text not in CONTEXTS:
            raise UnknownNameError("context", text, CONTEXTS)
        return name, text
    if name in ("thought", "remind_goal"):
        if text not in ("", "true", "false") or (equals and not text):
            raise OptionError(f"{name} is true or false, not {text!r}")
        return name, text != "false"
    try:
        return name, float(text) if name == "temperature" else int(text)
    except ValueError:
        raise OptionError(f"{name} is a number, not {text!r}") from None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"system names a file of text that says how to play; {path}: {error}") from error
