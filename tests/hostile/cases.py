"""What a hostile program is, and how its outcome is judged; the programs are in ``programs.py``.

An attack prints ``ESCAPED`` when it succeeded and ``HELD`` when it was stopped. All of them are bounded: a
bomb stops well past the limits, a signal to everybody is first sent as number 0, so that even a sandbox with
a hole does the machine no lasting harm. Secrets are found by their prefix, so that no program holds the
secret that it looks for. What cannot be seen from inside (a file that appeared, a datagram that arrived) is
seen by the ``World``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from palaestra.sandboxes.core import Ended, ExecResult, Limits, Program

SECRET_PREFIX = "palaestra-" + "planted-"
"""What every planted secret begins with; 32 hexadecimal digits follow."""

ESCAPE_NAME = "palaestra-escape"
"""What the files are called that programs try to leave on the machine."""

PRELUDE = """
import ctypes, errno, os, re, signal, sys, time

def call(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, name)
    function.restype = ctypes.c_long if name == "syscall" else ctypes.c_int
    result = function(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def syscall(*arguments):
    return call("syscall", *[ctypes.c_long(each) if isinstance(each, int) else each for each in arguments])

def judge(*attempts):
    outcomes = []
    for attempt in attempts:
        try:
            outcomes.append(attempt())
        except BaseException as error:
            outcomes.append(False)
            print(type(error).__name__, error, file=sys.stderr)
    escaped = [number for number, outcome in enumerate(outcomes) if outcome is not False]
    print("ESCAPED by attempts %s" % escaped if escaped else "HELD", flush=True)

def refused(attempt):
    # Privileged calls with nonsense: only a kernel that forbids them says so before it looks at them.
    def trying():
        try:
            attempt()
        except OSError as error:
            return False if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS) else True
    return trying

def secrets_in(content):
    found = re.findall(WORLD["prefix"].encode() + b"[0-9a-f]{32}", content)
    if found:
        print(found, flush=True)
    return bool(found)
"""

Complaint = str
"""What is wrong with a result; empty when nothing is."""

Expectation = Callable[[ExecResult, Limits], Complaint]


def held(result: ExecResult, limits: Limits) -> Complaint:
    """Expect that the attack was stopped, and says so."""
    if "HELD" in result.output and result.ended is Ended.EXITED:
        return ""
    return f"it does not say that it was held: {result.ended} {result.signal or result.exit_code}"


def ends(*kinds: Ended) -> Expectation:
    """Expect one of these ends, and within the time that the limits leave."""

    def expectation(result: ExecResult, limits: Limits) -> Complaint:
        return "" if result.ended in kinds else f"ended by {result.ended}, not by {' or '.join(kinds)}"

    return expectation


def exits(code: int, stdout: bytes | None = None) -> Expectation:
    """Expect a normal end with this status, and this standard output exactly."""

    def expectation(result: ExecResult, limits: Limits) -> Complaint:
        if (result.ended, result.exit_code) != (Ended.EXITED, code):
            status = result.signal if result.exit_code is None else result.exit_code
            return f"ended by {result.ended} {status}, not with status {code}"
        if stdout is not None and result.stdout != stdout:
            return f"printed {result.stdout[:80]!r}, not {stdout[:80]!r}"
        return ""

    return expectation


def dies_of(number: int) -> Expectation:
    """Expect the end by this signal."""

    def expectation(result: ExecResult, limits: Limits) -> Complaint:
        if (result.ended, result.signal) != (Ended.SIGNALLED, number):
            return f"ended by {result.ended} {result.signal}, not by signal {number}"
        return ""

    return expectation


def any_of(*expectations: Expectation) -> Expectation:
    """Expect what one of them expects."""

    def expectation(result: ExecResult, limits: Limits) -> Complaint:
        complaints = [each(result, limits) for each in expectations]
        return "" if "" in complaints else "; ".join(complaints)

    return expectation


def starved(result: ExecResult, limits: Limits) -> Complaint:
    """Expect that it did not get what it wanted: it says so, or it was ended for it."""
    return any_of(held, ends(Ended.MEMORY_LIMIT, Ended.CPU_LIMIT), dies_of(9))(result, limits)


TIGHT = Limits(cpu_s=0.3, wall_s=60, memory_bytes=256 << 20, output_bytes=256 << 10, file_bytes=4 << 20)
SLEEPY = Limits(cpu_s=0.3, wall_s=0.7, memory_bytes=256 << 20)
SEVERAL = Limits(cpu_s=1, wall_s=10, memory_bytes=128 << 20, processes=8)


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile program and its expected outcome. ``before`` is a run that came before it in its slot."""

    name: str
    source: str
    expectation: Expectation = held
    limits: Limits = TIGHT
    before: str = ""
    stdin: bytes = b""
    machine: str = ""
    """The only kind of processor it is written for."""

    def program(self, source: str, world: dict[str, object]) -> Program:
        """Return ``source`` (its own, or the one before) with the facts of the world in front."""
        facts = f"WORLD = { ({**world, 'prefix': SECRET_PREFIX, 'escape': ESCAPE_NAME})!r}\n"
        return Program(source=facts + PRELUDE + source, stdin=self.stdin)

    def complaint(self, result: ExecResult, secrets: list[str]) -> Complaint:
        """Return what is wrong with this result, if anything."""
        limits = self.limits
        for secret in secrets:
            if secret.encode() in result.stdout + result.stderr:
                return "read a secret"
        if b"ESCAPED" in result.stdout:
            return f"escaped: {result.output[:200]!r}"
        if max(len(result.stdout), len(result.stderr)) > limits.output_bytes:
            return f"more output than {limits.output_bytes} bytes came back"
        if result.wall_s > limits.wall_s + GRACE_S:
            return f"took {result.wall_s:.1f} s, though {limits.wall_s} s was all it had"
        if result.cpu_s > limits.cpu_s * max(1, limits.processes) + GRACE_S:
            return f"used {result.cpu_s:.1f} s of processor time, though {limits.cpu_s} s was all it had"
        return self.expectation(result, limits)


GRACE_S = 5.0
"""How much later than its limit a run may end on a busy machine."""
