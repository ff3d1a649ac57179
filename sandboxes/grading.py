"""Grading untrusted programs apart from what grades them.

``grade`` runs the tests in one sandboxed process and the candidate in another; only plain literals cross
between the two, and the verdict is the exit status of the tests' process. ``grade_output`` compares what
programs print out here, so that expected outputs never enter a sandbox. Neither test source nor answers can
be read, and no verdict written, from where the candidate runs. Tests that a candidate has seen can still be
hard-coded: keep the grading tests hidden.
"""

from __future__ import annotations

import ast
import json
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from palaestra.errors import InfrastructureError, OptionError
from palaestra.sandboxes.core import Ended, ExecResult, Launch, Limits, Program, Sandbox, usable_cores
from palaestra.sandboxes.inside.codec import Verdict

_MESSAGE_CHARACTERS = 4000


class Outcome(StrEnum):
    """What came of a grade. Only ``PASSED`` is a pass."""

    PASSED = "passed"
    FAILED = "failed"
    """An assertion of the tests failed, the candidate raised, or its program did not load."""
    ERROR_IN_TESTS = "error in tests"
    """The tests failed on their own: before they called the candidate, or without ever calling it."""
    TIMEOUT = "timeout"
    """Either side came to its limit of processor time or of real time."""
    CRASHED = "crashed"
    """The candidate's process ended while it was needed, by itself, a signal or another limit."""
    BAD_REPLY = "bad reply"
    """The candidate's process sent something that is no answer to the question asked."""
    MISSING_FUNCTION = "missing function"
    """The tests call a function that the candidate's program does not define."""
    UNSUPPORTED = "unsupported"
    """A value that is no plain literal would have to cross."""


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one candidate."""

    passed: bool
    outcome: Outcome
    message: str
    """Why, at most 4,000 characters. It may quote a hidden test: think before showing it to anyone."""
    trust: str
    """``"split"``, ``"output"`` (compared out here), or ``"inprocess"``: a candidate can forge it."""
    rung: str
    """The rung of isolation the candidate ran under."""
    wall_s: float
    """Time from asking for room in the sandbox to the verdict."""


# ---- tests in Python ---------------------------------------------------------------------------------


def grade(
    sandbox: Sandbox,
    *,
    candidate: str,
    tests: str,
    prelude: str = "",
    entry_point: str = "",
    limits: Limits | None = None,
    inprocess: bool = False,
) -> Grade:
    """Grade the program ``candidate`` by the Python source ``tests``.

    Tests are asserts that call the candidate's functions by name, or define ``check(candidate)``, which is
    then called with the candidate's function ``entry_point``. ``prelude`` is trusted source that runs before
    them on their side: helpers that the tests call must come from there, or the candidate provides them.
    Arguments and results cross as plain literals, changes to arguments and builtin exception classes too.
    Each side has ``limits`` for itself.

    A value that cannot cross makes the outcome ``UNSUPPORTED``. With ``inprocess=True``, tests that pass such
    a value are graded by ``grade_in_process`` instead; what a candidate *returns* never brings that about.
    Raises ``SandboxError`` when the sandbox fails, ``OptionError`` for tests or prelude that are no text.
    """
    limits = limits or Limits()
    started = time.monotonic()
    if (refused := _refuse_text(sandbox, candidate, tests, prelude)) is not None:
        return refused
    request = json.dumps({"tests": tests, "prelude": prelude, "entry_point": entry_point})
    theirs, ours = _run_pair(sandbox, request, candidate, limits)
    outcome, message = _judge(ours)
    if outcome is Outcome.CRASHED and theirs is not None:
        outcome, message = _explain_crash(theirs)
    if inprocess and ours.exit_code == Verdict.UNSUPPORTED_TESTS:
        return grade_in_process(
            sandbox, candidate=candidate, tests=tests, prelude=prelude, entry_point=entry_point, limits=limits
        )
    return _grade(outcome, message, "split", ours.rung, started)


def grade_in_process(
    sandbox: Sandbox,
    *,
    candidate: str,
    tests: str,
    prelude: str = "",
    entry_point: str = "",
    limits: Limits | None = None,
) -> Grade:
    """Grade as ``grade`` does, but in one process, which functions and objects of classes need not leave.

    A pass writes a nonce that is made for this grade. A candidate that looks for it in its own process finds
    it, so the grade is marked ``trust="inprocess"``. Errors as in ``grade``.
    """
    started = time.monotonic()
    if (refused := _refuse_text(sandbox, candidate, tests, prelude)) is not None:
        return refused
    nonce = secrets.token_hex(16)
    request = {"tests": tests, "prelude": prelude, "entry_point": entry_point}
    source = json.dumps(request | {"candidate": candidate, "nonce": nonce})
    with _closed_channel() as channel:
        (running,) = sandbox.start(
            Launch(Program(source=source, driver="tests"), limits or Limits(), channel)
        )
    result = running.wait()
    outcome, message = _judge(result)
    if outcome is Outcome.PASSED and message != nonce:
        outcome, message = Outcome.CRASHED, "the process ended before the tests did"
    return _grade(outcome, message.replace(nonce, ""), "inprocess", result.rung, started)


def _run_pair(
    sandbox: Sandbox, request: str, candidate: str, limits: Limits
) -> tuple[ExecResult | None, ExecResult]:
    """Run candidate and tests with a channel between them; return how each ended (None: we do not know)."""
    candidate_end, tests_end = socket.socketpair()
    with candidate_end, tests_end:
        running, testing = sandbox.start(
            Launch(Program(source=candidate, driver="candidate"), limits, candidate_end),
            Launch(Program(source=request, driver="tests"), limits, tests_end),
        )
    try:
        ours = testing.wait()
    finally:
        # The verdict stands: what still runs over there can add nothing to it.
        running.kill()
        theirs = None
        with suppress(InfrastructureError):
            theirs = running.wait()
    return theirs, ours


def _closed_channel() -> socket.socket:
    """Return a channel with nobody at its other end, for a driver that is started with one and uses none."""
    one, other = socket.socketpair()
    other.close()
    return one


def _judge(result: ExecResult) -> tuple[Outcome, str]:
    """Return the verdict that the tests' process gave, and its message."""
    message = result.errors.rpartition("\0")[2]
    if result.ended is Ended.EXITED and result.exit_code in set(Verdict):
        verdict = Verdict(result.exit_code)
        if verdict is Verdict.UNSUPPORTED_TESTS:
            return Outcome.UNSUPPORTED, message
        return Outcome[verdict.name], message
    if result.ended in (Ended.CPU_LIMIT, Ended.WALL_LIMIT):
        return Outcome.TIMEOUT, f"the tests came to the {result.ended}"
    return Outcome.ERROR_IN_TESTS, f"the tests' process was ended: {_how(result)}"


