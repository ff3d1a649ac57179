"""What runs beside a skill inside the sandbox and tells what the skill did. Standard library only.

Its source is sent into the session that tries a skill; it is imported nowhere. It shares its interpreter with
the skill, so code that looks for it can fool it: what keeps this machine safe is the sandbox, and what is
found here keeps a library fit for use. Every finding is a pair of a ``Refusal``'s name and a detail.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Finding = tuple[str, str]

# Audit events by what they mean; a name that ends in a dot stands for all that begin so.
_EVENTS = {
    "PROCESSES": (
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.exec",
        "os.spawn",
        "os.system",
        "os.kill",
        "os.killpg",
        "subprocess.Popen",
        "pty.spawn",
        "signal.pthread_kill",
    ),
    "NETWORK": ("socket.",),
    "NATIVE": ("ctypes.dlsym", "ctypes.dlsym/handle", "ctypes.call_function"),
    "TAMPERS": ("sys.settrace", "sys.setprofile", "sys.addaudithook", "gc.get_"),
    "FILES": (
        "os.remove",
        "os.rmdir",
        "os.rename",
        "os.truncate",
        "os.link",
        "os.symlink",
        "os.chmod",
        "os.chown",
        "shutil.",
    ),
}
_READS = ("shutil.copy", "shutil.get_", "shutil.which", "shutil.make_archive")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_TRUNC
_BAIT = {"notes.txt": "notes that were here before\n", "data/values.csv": "1,2\n3,4\n"}


class Watch:
    """Remembers the interpreter, blocks and notes what a skill may not do, and tells what it changed."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.seen: list[Finding] = []
        self.made: set[str] = set()
        self.on = False
        sys.dont_write_bytecode = True
        for path, text in _BAIT.items():
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        sys.addaudithook(self._hook)

    def begin(self) -> None:
        """Remember how things are and start to watch."""
        self.live = builtins.__dict__
        self.builtins = dict(self.live)
        self.modules = {name: _functions_of(module) for name, module in sys.modules.items()}
        self.names = dict(self.namespace)
        self.state = _state()
        self.threads = set(threading.enumerate())
        self.on = True

    def call(self, function: Callable[[], Any]) -> Any:
        """Return what ``function`` does, and put the builtins back, without which nothing could be told."""
        try:
            return function()
        finally:
            # No builtin is called here: any of them may be the skill's by now.
            before, now = self.builtins, self.live
            changed = [name for name in before if name not in now or now[name] is not before[name]]
            changed += [name for name in now if name not in before]
            self.seen += [("SHADOWS", f"the builtin {name}") for name in changed if name != "_"]
            now.clear()
            now.update(before)

    def found(self, own: Iterable[str]) -> list[Finding]:
        """Return what was done since the beginning; ``own`` are the names that the skill may define."""
        self.on = False
        found = [*self.seen, *_changes("builtin", self.builtins, self.live)]
        for name, functions in self.modules.items():
            if name not in sys.modules:
                found.append(("TAMPERS", f"the module {name} is gone"))
            else:
                found += _changes(f"function of {name}", functions, vars(sys.modules[name]), news=False)
        allowed = {*own, "_", "__annotations__", "__warningregistry__"}
        found += _changes("global name", self.names, self.namespace, allowed)
        now = _state()
        found += [("TAMPERS", f"{name} is another") for name in now if now[name] != self.state[name]]
        if set(threading.enumerate()) - self.threads:
            found.append(("LINGERS", "a thread still runs"))
        found += [
            ("FILES", f"{path} is no longer what it was") for path in _BAIT if _read(path) != _BAIT[path]
        ]
        self.on = True
        return found

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            self._opened(*arguments)
            return
        if event == "os.mkdir":
            self.made.add(_absolute(arguments[0]))
            return
        for kind, names in _EVENTS.items():
            if any(event == name or (name[-1] in "._" and event.startswith(name)) for name in names):
                if kind == "FILES" and (event.startswith(_READS) or self._is_own(arguments)):
                    return
                self._refuse(kind, f"{event} {arguments!r:.80}")

    def _opened(self, path: Any, mode: Any, flags: int) -> None:
        if isinstance(path, int) or not flags & _WRITES or path == os.devnull:
            return
        if os.path.exists(path) and _absolute(path) not in self.made:
            self._refuse("FILES", f"open {path!r} to write")
        self.made.add(_absolute(path))

    def _is_own(self, arguments: tuple[Any, ...]) -> bool:
        """Whether all paths are of files that the skill made, or (by descriptor) within a folder it made."""
        paths = [item for item in arguments if isinstance(item, str | bytes | os.PathLike)]
        within = [item for item in arguments if isinstance(item, int) and item > 2]
        absolute = [_absolute(path) for path in paths]
        if within and not any(os.path.isabs(os.fspath(path)) for path in paths):
            absolute = [os.path.realpath(f"/proc/self/fd/{item}") for item in within]
        # The target of a renaming may be a new name, and is the skill's then.
        own = bool(absolute) and all(
            path in self.made or os.path.dirname(path) in self.made or not os.path.lexists(path)
            for path in absolute
        )
        if own:
            self.made.update(absolute)
        return own

    def _refuse(self, kind: str, detail: str) -> None:
        self.seen.append((kind, detail))
        raise PermissionError(f"a skill may not do this: {detail}")


def _functions_of(module: types.ModuleType) -> dict[str, Any]:
    return {name: value for name, value in list(vars(module).items()) if callable(value)}


def _changes(
    what: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    allowed: Iterable[str] = ("_",),
    *,
    news: bool = True,
) -> list[Finding]:
    """Return what was taken away or bound to another object, and with ``news`` what was added."""
    changed = [name for name in before if name not in now or now[name] is not before[name]]
    added = [name for name in now if name not in before] if news else []
    return [
        ("SHADOWS" if what != "global name" or hasattr(builtins, name) else "TAMPERS", f"the {what} {name}")
        for name in [*changed, *added]
        if name not in allowed
    ]


def _state() -> dict[str, Any]:
    """Return what else the code after a skill relies on."""
    return {
        "the working folder": os.getcwd(),
        "the environment": dict(os.environ),
        "sys.path": list(sys.path),
        "sys.stdout": (id(sys.stdin), id(sys.stdout), id(sys.stderr)),
        "the recursion limit": sys.getrecursionlimit(),
        "sys.excepthook": id(sys.excepthook),
        "a signal handler": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
    }


def _absolute(path: Any) -> str:
    return os.path.realpath(os.fsdecode(path))


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
