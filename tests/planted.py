"""Environments with planted defects, for the tests of the vector environment and of workers."""

import os
import time
from pathlib import Path

from palaestra.envs.guess_number import GuessNumberEnv


class PlantedEnv(GuessNumberEnv):
    """GuessNumber that commits ``defect`` at step ``at`` when its task is ``victim`` (or at any reset)."""

    def __init__(self, defect="none", at=3, victim=None, note=None, **options):
        super().__init__(**options)
        self.defect, self.at, self.victim, self.note = defect, at, victim, note

    def _start(self, task):
        if self.defect == "start" and self.chosen():
            raise RuntimeError("planted at the start")
        return super()._start(task)

    def step(self, action):
        answer = super().step(action)
        return self.spoil(answer) if self.steps == self.at and self.chosen() else answer

    def chosen(self):
        return self.victim is None or self.task.id == self.victim

    def spoil(self, answer):
        observation, reward, terminated, truncated, info = answer
        match self.defect:
            case "raise":
                raise RuntimeError("planted")
            case "exit":
                raise SystemExit(3)
            case "nan":
                reward = float("nan")
            case "two":
                reward = 2.0
            case "bytes":
                observation = b"bytes"
            case "both":
                terminated = truncated = True
            case "hang":
                time.sleep(30)
            case "die":
                os._exit(7)
        return observation, reward, terminated, truncated, info

    def close(self):
        if self.note:
            with Path(self.note).open("a") as file:
                file.write("closed\n")


class PlantedIoEnv(PlantedEnv):
    """The same, with steps that wait."""

    step_kind = "io"
