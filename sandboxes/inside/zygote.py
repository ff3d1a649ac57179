"""The fork server: a Python that has started once, and forks a confined child for every program.

Runs as ``python -s -P -S zygote.py DESCRIPTOR CONFIG`` inside its own namespaces where the machine allows
them. It never reads a program: source and input pass it by in memory files, so that no later child can find
an earlier program in its inherited memory. Protocol: one packet a request, one packet a reply, over a
``SOCK_SEQPACKET`` socket; the first packet after the greeting brings the files for the program, standard
output and standard error, which serve all runs. See ``forkserver.py`` for the other side. Standard
library only.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import mmap
import os
import random
import resource
import select
import signal
import socket
import sys
import time
import traceback
from typing import Any, NoReturn

_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, _HERE)

import child  # noqa: E402
import kernel  # noqa: E402

# Modules that programs often import: loaded once here instead of in every run.
PRELOADED = (
    "abc", "ast", "bisect", "collections", "contextlib", "copy", "dataclasses", "datetime", "enum",
    "fractions", "functools", "heapq", "io", "itertools", "json", "math", "numbers", "operator", "random",
    "re", "statistics", "string", "textwrap", "time", "typing", "unicodedata",
)  # fmt: skip
DRIVERS = ("repl", "candidate", "tests")
_KILL, _STREAMS = b"kill", b"streams"
_FIRST_TICK_S, _TICK_S, _KILL_GRACE_S = 0.02, 0.05, 0.05
_MESSAGE_BYTES = 1 << 16
_ANY_PID = 0x7FFFFFFF  # stands in a prepared filter where the child's own process id comes
_STARTED, _FAILED = 0, 1  # bytes of the page shared with the child
_FAILURE_AT, _FAILURE_BYTES = 16, 2000


class Jail:
    """How children of this fork server are confined. Made once, applied in each child."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.folder: str = config["folder"]
        self.drop_uid: int = config["drop_uid"]
        self.has_pid_namespace: bool = config["has_pid_namespace"]
        self.writable: bool = config["writable"]
        self.own_memory_bytes = 0
        self._readable: list[str] = config["readable"]
        # The program never has the first, on which our own failures stand; it may write what it likes to the
        # second, which can do no more than a MemoryError.
        self._page = mmap.mmap(-1, mmap.PAGESIZE)
        self._exhausted = mmap.mmap(-1, mmap.PAGESIZE)
        # Where the fork server is init of its process namespace, no signal of a child can end it.
        is_init = self.has_pid_namespace and os.getpid() == 1
        self._lone_filter = (
            b"" if is_init else kernel.child_filter(processes=False, only_own_signals=_ANY_PID)
        )
        self._filters = {flag: kernel.Filter(kernel.child_filter(processes=flag)) for flag in (False, True)}
        self.build_rules()

    def build_rules(self) -> None:
        """(Re)build the Landlock rules: a rule holds for a folder's inode, not for its name."""
        self._rules = rules = kernel.Ruleset()
        hidden = kernel.hidden_packages(["/usr", sys.base_prefix])
        for path in sorted(
            {os.path.realpath(path) for path in ("/usr", "/lib", "/lib64", "/bin", sys.base_prefix)}
        ):
            if path == "/usr" or not path.startswith("/usr/"):
                rules.read_except(path, hidden)
        for path in (*self._readable, "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd"):
            rules.read(path)
        for path in ("/dev/zero", "/dev/random", "/dev/urandom"):
            rules.read(path)
        rules.allow("/dev/null", rules.handled)
        if self.has_pid_namespace:
            rules.read("/proc")
        if self.writable:
            rules.write(self.folder)
        else:
            rules.read(self.folder)

    def rebuild_rules(self) -> None:
        """Build the rules anew after the folder was mounted anew."""
        self._rules.close()
        self.build_rules()

    # ---- in the child ----

    def drop_rights(self) -> None:
        """Become a user that owns nothing, with no capabilities."""
        if self.drop_uid:
            os.setresuid(self.drop_uid, self.drop_uid, self.drop_uid)
        kernel.drop_capabilities()
        # The flag came with the fork server's memory; without it, the program could not read its own /proc.
        kernel.prctl(kernel.PR_SET_DUMPABLE, 1)

    def confine(self, *, processes: bool, keep: int) -> None:
        """Shut the doors for good: files, then descriptors, then system calls."""
        filters = self._filters[processes]
        if self._lone_filter and not processes:
            own = os.getpid().to_bytes(4, "little")
            filters = kernel.Filter(self._lone_filter.replace(_ANY_PID.to_bytes(4, "little"), own))
        self._rules.restrict()
        kernel.close_from(keep)
        filters.install()

    def mark_started(self) -> None:
        """Tell the fork server that from here on the program runs."""
        self._page[_STARTED] = 1
        self._page.close()

    def mark_out_of_memory(self) -> None:
        """Tell the fork server that the program ran out of memory."""
        self._exhausted[0] = 1

    def report_failure(self, text: str) -> None:
        """Tell the fork server why the program could not be started."""
        message = text.encode()[-_FAILURE_BYTES:]
        self._page[_FAILED] = 1
        self._page[_FAILURE_AT : _FAILURE_AT + len(message)] = message

    # ---- in the fork server ----

    def clear_marks(self) -> None:
        """Forget what the last child told."""
        self._page[:2] = b"\0\0"
        self._exhausted[:] = bytes(mmap.PAGESIZE)

    def marks(self) -> tuple[bool, bool, str]:
        """Return whether the program started, whether it ran out of memory, and why it did not start."""
        failure = ""
        if not self._page[_STARTED]:
            raw = self._page[_FAILURE_AT : _FAILURE_AT + _FAILURE_BYTES] if self._page[_FAILED] else b""
            failure = raw.rstrip(b"\0").decode(errors="replace") or "it died before the program began"
        return not failure, bool(self._exhausted[0]), failure