def _explain_crash(result: ExecResult) -> tuple[Outcome, str]:
    """Return outcome and message for a candidate's process that went away."""
    if result.ended in (Ended.CPU_LIMIT, Ended.WALL_LIMIT):
        return Outcome.TIMEOUT, f"the candidate came to the {result.ended}"
    return Outcome.CRASHED, f"the candidate's process was ended: {_how(result)}"


def _how(result: ExecResult) -> str:
    if result.ended is Ended.EXITED:
        return f"it exited with status {result.exit_code}"
    if result.ended is Ended.SIGNALLED:
        return f"signal {result.signal}"
    if result.ended is Ended.KILLED:
        return "it closed its channel"
    return str(result.ended)


def _grade(outcome: Outcome, message: str, trust: str, rung: str, started: float) -> Grade:
    passed = outcome is Outcome.PASSED
    wall_s = time.monotonic() - started
    return Grade(passed, outcome, message[:_MESSAGE_CHARACTERS], trust, rung, wall_s)


def _refuse_text(sandbox: Sandbox, candidate: str, *trusted: str) -> Grade | None:
    """Return the grade of a candidate that is no valid text. Raises ``OptionError`` for trusted source."""
    for text in trusted:
        if not _is_text(text):
            raise OptionError("tests and prelude must be text that UTF-8 can encode")
    if _is_text(candidate):
        return None
    message = "the program holds characters that UTF-8 cannot encode"
    return Grade(False, Outcome.FAILED, message, "split", sandbox.rung.name, 0.0)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def split_prompt(prompt: str, entry_point: str) -> str:
    """Return what a prompt defines beside the function to be written: imports and helpers.

    ``prompt`` is source that ends in the head of function ``entry_point`` (HumanEval's form). The result is
    the ``prelude`` for ``grade``: tests that call a helper then call the task's own, not the candidate's.
    Raises ``OptionError`` for a prompt that is no Python or lacks the function.
    """
    try:
        body = ast.parse(f"{prompt.rstrip()}\n    pass\n").body
    except SyntaxError as error:
        raise OptionError(f"the prompt of {entry_point!r} is no head of a Python function: {error}") from None
    rest = [node for node in body if getattr(node, "name", None) != entry_point]
    if len(rest) == len(body):
        raise OptionError(f"the prompt does not define {entry_point!r}")
    return ast.unparse(ast.Module(rest, []))


