"""The fork sandbox, its sessions, and the ladder. Hostile programs have their own suite (tests/hostile)."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace

import pytest

from palaestra.errors import OptionError, UnknownNameError
from palaestra.sandboxes import forkserver, ladder
from palaestra.sandboxes.core import Ended, Launch, Limits, Program, Rung, Sandbox, SandboxError
from palaestra.sandboxes.forkserver import ForkSandbox
from palaestra.sandboxes.inside import kernel
from palaestra.sandboxes.session import Session, ToolRefusal

pytestmark = pytest.mark.skipif(
    not kernel.supported() or not kernel.landlock_abi(), reason="the fork server needs Linux with Landlock"
)
QUICK = Limits(cpu_s=1.0, wall_s=10.0)


@pytest.fixture(scope="module", params=["namespaces", "bare"])
def sandbox(request):
    try:
        opened = ForkSandbox(2, namespaces=request.param == "namespaces")
    except SandboxError as error:
        pytest.skip(f"this machine allows no namespaces: {error}")
    with opened:
        yield opened


@pytest.fixture(scope="module")
def full():
    """The default sandbox with whatever this machine allows."""
    with ForkSandbox(2) as opened:
        yield opened


def slots_of(sandbox):
    return sandbox._pool._idle


# ---- programs ------------------------------------------------------------------------------------------


def test_a_program_behaves_as_under_python(sandbox):
    source = (
        "import sys\nprint(input(), sys.argv, __name__, __file__)\nprint('e', file=sys.stderr)\nsys.exit(3)"
    )
    result = sandbox.run(Program(source, stdin="gr\u00fc\u00df".encode()), QUICK)
    assert (result.ended, result.exit_code, result.signal) == (Ended.EXITED, 3, None)
    assert result.output == "gr\u00fc\u00df ['main.py'] __main__ main.py\n"
    assert result.errors == "e\n"
    assert not result.ok
    assert result.rung == sandbox.rung.name


def test_a_traceback_shows_the_program_and_nothing_of_ours(sandbox):
    result = sandbox.run(Program("def f():\n    1 / 0\nf()\n"), QUICK)
    assert result.exit_code == 1
    assert result.errors.count("File ") == 2
    assert "    1 / 0" in result.errors
    assert result.errors.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("source", "code", "shown"),
    [
        ("import sys; sys.exit('bye')", 1, "bye"),
        ("raise SystemExit", 0, ""),
        ("def (", 1, "SyntaxError"),
        ("import os; os._exit(0)", 0, ""),
        ("import atexit; atexit.register(print, 'last'); print('first')", 0, "first\nlast"),
        ("import threading; threading.Thread(target=lambda: print('thread')).start()", 0, "thread"),
        ("\ud800", 1, "Error"),
    ],
)
def test_endings(sandbox, source, code, shown):
    result = sandbox.run(Program(source), QUICK)
    assert result.ended is Ended.EXITED
    assert result.exit_code == code
    assert shown in (result.output + result.errors)


def test_files_are_there_and_gone_in_the_next_run(sandbox):
    program = Program("print(open('a/b.txt').read(), open('c').read())", files={"a/b.txt": b"B", "c": b"C"})
    assert sandbox.run(program, QUICK).output == "B C\n"
    for _ in slots_of(sandbox):
        assert sandbox.run(Program("import os; print(os.listdir('.'))"), QUICK).output == "[]\n"


def test_written_files_are_gone_in_the_next_run(full):
    if "a writable folder" in full.rung.lacks:
        pytest.skip("this machine allows no namespaces")
    write = Program("open('x', 'w').write('1'); __import__('os').makedirs('d/e'); print('ok')")
    assert full.run(write, QUICK).output == "ok\n"
    assert full.run(Program("import os; print(os.listdir('.'))"), QUICK).output == "[]\n"


def test_an_argv_runs_with_its_variables(full):
    result = full.run(
        Program(argv=("sh", "-c", "echo $GREETING; exit 4"), variables={"GREETING": "hi"}), QUICK
    )
    assert (result.output, result.exit_code) == ("hi\n", 4)
    missing = full.run(Program(argv=("no-such-command",)), QUICK)
    assert missing.exit_code == 127
    assert "no-such-command" in missing.errors


def test_the_environment_is_fixed_and_random_numbers_repeat(full, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    source = "import os, random; print(sorted(os.environ), random.random(), hash('a'))"
    first, second = (full.run(Program(source), QUICK).output for _ in range(2))
    assert first == second
    assert "SECRET_KEY" not in first


def test_limits_end_programs_by_name(sandbox):
    cases = [
        ("while True: pass", replace(QUICK, cpu_s=0.2), Ended.CPU_LIMIT),
        ("import time; time.sleep(60)", replace(QUICK, wall_s=0.3), Ended.WALL_LIMIT),
        ("x = [0] * 10**9", QUICK, Ended.MEMORY_LIMIT),
        ("while True: print('x' * 1000)", replace(QUICK, output_bytes=10_000), Ended.OUTPUT_LIMIT),
        ("import os; os.kill(os.getpid(), 11)", QUICK, Ended.SIGNALLED),
    ]
    for source, limits, ended in cases:
        result = sandbox.run(Program(source), limits)
        assert result.ended is ended, source
        assert result.exit_code is None
        assert len(result.stdout) <= limits.output_bytes
    assert sandbox.run(Program("print(1)"), QUICK).ok


def test_processes_are_allowed_by_number(full):
    if "a second process" in full.rung.lacks:
        with pytest.raises(OptionError, match="processes=1"):
            full.run(Program("print(1)"), Limits(processes=2))
        pytest.skip("this machine allows no namespaces")
    source = "import subprocess; print(subprocess.run(['echo', 'hi'], capture_output=True).stdout)"
    assert full.run(Program(source), replace(QUICK, processes=4)).output == "b'hi\\n'\n"
    assert "Error" in full.run(Program(source), QUICK).errors


def test_a_daemon_dies_with_its_program(full):
    if "a second process" in full.rung.lacks:
        pytest.skip("this machine allows no namespaces")
    marker = f"palaestra-daemon-{os.getpid()}"
    source = (
        "import os, time\n"
        f"if os.fork() == 0:\n    os.setsid()\n    os.execv('/bin/sleep', ['{marker}', '300'])\n"
        "time.sleep(0.2)"
    )
    assert full.run(Program(source), replace(QUICK, processes=4)).ok
    assert subprocess.run(["pgrep", "-f", marker], capture_output=True).returncode == 1


def test_kill_ends_a_program(sandbox):
    (running,) = sandbox.start(Launch(Program("import time; time.sleep(60)"), QUICK))
    began = time.monotonic()
    threading.Timer(0.1, running.kill).start()
    assert running.wait().ended is Ended.KILLED
    assert time.monotonic() - began < 5
    running.kill()
    assert running.wait().ended is Ended.KILLED


def test_options_are_checked_early():
    for wrong in (
        lambda: Program(),
        lambda: Program("x", argv=("ls",)),
        lambda: Program(argv=("ls",), driver="repl"),
        lambda: Program("x", files={"../up": b""}),
        lambda: Program("x", files={"/abs": b""}),
        lambda: Program("x", files={"a/../../b": b""}),
        lambda: Program("x", variables={"A": "b\0c"}),
        lambda: Launch(Program("x", driver="repl")),
        lambda: Limits(cpu_s=0),
        lambda: Limits(memory_bytes=1 << 20),
        lambda: ForkSandbox(1),
        lambda: ForkSandbox(kind="other"),  # type: ignore[arg-type]
    ):
        with pytest.raises(OptionError):
            wrong()
    assert all(getattr(Limits(), field.name) > 0 for field in fields(Limits))


# ---- slots ---------------------------------------------------------------------------------------------


def test_a_slot_that_dies_is_an_infrastructure_error_and_is_replaced():
    with ForkSandbox(2) as sandbox:
        (running,) = sandbox.start(Launch(Program("import time; time.sleep(60)"), QUICK))
        os.kill(running._slot.process.pid, signal.SIGKILL)
        with pytest.raises(SandboxError):
            running.wait()
        with pytest.raises(SandboxError):
            running.wait()
        assert sandbox.run(Program("print(1)"), QUICK).ok


def test_an_idle_slot_that_died_is_replaced_unnoticed():
    with ForkSandbox(2) as sandbox:
        sandbox.run(Program("print(1)"), QUICK)
        dead = slots_of(sandbox)[-1].process
        dead.kill()
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        assert sandbox.run(Program("print(1)"), QUICK).ok
        assert dead not in [slot.process for slot in slots_of(sandbox)]


def test_a_program_nobody_waits_for_gives_its_slot_back():
    with ForkSandbox(2) as sandbox:
        for _ in range(4):
            sandbox.start(Launch(Program("import time; time.sleep(60)"), QUICK))
            gc.collect()
        assert sandbox.run(Program("print(1)"), QUICK).ok


def test_more_programs_than_slots_wait_their_turn(full):
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda i: full.run(Program(f"print({i})"), QUICK).output, range(24)))
    assert results == [f"{i}\n" for i in range(24)]
    with pytest.raises(OptionError, match="workers"):
        full.start(*[Launch(Program("1"), QUICK)] * 3)


def test_slots_outlive_the_thread_that_made_them(sandbox):
    kind = ForkSandbox(2, namespaces=sandbox._mode != "none")
    with kind as fresh:
        for _ in range(2):
            with ThreadPoolExecutor(2) as pool:
                assert [r.output for r in pool.map(fresh.run, [Program("print(1)")] * 4)] == ["1\n"] * 4
            time.sleep(0.1)


def test_nothing_is_left_after_close():
    before = len(os.listdir("/proc/self/fd"))
    sandbox = ForkSandbox(2)
    scratch = sandbox._scratch
    sandbox.run(Program("print(1)"), QUICK)
    processes = [slot.process for slot in slots_of(sandbox)]
    sandbox.close()
    sandbox.close()
    assert not scratch.exists()
    assert all(process.returncode is not None for process in processes)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(Program("print(1)"), QUICK)


def test_slots_die_with_their_process(tmp_path):
    code = (
        "import os\nfrom palaestra.sandboxes.forkserver import ForkSandbox\n"
        "from palaestra.sandboxes.core import Program\n"
        "s = ForkSandbox(2); s.run(Program('1'))\n"
        "print(s._pool._idle[0].process.pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(done.stdout)
    until = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < until:
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                break
        time.sleep(0.05)
    else:
        assert not os.path.exists(f"/proc/{pid}"), "the fork server outlived its owner"


# ---- sessions ------------------------------------------------------------------------------------------


def test_a_session_remembers_and_shows_what_a_console_shows(sandbox):
    with sandbox.session(QUICK) as session:
        first = session.run("x = 20\nprint('out')\nx + 1")
        assert (first.stdout, first.value, first.error, first.ok) == ("out\n", "21", None, True)
        assert first.text == "out\n21"
        second = session.run("x += 1\nx")
        assert (second.stdout, second.value) == ("", "21")
        failed = session.run("def f():\n    return y\nf()")
        assert failed.error is not None
        assert failed.error.endswith("NameError: name 'y' is not defined")
        assert failed.error.count("File ") == 2
        assert session.run("raise SystemExit(3)").error is not None
        assert session.run("x").value == "21"


def test_a_cell_at_its_limit_ends_the_session_and_reset_begins_anew(sandbox):
    session = sandbox.session(QUICK)
    assert session.run("import time\nx = 1\ntime.sleep(60)", wall_s=0.3).ended is Ended.WALL_LIMIT
    with pytest.raises(OptionError, match="reset"):
        session.run("x")
    session.reset()
    assert "NameError" in (session.run("x").error or "")
    assert session.run("while True: pass", cpu_s=0.2).ended is Ended.CPU_LIMIT
    session.reset()
    assert session.run("import os; os._exit(5)").ended is Ended.EXITED
    session.reset()
    flood = session.run("while True: print('x' * 1000)")
    assert flood.ended is Ended.OUTPUT_LIMIT
    session.close()
    session.close()


def test_snapshots_nest_and_roll_back(full):
    with full.session(QUICK) as session:
        if "a second process" in full.rung.lacks:
            with pytest.raises(OptionError, match="snapshots"):
                session.snapshot()
            pytest.skip("this machine allows no namespaces")
        with pytest.raises(OptionError, match="no snapshot"):
            session.rollback()
        session.run("x = [1]")
        session.snapshot()
        session.run("x.append(2)")
        session.snapshot()
        session.run("x.append(3)")
        assert session.run("x").value == "[1, 2, 3]"
        session.rollback()
        assert session.run("x").value == "[1, 2]"
        session.rollback()
        assert session.run("x").value == "[1]"
        session.snapshot()
        assert session.run("while True: pass", cpu_s=0.2, wall_s=5).ended in (
            Ended.CPU_LIMIT,
            Ended.WALL_LIMIT,
        )


def test_tools_are_answered_by_the_host(full):
    asked = []

    def lookup(name: str, *, most: int = 1) -> list[str]:
        asked.append((name, most))
        if name == "nobody":
            raise ToolRefusal("there is nobody of that name")
        return [name] * most

    with Session(full, QUICK, {"apis.people.lookup": lookup, "one": lambda: 1}) as session:
        assert session.run("apis.people.lookup('ann', most=2) + [one()]").value == "['ann', 'ann', 1]"
        refused = session.run(
            "try:\n    apis.people.lookup('nobody')\nexcept ToolError as e:\n    print('no:', e)"
        )
        assert refused.stdout == "no: there is nobody of that name\n"
        assert "TypeError" in (session.run("one(object())").error or "")
    assert asked == [("ann", 2), ("nobody", 1)]
    with pytest.raises(OptionError, match="identifiers"):
        Session(full, QUICK, {"not a name": lookup})


def test_a_tool_that_fails_is_the_hosts_error_not_the_agents(full):
    def broken() -> None:
        raise ZeroDivisionError("of the host")

    with Session(full, QUICK, {"broken": broken}) as session:
        with pytest.raises(ZeroDivisionError, match="of the host"):
            session.run("try:\n    broken()\nexcept BaseException:\n    pass")
        with pytest.raises(OptionError, match="reset"):
            session.run("1")


def test_forged_messages_of_a_session_end_it(full):
    forge = "import os; os.write(3, {!r}); import time; time.sleep(60)"
    for message in (
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x02[]",
        b'\x00\x00\x00\x0b{"call":"x"}',
        b"\0\0\0\1x",
    ):
        with full.session(QUICK) as session:
            assert session.run(forge.format(message), wall_s=3).ended is not None


def test_many_sessions_live_beside_running_programs(full):
    sessions = [full.session(QUICK) for _ in range(6)]
    try:
        for number, session in enumerate(sessions):
            session.run(f"n = {number}")
        assert full.run(Program("print('program')"), QUICK).ok
        assert [session.run("n").value for session in sessions] == [str(n) for n in range(6)]
    finally:
        for session in sessions:
            session.close()


def test_slots_of_a_crowd_of_sessions_linger_for_the_next_crowd_and_end_one_day(monkeypatch):
    def crowd(sandbox):
        sessions = [sandbox.session(QUICK) for _ in range(5)]
        assert [session.run("1 + 1").value for session in sessions] == ["2"] * 5
        for session in sessions:
            session.close()
        return {slot.process.pid for slot in slots_of(sandbox)}

    with ForkSandbox(2) as sandbox:
        first = crowd(sandbox)
        assert len(first) == 5
        assert crowd(sandbox) == first
        monkeypatch.setattr(forkserver, "_LINGER_S", 0.0)
        sandbox._pool._sweep()
        assert len(slots_of(sandbox)) == 2
        left = {slot.process.pid for slot in slots_of(sandbox)}
        assert left < first
        assert sandbox.run(Program("print('still here')"), QUICK).ok
        assert not any(os.path.exists(f"/proc/{pid}") for pid in first - left)


def test_a_surplus_of_slots_ends_by_itself(monkeypatch):
    monkeypatch.setattr(forkserver, "_LINGER_S", 0.2)
    with ForkSandbox(2) as sandbox:
        for session in [sandbox.session(QUICK) for _ in range(4)]:
            session.close()
        deadline = time.monotonic() + 20
        while len(slots_of(sandbox)) > 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(slots_of(sandbox)) == 2


# ---- kinds and the ladder ------------------------------------------------------------------------------


def test_the_numeric_kind_has_its_packages_and_no_others():
    pytest.importorskip("sympy")
    source = "import numpy, sympy; print(numpy.arange(3).sum(), sympy.Integer(6).factors())"
    with ForkSandbox(2, kind="numeric") as sandbox:
        assert sandbox.run(Program(source), QUICK).output == "3 {2: 1, 3: 1}\n"
        for name in ("palaestra", "torch", "gymnasium", "pytest"):
            assert "ModuleNotFoundError" in sandbox.run(Program(f"import {name}"), QUICK).errors


class Leaky(Sandbox):
    """A sandbox that runs programs with no isolation at all, and says that it is safe."""

    rung = Rung("leaky", ())

    def start(self, *launches):
        return tuple(_Bare(launch) for launch in launches)

    def close(self):
        pass


class _Bare:
    def __init__(self, launch):
        self.launch = launch

    def wait(self):
        from palaestra.sandboxes.core import ExecResult

        limits = self.launch.limits
        try:
            done = subprocess.run(
                [sys.executable, "-c", self.launch.program.source], capture_output=True, timeout=limits.wall_s
            )
        except subprocess.TimeoutExpired:
            return ExecResult(Ended.WALL_LIMIT, None, 9, b"", b"", limits.wall_s, 0.0, 0, "leaky")
        return ExecResult(Ended.EXITED, done.returncode, None, done.stdout, done.stderr, 0.0, 0.0, 0, "leaky")


def test_the_self_test_finds_a_sandbox_that_leaks(monkeypatch):
    found = ladder.self_test(Leaky())
    for what in ("reads a file", "opens a network socket", "starts a process", "imports what is installed"):
        assert any(what in line for line in found), what
    monkeypatch.setitem(ladder.BACKENDS, "fork", lambda **_: Leaky())
    with pytest.raises(SandboxError, match="does not hold"):
        ladder.open_sandbox("fork")


def test_the_self_test_passes_the_fork_sandbox(sandbox):
    assert ladder.self_test(sandbox) == []


def test_the_ladder_never_steps_down_to_no_isolation(monkeypatch):
    def refuse(**_: object) -> Sandbox:
        raise SandboxError("not on this machine")

    for name in ladder.LADDER:
        monkeypatch.setitem(ladder.BACKENDS, name, refuse)
    with pytest.raises(SandboxError, match="no sandbox works"):
        ladder.open_sandbox()
    with pytest.raises(UnknownNameError, match="bubblewrap"):
        ladder.open_sandbox("bublewrap")


def test_the_shared_sandbox_is_one_per_process():
    assert ladder.default_sandbox() is ladder.default_sandbox()
    ladder.close_shared()
    assert ladder.default_sandbox().run(Program("print(1)"), QUICK).ok
    ladder.close_shared()