class Zygote:
    """The loop: take a request, fork, watch the limits, clean up, reply."""

    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control = control
        self.streams: list[int] = []
        self.jail = Jail(config)
        self._mounted: bool = config["namespaces"] != "none" and config["namespaces"] != "given"
        self._disk_bytes = 0

    def serve(self) -> None:
        """Answer requests until the other side closes."""
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.control, _MESSAGE_BYTES, 8)
            if not message:
                return
            if message == _KILL:  # it came when the program had just ended by itself
                continue
            if message == _STREAMS:
                self.streams = descriptors
                continue
            try:
                reply = self.run(json.loads(message), descriptors)
            except BaseException:
                reply = {"failure": traceback.format_exc()[-_FAILURE_BYTES:]}
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            if reply.get("ended") != "closed":
                self.control.send(json.dumps(reply).encode())

    def run(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """Run one program to its end; return how it went."""
        if self._mounted and request["file_bytes"] != self._disk_bytes:
            self._set_disk(request["file_bytes"])
        self.jail.clear_marks()
        began = time.monotonic()
        pid = kernel.fork()
        if pid == 0:
            child.become(request, self.streams, descriptors, self.jail)
        ended = self._watch(pid, request, began)
        _, status, usage = os.wait4(pid, 0)
        wall_s = time.monotonic() - began
        self._clean()
        _, out_of_memory, failure = self.jail.marks()
        if failure and not ended:
            return {"failure": failure}
        code = os.waitstatus_to_exitcode(status)
        return {
            "ended": ended or _natural_end(code, usage.ru_utime + usage.ru_stime, request, out_of_memory),
            "code": code,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": wall_s,
            "peak_memory_bytes": usage.ru_maxrss * 1024,
        }

    def _watch(self, pid: int, request: dict[str, Any], began: float) -> str:
        """Wait for the child, or end it at a limit; return the limit's name, or nothing."""
        process = os.pidfd_open(pid)
        clock = (~pid << 3) | 2  # the processor clock of that process; see clock_getcpuclockid(3)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(self.control, select.POLLIN)
        tick_s = _FIRST_TICK_S
        try:
            while True:
                ready = {number for number, _ in poll.poll(tick_s * 1000)}
                if process in ready:
                    return ""
                reason = self._told() if ready else _limit(request, self.streams[1:], clock, began)
                if ready and _ends_within(process, _KILL_GRACE_S):
                    return ""
                if reason:
                    os.kill(pid, signal.SIGKILL)
                    return reason
                tick_s = _TICK_S
        finally:
            os.close(process)

    def _told(self) -> str:
        """Read what the other side says while a program runs: to kill it, or nothing more (it is gone)."""
        return "killed" if self.control.recv(16) else "closed"

    def _clean(self) -> None:
        """End whatever the program left, and empty its folder."""
        if self.jail.has_pid_namespace:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while True:
                os.wait4(-1, 0)
        if os.listdir(self.jail.folder):
            self._empty_folder()

    def _empty_folder(self) -> None:
        if self._mounted:
            kernel.unmount(self.jail.folder)
            mount_scratch(self.jail.folder, self._disk_bytes)
            self.jail.rebuild_rules()
            return
        empty(self.jail.folder)

    def _set_disk(self, size_bytes: int) -> None:
        kernel.mount(
            "", self.jail.folder, "tmpfs", _SCRATCH_FLAGS | kernel.MS_REMOUNT, _scratch_data(size_bytes)
        )
        self._disk_bytes = size_bytes


def _ends_within(process: int, seconds: float) -> bool:
    """Say whether the process ends by itself in that time: what it ends of is then its own doing."""
    return bool(select.select([process], [], [], seconds)[0])


def empty(folder: str) -> None:
    """Remove all that is in a folder, however deep, and whatever its names and rights.

    What lies in a folder comes up to the top instead of being walked down to: so no path gets long.
    """
    fresh = os.urandom(8).hex()
    count = 0
    while names := os.listdir(folder):
        for name in names:
            path = os.path.join(folder, name)
            if not _is_folder(path):
                os.unlink(path)
                continue
            _open_up(path)
            for inner in os.listdir(path):
                count += 1
                inner_path = os.path.join(path, inner)
                if _is_folder(inner_path):
                    _open_up(inner_path)
                os.rename(inner_path, os.path.join(folder, f"{fresh}-{count}"))
            os.rmdir(path)


def _open_up(path: str) -> None:
    # Where attributes cannot be changed, no program can have shut a folder either.
    with contextlib.suppress(PermissionError):
        os.chmod(path, 0o700)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _limit(request: dict[str, Any], streams: list[int], clock: int, began: float) -> str:
    with contextlib.suppress(OSError):  # it may be gone by now
        if time.clock_gettime(clock) > request["cpu_s"]:
            return "cpu limit"
    if time.monotonic() - began > request["wall_s"]:
        return "wall limit"
    if any(os.fstat(stream).st_size > request["output_bytes"] for stream in streams):
        return "output limit"
    return ""


def _natural_end(code: int, cpu_s: float, request: dict[str, Any], out_of_memory: bool) -> str:
    if code == -signal.SIGXCPU or (code == -signal.SIGKILL and cpu_s > request["cpu_s"]):
        return "cpu limit"
    if out_of_memory:
        return "memory limit"
    return "exited" if code >= 0 else "signalled"


# ---- setting up ------------------------------------------------------------------------------------------

_SCRATCH_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV


def _scratch_data(size_bytes: int) -> str:
    return f"size={max(size_bytes, 4096)},nr_inodes=4096,mode=1777"


def mount_scratch(folder: str, size_bytes: int) -> None:
    """Mount an empty, bounded, writable folder in memory."""
    kernel.mount("tmpfs", folder, "tmpfs", _SCRATCH_FLAGS, _scratch_data(size_bytes))


def leave_namespaces(mode: str) -> None:
    """Enter new namespaces of every kind and go on as their first process.

    ``mode`` "root": as the real root; "user": as an ordinary user, who is root in there alone. The process
    that came here stays outside, waits, and exits as the one inside did.
    """
    flags = (
        kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP
    )  # fmt: skip
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(flags | (kernel.CLONE_NEWUSER if mode == "user" else 0))
    if mode == "user":
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"0 {uid} 1")
        _write("/proc/self/gid_map", f"0 {gid} 1")
    inside = os.fork()
    if inside:
        _wait_outside(inside)


