"""The ladder: which sandboxes this machine can give, the strongest that works, and what it lacks.

A rung is judged by doing, never by version numbers: before a sandbox is handed out, a handful of hostile
programs is run in it, and one that gets through refuses the rung. No rung is ever exchanged for a weaker
one behind the caller's back: a name asked for is that rung or an error, and every result names its rung.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palaestra.errors import PalaestraError, UnknownNameError
from palaestra.sandboxes.core import Ended, Limits, Program, Sandbox, SandboxError
from palaestra.sandboxes.forkserver import ForkSandbox

_LIMITS = Limits(cpu_s=0.5, wall_s=3.0, memory_bytes=256 << 20)
_SECRET = "palaestra-self-test-secret"


def _fork(**options: Any) -> Sandbox:
    return ForkSandbox(**options)


def _bubblewrap(**options: Any) -> Sandbox:
    from palaestra.sandboxes.bubblewrap import BubblewrapSandbox

    return BubblewrapSandbox(**options)


def _docker(**options: Any) -> Sandbox:
    from palaestra.sandboxes.docker import DockerSandbox

    return DockerSandbox(**options)


def _subprocess(**options: Any) -> Sandbox:
    from palaestra.sandboxes.plain import SubprocessSandbox

    return SubprocessSandbox(**options)


BACKENDS: dict[str, Callable[..., Sandbox]] = {
    "fork": _fork,
    "bubblewrap": _bubblewrap,
    "docker": _docker,
    "subprocess": _subprocess,
}
# Tried from the top when nobody names one; subprocess isolates nothing, so it must be named.
LADDER = ("fork", "bubblewrap", "docker")


@dataclass(frozen=True, slots=True)
class Escape:
    """A hostile program of the self-test, and what it would show if it got through."""

    name: str
    source: str
    limits: Limits = _LIMITS


def escapes(secret: Path) -> list[Escape]:
    """Return the hostile programs of the self-test. Each prints ESCAPED when it got what it wanted."""
    beside = str(secret) + ".new"
    attacks = {
        "reads a file of this machine": f"assert {_SECRET!r} in open({str(secret)!r}).read()",
        "reads the password file": "open('/etc/shadow').read()",
        "reads its parent's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read(1) or 1 / 0",
        "writes where it should not": f"open({beside!r}, 'w').write('x')",
        "opens a network socket": "socket.socket()",
        "starts a process": "os.fork()",
        "signals its parent": "os.getppid() > 1 or 1 / 0; os.kill(os.getppid(), 0)",
        "takes much memory": "bytearray(1 << 30)",
        "imports what is installed here": "import palaestra",
        "enters new namespaces": "assert ctypes.CDLL(None).unshare(0x10000000) == 0",
    }
    frame = "import ctypes, os, socket\ntry:\n    {}\n    print('ESCAPED')\nexcept BaseException:\n    pass\n"
    return [Escape(name, frame.format(attack)) for name, attack in attacks.items()]


def self_test(sandbox: Sandbox) -> list[str]:
    """Run the hostile programs; return what went wrong, nothing when the sandbox held.

    Raises ``SandboxError`` when the sandbox fails to run a harmless program.
    """
    hello = sandbox.run(Program("print('hello')"), _LIMITS)
    if not hello.ok or hello.output != "hello\n":
        raise SandboxError(f"a harmless program {hello.ended} with {hello.output!r} {hello.errors!r}")
    with tempfile.TemporaryDirectory(prefix="palaestra-self-test-") as folder:
        secret = Path(folder) / "secret"
        secret.write_text(_SECRET)
        secret.chmod(0o644)
        Path(folder).chmod(0o755)
        found = [
            f"a program that {escape.name} got through"
            for escape in escapes(secret)
            if "ESCAPED" in sandbox.run(Program(escape.source), escape.limits).output
        ]
        endless = sandbox.run(Program("while True: pass"), _LIMITS)
        if endless.ended not in (Ended.CPU_LIMIT, Ended.WALL_LIMIT):
            found.append(f"an endless loop {endless.ended}")
    return found


def open_sandbox(name: str | None = None, **options: Any) -> Sandbox:
    """Return a tested sandbox: the backend ``name``, or the strongest that works here.

    ``options`` go to the backend (``workers``, ``kind``). Raises ``UnknownNameError`` for an unknown name,
    ``SandboxError`` when the backend does not work or does not hold.
    """
    if name is not None:
        if name not in BACKENDS:
            raise UnknownNameError("sandbox", name, BACKENDS)
        return _tested(name, options)
    failures = []
    for candidate in LADDER:
        try:
            return _tested(candidate, options)
        except PalaestraError as error:
            failures.append(f"{candidate}: {error}")
    raise SandboxError(
        "no sandbox works on this machine, and code is not run without one. "
        + " | ".join(failures)
        + " | `palaestra sandbox doctor` says more; sandbox='subprocess' runs code with no isolation at all"
    )


def _tested(name: str, options: dict[str, Any]) -> Sandbox:
    sandbox = BACKENDS[name](**options)
    try:
        # Without isolation there is nothing to test; whoever names that backend has chosen it.
        found = [] if name == "subprocess" else self_test(sandbox)
        if found:
            raise SandboxError(f"{sandbox.rung.name} does not hold: {'; '.join(found)}")
    except BaseException:
        sandbox.close()
        raise
    return sandbox


_shared: dict[tuple[int, str | None, str], Sandbox] = {}
_lock = threading.Lock()


def default_sandbox(name: str | None = None, *, kind: str = "plain") -> Sandbox:
    """Return this process's shared sandbox of that name and kind, opened at the first call.

    A forked copy of the process opens its own. Raises as ``open_sandbox`` does.
    """
    key = (os.getpid(), name, kind)
    with _lock:
        if key not in _shared:
            options = {} if kind == "plain" else {"kind": kind}
            _shared[key] = open_sandbox(name, **options)
        return _shared[key]


def close_shared() -> None:
    """Close the shared sandboxes of this process; the next call opens them anew."""
    with _lock:
        for key in [key for key in _shared if key[0] == os.getpid()]:
            with contextlib.suppress(SandboxError):
                _shared.pop(key).close()