# ---- programs that read and print --------------------------------------------------------------------


def grade_output(
    sandbox: Sandbox, *, candidate: str, cases: Sequence[tuple[str, str]], limits: Limits | None = None
) -> Grade:
    """Grade the program ``candidate`` by (standard input, expected standard output) pairs.

    Each case is a run of its own with ``limits`` for itself; the first that fails ends the grade. Outputs are
    equal when their lines are, trailing white space and empty lines at the end aside. A program must end
    with status 0. Raises ``SandboxError`` when the sandbox fails, ``OptionError`` when there are no cases.
    """
    if not cases:
        raise OptionError("a grade by output needs at least one case")
    started = time.monotonic()
    if (refused := _refuse_text(sandbox, candidate)) is not None:
        return refused
    for number, (given, expected) in enumerate(cases, start=1):
        result = sandbox.run(Program(source=candidate, stdin=given.encode()), limits)
        outcome, message = _judge_output(result, expected)
        if outcome is not Outcome.PASSED:
            return _grade(outcome, f"case {number}: {message}", "output", result.rung, started)
    return _grade(Outcome.PASSED, "", "output", sandbox.rung.name, started)


def _judge_output(result: ExecResult, expected: str) -> tuple[Outcome, str]:
    if result.ended in (Ended.CPU_LIMIT, Ended.WALL_LIMIT):
        return Outcome.TIMEOUT, f"the program came to the {result.ended}"
    if not result.ok:
        last = result.errors.strip().rpartition("\n")[2]
        return Outcome.CRASHED, f"the program was ended: {_how(result)}. {last}".strip()
    # Output that is not UTF-8 must not be made equal to replacement characters.
    if _lines(result.stdout) == _lines(expected.encode()):
        return Outcome.PASSED, ""
    return Outcome.FAILED, f"expected {_cut(expected)}, got {_cut(result.output)}"


def _lines(output: bytes) -> list[bytes]:
    return [line.rstrip() for line in output.rstrip().split(b"\n")]


def _cut(text: str) -> str:
    return repr(text if len(text) <= 500 else text[:500] + "…")


# ---- many at once ------------------------------------------------------------------------------------


class GradeRequest(Protocol):
    """Something that can be graded in a sandbox: a ``TestsRequest`` or an ``OutputRequest``."""

    def grade(self, sandbox: Sandbox) -> Grade:
        """Return the verdict. Raises ``SandboxError``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TestsRequest:
    """The arguments of ``grade``."""

    __test__ = False  # pytest would take the class for a test
    candidate: str
    tests: str
    prelude: str = ""
    entry_point: str = ""
    limits: Limits = field(default_factory=Limits)
    inprocess: bool = False

    def grade(self, sandbox: Sandbox) -> Grade:
        """Return what ``grade`` returns."""
        return grade(
            sandbox,
            candidate=self.candidate,
            tests=self.tests,
            prelude=self.prelude,
            entry_point=self.entry_point,
            limits=self.limits,
            inprocess=self.inprocess,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRequest:
    """The arguments of ``grade_output``."""

    candidate: str
    cases: Sequence[tuple[str, str]]
    limits: Limits = field(default_factory=Limits)

    def grade(self, sandbox: Sandbox) -> Grade:
        """Return what ``grade_output`` returns."""
        return grade_output(sandbox, candidate=self.candidate, cases=self.cases, limits=self.limits)


def grade_many(
    sandbox: Sandbox, requests: Iterable[GradeRequest], *, concurrency: int | None = None, retries: int = 1
) -> list[Grade | InfrastructureError]:
    """Grade all requests side by side; return what came of each, in their order.

    ``concurrency`` requests are under way at once (2 a usable core when not given); how many programs really
    run is the sandbox's affair. A request under which the sandbox failed is tried ``retries`` times more;
    then its place holds the error, which is no verdict: no reward may be made of it. Raises ``OptionError``
    for a request that no sandbox could grade.
    """

    def verdict(request: GradeRequest) -> Grade | InfrastructureError:
        for _ in range(retries):
            with suppress(InfrastructureError):
                return request.grade(sandbox)
        try:
            return request.grade(sandbox)
        except InfrastructureError as error:
            return error

    with ThreadPoolExecutor(concurrency or 2 * usable_cores(), thread_name_prefix="grade") as pool:
        return list(pool.map(verdict, requests))
