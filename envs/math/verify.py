"""The verdict on an answer: a glance first, then the checker, in one killable process that all share."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from typing import Any

from palaestra.envs.core import Task
from palaestra.envs.math import answers
from palaestra.envs.math.checker import OUT_OF_TIME
from palaestra.envs.math.generated import GENERATORS, dataset
from palaestra.errors import WorkerError
from palaestra.sandboxes.worker import Worker

# Far beyond the checker's own limit on processor time: who passes it waits for a machine that is too busy.
_DEADLINE_S = 120.0
_LONGEST_ANSWER = 2000


def is_right(task: Task, answer: str) -> bool:
    """Say whether ``answer`` is right for ``task``.

    Raises ``InfrastructureError`` where the machine cannot tell, and ``MissingExtraError``.
    """
    if len(answer) > _LONGEST_ANSWER:
        return False
    if "entry" in task.data:
        return _is_right_exercise(task.data, answer)
    glance = answers.compare(task.data["gold"], answer)
    return glance if glance is not None else CHECKER.ask("equal", task.data["gold"], answer, task.goal)


def _is_right_exercise(data: Mapping[str, Any], answer: str) -> bool:
    name, level, gold, entry = data["generator"], data["level"], data["gold"], data["entry"]
    generator = GENERATORS[name]
    if generator.shape is None:
        # Beyond numbers these answers are names and numerals of some base, of which the case means nothing.
        return answers.compare(gold, answer) or answers.normal(gold).lower() == answers.normal(answer).lower()
    if answer == gold:
        return True
    for sign, own in generator.signs.items():
        answer = answer.replace(sign, own)
    answer = answer.strip()
    if not re.fullmatch(generator.shape, answer):
        return False
    if generator.evaluates:
        return CHECKER.ask("score", name, level, answer, entry)
    return dataset(name, level).score_answer(answer, entry) == 1.0


class SharedChecker:
    """The one checker of this process, in a child that is made at the first question and again after a death.

    An answer that uses up its processor time is wrong. One that ends the child in another way is asked again,
    and wrong when it ends a fresh child too which answers an easy question afterwards: then it was not the
    machine. May be used from many threads; a forked copy of the process makes its own child.
    """

    def __init__(self, factory: str = "palaestra.envs.math.checker:Checker") -> None:
        self._factory = factory
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        # A lock that another thread held at the fork would never be released in the copy.
        self._lock = threading.Lock()
        self._worker: Worker | None = None

    def ask(self, method: str, *args: Any) -> bool:
        """Return ``method(*args)`` of a ``Checker``; False for an answer that ends the process.

        Raises ``DeadlineError``, ``WorkerError`` (the machine failed) and ``MissingExtraError``.
        """
        with self._lock:
            for _ in range(2):
                worker = self._live()
                try:
                    return worker.call(method, *args, deadline_s=_DEADLINE_S)
                except WorkerError as error:
                    if worker.alive:  # not a death but an error of ours
                        raise
                    if OUT_OF_TIME.name in str(error):
                        return False
            self._live().call("equal", "1/2", "0.5", deadline_s=_DEADLINE_S)
            return False

    def _live(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(self._factory)
        elif not self._worker.alive:
            self._worker.restart()
        return self._worker

    def close(self) -> None:
        """End the child process; the next question makes a new one."""
        with self._lock:
            if self._worker is not None:
                self._worker.close()
                self._worker = None


CHECKER = SharedChecker()