def _wait_outside(inside: int) -> NoReturn:
    kernel.close_from(3)
    _, status = os.waitpid(inside, 0)
    os._exit(abs(os.waitstatus_to_exitcode(status)))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def build_root(config: dict[str, Any]) -> None:
    """Make a root directory of read-only system folders, a private /proc and a scratch /tmp, and enter it."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    root = config["root"]
    kernel.mount("tmpfs", root, "tmpfs", kernel.MS_NOSUID, "size=1m,mode=755")
    for path in ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", sys.base_prefix):
        _show(root, path)
    for source, target in config["binds"]:
        os.makedirs(root + target, exist_ok=True)
        kernel.bind_read_only(source, root + target)
    for path in ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"):
        _show_file(root, path)
    for path in ("/etc/ld.so.cache", "/etc/localtime"):
        if os.path.exists(path):
            _show_file(root, os.path.realpath(path), as_path=path)
    with open(f"{root}/etc/passwd", "w") as file:
        file.write("root:x:0:0::/tmp:/bin/sh\n")
        if config["drop_uid"]:
            file.write(f"sandbox:x:{config['drop_uid']}:{config['drop_uid']}::/tmp:/bin/sh\n")
    os.makedirs(f"{root}/proc")
    kernel.mount("proc", f"{root}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    os.makedirs(f"{root}/tmp")
    mount_scratch(f"{root}/tmp", 1 << 20)
    kernel.enter_root(root)
    kernel.mount("", "/", flags=kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID)


def _show(root: str, path: str) -> None:
    if os.path.islink(path):
        os.symlink(os.readlink(path), root + path)
    elif os.path.isdir(path) and not os.path.isdir(root + path):
        os.makedirs(root + path)
        kernel.bind_read_only(path, root + path)


def _show_file(root: str, path: str, as_path: str = "") -> None:
    target = root + (as_path or path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    open(target, "w").close()
    kernel.mount(path, target, flags=kernel.MS_BIND)


def preload_standard() -> None:
    """Import what programs often need, and the drivers; then nothing of ours is on the path any more."""
    for name in (*PRELOADED, *DRIVERS):
        importlib.import_module(name)
    sys.path.remove(_HERE)


def preload_packages(config: dict[str, Any]) -> None:
    """Import the packages that this kind of fork server offers to its programs."""
    sys.path += config["path"]
    for name in config["preload"]:
        importlib.import_module(name)


def main() -> None:
    """Set up as the config says, report, and serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    # Where the kernel does not keep signals apart, a program of the same user could interrupt us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        os.environ.clear()
        os.environ.update(config["variables"])
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2, child.CHANNEL):
            if number != control.fileno():
                os.dup2(null, number)
        preload_standard()
        if config["namespaces"] in ("root", "user"):
            leave_namespaces(config["namespaces"])
            build_root(config)
        preload_packages(config)
        if config["drop_uid"]:
            os.setgroups([])
            os.setresgid(config["drop_uid"], config["drop_uid"], config["drop_uid"])
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.drop_bounding_set()
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        if config["namespaces"] in ("root", "user", "mountable"):
            # After the change of group, which would clear it. Our parent is the process that waits outside;
            # elsewhere it is a thread of the host, whose end means nothing: there the socket's end must do.
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        zygote = Zygote(control, config)
        with open("/proc/self/statm") as file:
            zygote.jail.own_memory_bytes = int(file.read().split()[0]) * resource.getpagesize()
        kernel.Filter(kernel.server_filter(foreign_files=config["namespaces"] == "none")).install()
    except BaseException:
        control.send(json.dumps({"failure": traceback.format_exc()[-_FAILURE_BYTES:]}).encode())
        os._exit(1)
    # Forked children start with this state: a program that draws numbers draws the same ones each time.
    random.seed(0)
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": True, "landlock_abi": kernel.landlock_abi()}).encode())
    zygote.serve()


if __name__ == "__main__":
    main()
