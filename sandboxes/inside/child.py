"""What a forked child of the fork server does: take its streams, confine itself, run the program.

Everything before ``run_program`` is trusted; from there on nothing in this process is. Standard library only.
"""

from __future__ import annotations

import atexit
import builtins
import importlib
import linecache
import marshal
import os
import resource
import signal
import socket
import sys
import threading
import traceback
import types
from typing import Any, NoReturn

CHANNEL = 3
PATH = "/usr/local/bin:/usr/bin:/bin"
_SOURCE_NAME = "main.py"


def become(request: dict[str, Any], streams: list[int], descriptors: list[int], jail: Any) -> NoReturn:
    """Turn this forked child into the program that ``request`` and the payload describe, and run it.

    ``streams``: payload, standard output, standard error. ``descriptors``: standard input if
    ``request["stdin"]``, then the channel if ``request["channel"]``. ``jail`` confines the process (see
    ``zygote.Jail``).
    """
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        payload = os.pread(streams[0], request["payload_bytes"], 0)
        source, argv, driver, variables, files = marshal.loads(payload)
        _take_streams(request, streams, descriptors)
        jail.drop_rights()
        os.chdir(jail.folder)
        for path, content in files.items():
            _write_file(path, content)
        _set_limits(request, jail.own_memory_bytes)
        if variables:
            os.environ.update(variables)
        jail.confine(processes=request["processes"] > 1, keep=CHANNEL + 1 if request["channel"] else CHANNEL)
    except BaseException:
        # Our own failure: the exit status says so to the fork server, which no program can do before this.
        jail.report_failure(traceback.format_exc())
        os._exit(1)
    jail.mark_started()
    del payload, files
    if argv:
        _execute(argv)
    run_program(source.decode("utf-8", "surrogatepass"), driver, jail.mark_out_of_memory)


def run_program(source: str, driver: str, out_of_memory: Any) -> NoReturn:
    """Run Python ``source`` as ``__main__`` (or a driver on it) and exit as Python would."""
    try:
        status = _driven(source, driver) if driver else _as_main(source)
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except MemoryError:
        out_of_memory()
        status = 1
    except BaseException:
        status = 120  # Python's own status when the streams cannot be flushed
    os._exit(status & 0xFF)


def _driven(source: str, driver: str) -> int:
    channel = socket.socket(fileno=CHANNEL)
    try:
        importlib.import_module(driver).main(source, channel)
    except SystemExit as error:
        return exit_status(error)
    return 0


def _as_main(source: str) -> int:
    module = types.ModuleType("__main__")
    module.__dict__.update(__file__=_SOURCE_NAME, __builtins__=builtins, __annotations__={})
    sys.modules["__main__"] = module
    sys.argv[:] = [_SOURCE_NAME]
    sys.path.insert(0, "")
    try:
        exec(compile(source, _SOURCE_NAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as error:
        return exit_status(error)
    except MemoryError:
        sys.stderr.write("MemoryError\n")
        raise
    except BaseException as error:
        show_error(error, source, _SOURCE_NAME)
        return 1
    return 0


def exit_status(error: SystemExit) -> int:
    """Return the exit status that ``error`` stands for, printing its message as Python does."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    print(error.code, file=sys.stderr)
    return 1


def show_error(error: BaseException, source: str, name: str) -> None:
    """Print the traceback of ``error`` without our own frames, with lines of ``source``."""
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(type(error), error, trace)


def _execute(argv: list[str]) -> NoReturn:
    try:
        os.execvpe(argv[0], argv, os.environ)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _take_streams(request: dict[str, Any], streams: list[int], descriptors: list[int]) -> None:
    # The fork server holds the first descriptors itself, so none of those received is a target.
    targets = ([0] if request["stdin"] else []) + ([CHANNEL] if request["channel"] else [])
    os.dup2(streams[1], 1)
    os.dup2(streams[2], 2)
    for number, target in zip(descriptors, targets, strict=True):
        os.dup2(number, target, inheritable=target != CHANNEL)


def _write_file(path: str, content: bytes) -> None:
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)


_MOST_DESCRIPTORS = 64
_MOST_THREADS = 64
_OTHER_PROCESSES = 2  # of the same user: the fork server, and the one that waits outside its namespaces


def _set_limits(request: dict[str, Any], own_memory_bytes: int) -> None:
    # A second above the fork server's own watch, which is finer; this one also counts for grandchildren.
    cpu_s = int(request["cpu_s"]) + 2
    # The kernel counts threads as processes. Where no process can be started the limit is one of threads.
    processes = request["processes"] if request["processes"] > 1 else _MOST_THREADS
    for kind, value in (
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_AS, request["memory_bytes"] + own_memory_bytes),
        (resource.RLIMIT_FSIZE, request["file_bytes"]),
        (resource.RLIMIT_NOFILE, _MOST_DESCRIPTORS),
        (resource.RLIMIT_NPROC, processes + _OTHER_PROCESSES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        _, hard = resource.getrlimit(kind)
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (limit, limit))
