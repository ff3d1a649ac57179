"""Runs hostile programs in one sandbox and says, a JSON line each, what was wrong with their outcome.

    python drive.py BACKEND FAMILY|NAME ...        (PYTHONPATH leads to palaestra.sandboxes)
    python drive.py BACKEND leaks RUNS

It is a process of its own so that it can be an ordinary user's, and so that the suite survives whatever a
program that got through does to its parent.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable

from cases import Hostile
from programs import FAMILIES, PROGRAMS
from world import World, descendants

from palaestra.errors import OptionError, PalaestraError
from palaestra.sandboxes.core import Launch, Limits, Program, Sandbox


def _fork(namespaces: bool) -> Sandbox:
    from palaestra.sandboxes.forkserver import ForkSandbox

    return ForkSandbox(workers=2, namespaces=namespaces)


def _bubblewrap() -> Sandbox:
    from palaestra.sandboxes.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(workers=2)


def _docker() -> Sandbox:
    from palaestra.sandboxes.docker import DockerSandbox

    return DockerSandbox(workers=2)


def _subprocess() -> Sandbox:
    from palaestra.sandboxes.plain import SubprocessSandbox

    return SubprocessSandbox(workers=2)


BACKENDS: dict[str, Callable[[], Sandbox]] = {
    "namespaces": lambda: _fork(True),
    "bare": lambda: _fork(False),
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "subprocess": _subprocess,
}


def say(**facts: object) -> None:
    """Print one line of the report."""
    print(json.dumps(facts), flush=True)


HARMLESS = """
import asyncio, csv, ctypes, datetime, decimal, fcntl, fractions, hashlib, json, random, re, socket
import tempfile, threading, unicodedata, unittest, zlib
print("healthy")
"""


def is_useful(sandbox: Sandbox) -> list[str]:
    """Return what is wrong when a program uses the standard library, if anything."""
    result = sandbox.run(Program(source=HARMLESS))
    return [] if result.ok and result.output == "healthy\n" else [f"the library is not there: {result}"]


def is_healthy(sandbox: Sandbox) -> list[str]:
    """Return what is wrong with a harmless program's run, if anything."""
    result = sandbox.run(Program(source="print('healthy')"))
    good = (
        result.ok and result.output == "healthy\n" and not result.stderr and result.rung == sandbox.rung.name
    )
    return [] if good else [f"the next run was not well: {result}"]


def try_one(sandbox: Sandbox, hostile: Hostile, world: World) -> list[str]:
    """Run one hostile program, and the one before it; return all complaints."""
    found = []
    try:
        if hostile.before:
            before = hostile.before.replace("%SECRET%", repr(world.secrets[0]))
            sandbox.run(hostile.program(before, world.facts()), hostile.limits)
        result = sandbox.run(hostile.program(hostile.source, world.facts()), hostile.limits)
    except OptionError as error:
        # A rung that has no way to hold several processes says so instead of running them.
        found += [] if hostile.limits.processes > 1 else [f"refused: {error}"]
    except PalaestraError as error:
        found.append(f"the sandbox failed: {type(error).__name__}: {error}")
    else:
        complaint = hostile.complaint(result, world.secrets)
        if complaint:
            found.append(f"{complaint} [out {result.output[-300:]!r} err {result.errors[-500:]!r}]")
    return found + world.complaints()


def chosen(names: list[str]) -> list[Hostile]:
    """Return the programs of these families or names."""
    by_name = {program.name: program for program in PROGRAMS}
    found: list[Hostile] = []
    for name in names:
        found += FAMILIES[name] if name in FAMILIES else [by_name[name]]
    return found


def opened(backend: str) -> Sandbox:
    """Return the sandbox; where the machine does not have it, say so and end."""
    try:
        return BACKENDS[backend]()
    except PalaestraError as error:
        say(cannot=f"{type(error).__name__}: {error}")
        sys.exit()


def drive(backend: str, names: list[str]) -> None:
    """Run the chosen programs one after the other, with a harmless one behind each."""
    with World() as world, opened(backend) as sandbox:
        say(rung=sandbox.rung.name, complaints=is_healthy(sandbox) + is_useful(sandbox))
        world.count_processes()
        for hostile in chosen(names):
            complaints = try_one(sandbox, hostile, world)
            try:
                complaints += is_healthy(sandbox)
            except PalaestraError as error:
                complaints.append(f"the next run failed: {error}")
            say(name=hostile.name, complaints=complaints)


