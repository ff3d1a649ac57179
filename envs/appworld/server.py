"""The other end of ``palaestra/AppWorld-v0``, run by the interpreter that has the package ``appworld``.

Only the standard library and appworld are imported here. A request is a line of JSON on standard input,
``{"id": n, "do": "hello" | "start" | "execute" | "evaluate", ...}``; it is answered by one line on what was
standard output: ``{"id": n, "value": ...}`` or ``{"id": n, "error": kind, "message": text}``, of the kinds
"missing" (the package is not there, or not unpacked), "data" (the task cannot be loaded) and "failed".
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import threading
import traceback

# While code runs, the package's guard replaces functions of os: these must stay what they are.
from os import getppid, killpg
from typing import Any

_LOG_LIMIT_BYTES = 1 << 20


class Refused(Exception):
    """A request that cannot be answered, and of which kind that is."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Server:
    """One world at a time."""

    def __init__(self) -> None:
        self._world: Any = None

    def hello(self) -> dict[str, Any]:
        """Import the package, which takes seconds; return its version."""
        try:
            import appworld  # pyright: ignore
        except ImportError as error:
            raise Refused("missing", f"it cannot import appworld: {error}") from error
        if not os.path.isdir(os.path.join(os.path.dirname(appworld.__file__), "apps", "supervisor")):
            raise Refused("missing", "its apps are not unpacked: run `appworld install` there")
        return {"version": str(getattr(appworld, "__version__", "unknown"))}

    def start(self, task: str, timeout_s: int, most_interactions: int) -> dict[str, Any]:
        """Begin the world of a task; return what its agent is told."""
        from appworld import AppWorld  # pyright: ignore

        self._end()
        try:
            self._world = AppWorld(
                task_id=task,
                experiment_name="palaestra",
                timeout_seconds=timeout_s,
                max_interactions=most_interactions,
            )
        except Exception as error:  # the package raises bare Exceptions for whatever it cannot load
            raise Refused("data", f"{type(error).__name__}: {error}") from error
        told = self._world.task
        supervisor = {
            name: getattr(told.supervisor, name)
            for name in ("first_name", "last_name", "email", "phone_number")
        }
        return {
            "instruction": told.instruction,
            "supervisor": supervisor,
            "datetime": told.datetime.strftime("%A, %Y-%m-%d, %H:%M"),
            "apps": list(told.app_descriptions),
        }

    def execute(self, code: str) -> dict[str, Any]:
        """Run code in the world; return what it printed and how things stand."""
        try:
            output = self._world.execute(code)
        except (SystemExit, KeyboardInterrupt) as error:
            # The package lets these pass, with its guard still up.
            self._world.safety_guard.disable()
            output = f"Execution failed. Traceback:\n{type(error).__name__}: {error}"
        return {
            "output": output,
            "completed": bool(self._world.task_completed()),
            "api_calls": len(self._world.requester.request_tracker.requests),
        }

    def evaluate(self) -> list[bool]:
        """Return which of the task's requirements hold, in their order; their texts stay here."""
        found = self._world.evaluate()
        passed = {one["requirement"] for one in found.passes}
        wanted = [one["requirement"] for one in found.test_data or [*found.passes, *found.failures]]
        return [requirement in passed for requirement in wanted]

    def _end(self) -> None:
        world, self._world = self._world, None
        if world is not None:
            world.close()


def main() -> None:
    """Answer requests until standard input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    # Whatever is printed or read from now on must not get into the protocol.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    end = threading.Thread(target=_end_with_parent, args=(requests.fileno(), getppid()), daemon=True)
    end.start()
    server = Server()
    for line in requests:
        request = json.loads(line)
        answer = {"id": request.pop("id"), **_answer(server, request)}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
        _bound_log()
    end.join()  # it has to clean up


def _answer(server: Server, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": getattr(server, request.pop("do"))(**request)}
    except Refused as refused:
        return {"error": refused.kind, "message": str(refused)}
    except Exception:  # the package may raise anything; the other end decides what it means
        return {"error": "failed", "message": traceback.format_exc()}


def _bound_log() -> None:
    if os.fstat(2).st_size > _LOG_LIMIT_BYTES:
        os.ftruncate(2, 0)


def _end_with_parent(descriptor: int, parent: int) -> None:
    """Kill our own process group when the other end is gone, also while code runs or hangs.

    The other end removes our folder when it ends us; where it was killed itself, that is left to us.
    """
    folder = os.getcwd()
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is reported unasked
    while not poll.poll(2000) and getppid() == parent:
        pass
    # Nothing but the folder that process.py made for us, in which the data is only a link.
    if os.path.basename(folder).startswith("palaestra-appworld-") and os.path.islink(f"{folder}/data"):
        shutil.rmtree(folder, ignore_errors=True)
    killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
