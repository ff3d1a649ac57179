"""Environments with one defect each: what the conformance suite is for, and what it must name."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from palaestra.envs.core import Verdict
from palaestra.envs.guess_number import GuessNumberEnv
from palaestra.errors import ContractError, DataError, UnknownNameError


class SeedsGlobalEnv(GuessNumberEnv):
    def _start(self, task):
        random.seed(0)
        return super()._start(task)


class SeedsGlobalNumpyEnv(GuessNumberEnv):
    def _start(self, task):
        np.random.seed(0)
        return super()._start(task)


class DrawsGlobalEnv(GuessNumberEnv):
    def _apply(self, action):
        observation, over = super()._apply(action)
        return (f"{observation} {random.random()}" if self.steps >= 2 else observation), over


class ReadsGlobalEnv(GuessNumberEnv):
    """Looks at the global generator and puts it back, so that its state shows nothing."""

    def _apply(self, action):
        state = random.getstate()
        number = random.random()
        random.setstate(state)
        observation, over = super()._apply(action)
        return (f"{observation} {number}" if self.steps >= 2 else observation), over


class ExpertDrawsGlobalEnv(GuessNumberEnv):
    def expert(self):
        return str(random.randint(self._low, self._high))


class OwnEntropyEnv(GuessNumberEnv):
    def _apply(self, action):
        observation, over = super()._apply(action)
        return (f"{observation} {time.perf_counter_ns()}" if self.steps >= 2 else observation), over


class RemembersEnv(GuessNumberEnv):
    """Answers differently once it has played before."""

    episodes = 0

    def _start(self, task):
        self.episodes += 1
        return super()._start(task)

    def _apply(self, action):
        observation, over = super()._apply(action)
        return (observation.upper() if self.episodes > 1 and self.steps >= 2 else observation), over


class SharesStateEnv(GuessNumberEnv):
    """All instances hold the secret in one place: whoever was reset last has it."""

    shared = None

    def _start(self, task):
        observation = super()._start(task)
        SharesStateEnv.shared = self._secret
        return observation

    def _load(self, state):
        super()._load(state)
        SharesStateEnv.shared = self._secret

    def _apply(self, action):
        self._secret = SharesStateEnv.shared
        return super()._apply(action)


class GroupDiffersEnv(GuessNumberEnv):
    """Where the task is named, the greeting comes from a generator that nobody seeded."""

    def reset(self, *, seed=None, options=None):
        observation, info = super().reset(seed=seed, options=options)
        if options:
            observation += f" You are player {np.random.default_rng().integers(1 << 40)}."
        return observation, info


class LeaksDescriptorEnv(GuessNumberEnv):
    held = []  # noqa: RUF012

    def __init__(self, **options):
        super().__init__(**options)
        self.held.append(os.open(os.devnull, os.O_RDONLY))

    @classmethod
    def let_go(cls):
        while cls.held:
            os.close(cls.held.pop())


class LeaksThreadEnv(GuessNumberEnv):
    enough = threading.Event()

    def __init__(self, **options):
        super().__init__(**options)
        threading.Thread(target=self.enough.wait, daemon=True).start()

    @classmethod
    def let_go(cls):
        cls.enough.set()


class LeaksProcessEnv(GuessNumberEnv):
    held = []  # noqa: RUF012

    def __init__(self, **options):
        super().__init__(**options)
        self.held.append(subprocess.Popen(["sleep", "60"]))

    @classmethod
    def let_go(cls):
        while cls.held:
            process = cls.held.pop()
            process.kill()
            process.wait()


class LeaksMemoryEnv(GuessNumberEnv):
    held = []  # noqa: RUF012

    def __init__(self, **options):
        super().__init__(**options)
        self.held.append(b"x" * 200_000)

    @classmethod
    def let_go(cls):
        cls.held.clear()


class ReadsGradeFileEnv(GuessNumberEnv):
    def _verify(self):
        if Path("reward.txt").exists():
            return Verdict(float(Path("reward.txt").read_text()), True)
        return super()._verify()


class ReadsTemporaryFolderEnv(GuessNumberEnv):
    def _verify(self):
        path = Path(tempfile.gettempdir(), "result.json")
        return Verdict(json.loads(path.read_text())["reward"], True) if path.exists() else super()._verify()


class ReadsHomeEnv(GuessNumberEnv):
    def _verify(self):
        path = Path.home() / "grade"
        return Verdict(float(path.read_text()), True) if path.exists() else super()._verify()


class BelievesActionEnv(GuessNumberEnv):
    def _apply(self, action):
        if '"reward": 1' in action:
            self._found = True
            return "Well done.", True
        return super()._apply(action)


class FindsAnswerAnywhereEnv(GuessNumberEnv):
    """Looks for the secret among all words of an action."""

    def _apply(self, action):
        return super()._apply(str(self._secret) if str(self._secret) in action.split() else action)

    def near_misses(self):
        return []


class RewardsPoliteSilenceEnv(GuessNumberEnv):
    def _verify(self):
        return Verdict(0.5, False) if not any(self._actions) else super()._verify()


class SolvedByPromptEnv(GuessNumberEnv):
    def _apply(self, action):
        if action == self.task.goal:
            self._found = True
            return "Correct.", True
        return super()._apply(action)


class SpoilsEndEnv(GuessNumberEnv):
    """Changes the answer to the step that truncates, behind the back of the base class."""

    def step(self, action):
        answer = super().step(action)
        return self.spoil(*answer) if answer[3] else answer


class NotANumberEnv(SpoilsEndEnv):
    def spoil(self, observation, reward, terminated, truncated, info):
        return observation, float("nan"), terminated, truncated, info


class BothFlagsEnv(SpoilsEndEnv):
    def spoil(self, observation, reward, terminated, truncated, info):
        return observation, reward, True, True, info


class NoGoalEnv(SpoilsEndEnv):
    def spoil(self, observation, reward, terminated, truncated, info):
        del info["goal"]
        return observation, reward, terminated, truncated, info


class InfiniteMetricEnv(GuessNumberEnv):
    def _info(self):
        return {**super()._info(), "metrics": {"speed": float("inf")}}


class SiblingsOfNobodyEnv(GuessNumberEnv):
    siblings = True

    def _begin(self, task):
        return super()._begin(dataclasses.replace(task, scenario=""))


class GoesOnEnv(GuessNumberEnv):
    """Answers steps after the end of an episode."""

    def step(self, action):
        if not self._live and self.steps:
            return "It is over.", 0.0, True, False, self._full_info()
        return super().step(action)


class PaysEarlyEnv(GuessNumberEnv):
    """Pays a bonus on the way that is taken back at the end."""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        warm = observation in ("Higher.", "Lower.") and not truncated
        return observation, reward + 0.1 * warm, terminated, truncated, info


class CrashesEnv(GuessNumberEnv):
    def _apply(self, action):
        if self.steps == 2:
            raise RuntimeError("planted")
        return super()._apply(action)


class LeavesEnv(GuessNumberEnv):
    def _apply(self, action):
        if self.steps == 2:
            raise SystemExit(3)
        return super()._apply(action)


class CrashesProcessEnv(GuessNumberEnv):
    """Ends its process as a fault in C would, at two rare places: no exception, no cleaning up."""

    def _apply(self, action):
        if len(action) > 10_000:
            signal.raise_signal(signal.SIGSEGV)  # in this thread, as a fault is
        return super()._apply(action)

    def near_misses(self):
        signal.raise_signal(signal.SIGSEGV)  # in this thread, as a fault is
        return super().near_misses()


class HangsEnv(GuessNumberEnv):
    enough = threading.Event()

    def _apply(self, action):
        if self.steps == 2:
            self.enough.wait(60)
        return super()._apply(action)

    @classmethod
    def let_go(cls):
        cls.enough.set()


class HangsAtGradesEnv(HangsEnv):
    """Hangs in the one check that has changed the environment variables."""

    enough = threading.Event()

    def _apply(self, action):
        if Path("reward.txt").exists():
            self.enough.wait(60)
        return GuessNumberEnv._apply(self, action)


class SlowEnv(GuessNumberEnv):
    def _apply(self, action):
        time.sleep(0.03)
        return super()._apply(action)


class NotTextEnv(GuessNumberEnv):
    """Forgets to turn an answer into text."""

    def _apply(self, action):
        observation, over = super()._apply(action)
        return (observation.encode() if self.steps >= 3 else observation), over


class NoExpertEnv(GuessNumberEnv):
    """No defect: it has no solution to show, and says so."""

    has_expert = False

    def expert(self):
        raise ContractError("there is no expert")

    def near_misses(self):
        return []


class BadExpertEnv(GuessNumberEnv):
    def expert(self):
        return "1"


class NoSplitsEnv(GuessNumberEnv):
    """Declares splits that it does not have."""

    splits = ("easy", "hard")

    def __init__(self, split="train", **options):
        if split in self.splits:
            raise UnknownNameError("split", split, ["train"])
        super().__init__(split=split, **options)


class SplitWithoutDataEnv(GuessNumberEnv):
    def __init__(self, split="train", **options):
        if split == "test":
            raise DataError("there is no file for test")
        super().__init__(split=split, **options)


class WonByNearMissEnv(GuessNumberEnv):
    def near_misses(self):
        return [[str(self.task.data["secret"])]]


class ForgetfulSnapshotEnv(GuessNumberEnv):
    def _save(self):
        return 1, self._low, self._high, self._found


class SwallowsOptionsEnv(GuessNumberEnv):
    def __init__(self, split="train", **anything):
        super().__init__(split=split)


class UnpicklableEnv(GuessNumberEnv):
    def __init__(self, **options):
        super().__init__(**options)
        self.lock = threading.Lock()


class CannotBeMadeEnv(GuessNumberEnv):
    def __init__(self, **options):
        raise RuntimeError("planted")