MIXED = (
    (Program(source="print(1)"), Limits()),
    (Program(source="print(1)"), Limits()),
    (Program(source="import json\nprint(json.dumps([1]))"), Limits()),
    (Program(source="open('left', 'w').write('x' * 1000)"), Limits()),
    (Program(source="1 / 0"), Limits()),
    (Program(source="import os\nos._exit(0)"), Limits()),
    (Program(source="import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"), Limits()),
    (Program(source="import ctypes\nctypes.string_at(0)"), Limits()),
    (Program(source="input()", stdin=b"x" * 100_000), Limits()),
    (Program(source="print('x' * 100_000)"), Limits(output_bytes=1000)),
    (Program(source="bytes(1 << 40)"), Limits()),
    (Program(source="while True: pass"), Limits(cpu_s=0.02)),
    (Program(source="import time\ntime.sleep(9)"), Limits(wall_s=0.05)),
)


def abandon(sandbox: Sandbox) -> None:
    """Start a program that nobody waits for: its slot is given up, and made anew when it is needed."""
    sandbox.start(Launch(Program(source="import time\ntime.sleep(9)")))


def one_of_all_kinds(sandbox: Sandbox, order: random.Random) -> str:
    """Make a run of a kind drawn by chance; return how it ended."""
    kind = order.random()
    if kind < 0.02:
        with sandbox.session() as session:
            return "session" if session.run("x = 1\nx + 1").value == "2" else "session that failed"
    if kind < 0.04:
        (running,) = sandbox.start(Launch(Program(source="import time\ntime.sleep(9)")))
        running.kill()
        return running.wait().ended
    if kind < 0.06:
        ours, theirs = socket.socketpair()
        with ours:
            source = "import socket\nsocket.socket(fileno=3).sendall(b'said')"
            (running,) = sandbox.start(Launch(Program(source=source), channel=theirs))
            said = ours.recv(10)
            return running.wait().ended if said == b"said" else f"a channel that said {said!r}"
    if kind < 0.063:
        abandon(sandbox)
        return "abandoned"
    program, limits = order.choice(MIXED)
    return sandbox.run(program, limits).ended


def counts() -> dict[str, int]:
    """Count what could be left behind."""
    return {
        "processes": len(descendants()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "files": sum(1 + len(files) for _, _, files in os.walk(tempfile.gettempdir())),
    }


def settled(wanted: dict[str, int]) -> dict[str, int]:
    """Return the counts, as soon as they are no more than wanted; what is being ended takes its time."""
    until = time.monotonic() + 5
    now = counts()
    while any(now[name] > wanted[name] for name in now) and time.monotonic() < until:
        time.sleep(0.05)
        now = counts()
    return now


def warm_up(sandbox: Sandbox) -> None:
    """Bring the sandbox to where it holds what it will hold: two slots that have been used."""
    # Two at once, so that both slots are there.
    for running in sandbox.start(*[Launch(Program(source="print(1)"))] * 2):
        running.wait()
    for program, limits in MIXED:
        sandbox.run(program, limits)


def leaks(backend: str, runs: int) -> None:
    """Make many runs of all kinds, and count what there is before, in the sandbox, and after it."""
    order = random.Random(0)
    ended: Counter[str] = Counter()
    outside = counts()
    with opened(backend) as sandbox:
        for _ in range(10 if backend == "docker" else 0):
            # Its client keeps connections for the last 25 addresses that it asked, and no more.
            abandon(sandbox)
        warm_up(sandbox)
        before = counts()
        for _ in range(runs):
            ended[one_of_all_kinds(sandbox, order)] += 1
        say(before=before, after=settled(before), ended=ended, complaints=is_healthy(sandbox))
    say(before=outside, after=settled(outside))


if __name__ == "__main__":
    if sys.argv[2] == "leaks":
        leaks(sys.argv[1], int(sys.argv[3]))
    else:
        drive(sys.argv[1], sys.argv[2:])
