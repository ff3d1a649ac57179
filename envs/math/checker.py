"""What judges answers that a glance does not decide: it lives in a child process, with limits of its own.

An answer is text of an untrusted policy. Here it meets an algebra system, which may compute for ever, take
all memory, or overflow its stack; so the process that runs this file is one that may die.
"""

from __future__ import annotations

import logging
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from palaestra.errors import MissingExtraError, WorkerError

# The signal of a timer that counts the process's own time.
OUT_OF_TIME = signal.SIGPROF
_CPU_S = 2.0
_MEMORY_BYTES = 2 << 30

_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{\w+\}")
_WORDS = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
# What answers may say besides the words of the question: connectives and functions.
_COMMON_WORDS = {"and", "or", "sin", "cos", "tan", "cot", "sec", "csc", "log", "exp", "sqrt", "frac", "infty"}
_TWO_NUMBERS = re.compile(r"\d\s+\d")
# A comma that does not part thousands, a semicolon, a new line, a connective, two signs in one.
_SEVERAL = re.compile(r",(?!\d{3}(?!\d))|;|\\pm|\\mp|\\\\|(?<![\\A-Za-z])(?:or|and)(?![A-Za-z])")


class Checker:
    """Compares answers by value (``equal``) and asks a generator's own scorer (``score``).

    Raises ``MissingExtraError`` where math-verify is not installed.
    """

    def __init__(self) -> None:
        try:
            from math_verify import parse, verify
        except ImportError as error:
            raise MissingExtraError("judging answers by value", "math") from error
        self._parse, self._verify = parse, verify
        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        # Whatever fails in `equal` makes an answer wrong; so what always fails must show itself here.
        if not self.equal("1/2", "0.5") or self.equal("1/2", "0.6"):
            raise WorkerError("math-verify cannot tell 1/2 from 0.6 here: is another version installed?")

    def equal(self, gold: str, answer: str, question: str = "") -> bool:
        """Say whether ``answer`` has the value of ``gold``; whatever fails in reading it makes it wrong."""
        if not plausible(gold, answer, question):
            return False
        with _limited():
            try:
                # Its own deadlines use SIGALRM, and are off.
                one, other = (self._parse(f"\\boxed{{{text}}}", parsing_timeout=0) for text in (gold, answer))
                return self._verify(one, other, timeout_seconds=0)
            except Exception:  # an algebra system on arbitrary text raises anything
                return False

    def score(self, generator: str, level: str, answer: str, entry: dict[str, Any]) -> bool:
        """Say whether the generator's own scorer gives ``answer`` all of its points."""
        from palaestra.envs.math.generated import dataset

        with _limited():
            try:
                return dataset(generator, level).score_answer(answer, entry) == 1.0
            except Exception:  # as above
                return False


@contextmanager
def _limited() -> Iterator[None]:
    """End this process when the block takes more processor time than an honest answer needs.

    By the processor's clock, since a wall clock on a busy machine punishes the innocent; and by the signal's
    default action, since a handler would have to wait for the long multiplication that it is to end.
    """
    signal.signal(OUT_OF_TIME, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, _CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def plausible(gold: str, answer: str, question: str = "") -> bool:
    """Reject what math-verify would let pass: text beside the answer, and equations that are none.

    It drops words ("5 million" is 5 to it), now and then one of two values, reads ``1 2`` as 3, and takes the
    right-hand side of any equation ("x + 7 = 5" is 5). So words must be those of the question or of the gold
    answer, such as units, and there is one value where the gold answer is one.
    """
    if len(answer) > 300 + 2 * len(gold):
        return False
    known = f"{gold} {question}".casefold()
    for word in _WORDS.findall(_ENVIRONMENT.sub(" ", answer)):
        if word.casefold().removesuffix("s") not in known and word not in _COMMON_WORDS:
            return False
    for several in (_TWO_NUMBERS, _SEVERAL):
        if several.search(_thin(answer)) and not several.search(_thin(gold)):
            return False
    return _equals_signs(answer) <= _equals_signs(gold)


def _thin(text: str) -> str:
    """Take out what stands between the thousands of a number in LaTeX."""
    return re.sub(r"\\[!,]", "", text).replace("{,}", ",")


def _equals_signs(text: str) -> int:
    """Count the equations of ``text`` whose left-hand side is more than a name."""
    parts = re.split(r"(?<![<>!:])=", text)
    return sum(re.fullmatch(r"\s*\\?[A-Za-z]\w*(?:\([A-Za-z]\))?\s*", part) is None for part in parts[:-1])
