"""The sandboxes beside the default one: bubblewrap, docker, and the subprocess that isolates nothing.

Hostile programs have their own suite (tests/hostile).
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from palaestra.errors import MissingExtraError, OptionError
from palaestra.sandboxes import docker as docker_sandbox
from palaestra.sandboxes.bubblewrap import BubblewrapSandbox
from palaestra.sandboxes.core import Ended, Launch, Limits, Program, SandboxError
from palaestra.sandboxes.docker import LABEL, DockerSandbox
from palaestra.sandboxes.plain import SubprocessSandbox

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the sandboxes are built on Linux's own means"
)

BACKENDS = {"bubblewrap": BubblewrapSandbox, "docker": DockerSandbox, "subprocess": SubprocessSandbox}
MARKED = [
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    pytest.param("docker", marks=pytest.mark.docker),
    "subprocess",
]
CONFINED = MARKED[:2]


def open_or_skip(name):
    try:
        return BACKENDS[name](2)
    except (MissingExtraError, SandboxError) as error:
        pytest.skip(f"no {name} sandbox here: {error}")


@pytest.fixture
def sandbox(request):
    with open_or_skip(request.param) as opened:
        yield opened


every = pytest.mark.parametrize("sandbox", MARKED, indirect=True)
docker_only = [pytest.mark.docker, pytest.mark.parametrize("sandbox", ["docker"], indirect=True)]


@every
def test_programs_end_as_they_should(sandbox):
    def run(source, **limits):
        result = sandbox.run(Program(source), Limits(**limits))
        assert result.rung == sandbox.rung.name
        return result

    assert run("print('hello')").output == "hello\n"
    failed = run("1 / 0")
    assert (failed.ended, failed.exit_code) == (Ended.EXITED, 1)
    assert failed.errors.endswith("ZeroDivisionError: division by zero\n")
    assert "palaestra" not in failed.errors
    assert run("import sys; sys.exit(7)").exit_code == 7
    assert run("import os; os.kill(os.getpid(), 9)").signal == signal.SIGKILL
    assert run("while True: pass", cpu_s=0.2, wall_s=60).ended is Ended.CPU_LIMIT
    assert run("import time; time.sleep(60)", wall_s=0.3).ended is Ended.WALL_LIMIT
    flood = run("while True: print('x' * 1000)", output_bytes=5000)
    assert (flood.ended, len(flood.stdout)) == (Ended.OUTPUT_LIMIT, 5000)


@every
def test_input_files_variables_and_commands_arrive(sandbox):
    program = Program(
        "import os\nprint(input(), open('a/b').read(), os.environ['NAME'])",
        stdin=b"from stdin\n",
        files={"a/b": b"from a file"},
        variables={"NAME": "from a variable"},
    )
    assert sandbox.run(program).output == "from stdin from a file from a variable\n"
    assert sandbox.run(Program(argv=("sh", "-c", "echo from a command; exit 3"))).exit_code == 3
    assert sandbox.run(Program(argv=("no-such-command",))).exit_code == 127


@every
def test_programs_of_one_call_run_together_and_talk(sandbox):
    ours, theirs = socket.socketpair()
    source = "import socket\nend = socket.socket(fileno=3)\nend.sendall({!r})\nprint(end.recv(9))"
    first, second = sandbox.start(
        Launch(Program(source.format(b"one")), channel=ours),
        Launch(Program(source.format(b"two")), channel=theirs),
    )
    assert (first.wait().output, second.wait().output) == ("b'two'\n", "b'one'\n")


@every
def test_a_session_remembers(sandbox):
    with sandbox.session() as session:
        session.run("x = 41")
        assert session.run("x + 1").value == "42"
        session.reset()
        assert "NameError" in (session.run("x").error or "")


@every
def test_killed_programs_say_so(sandbox):
    (running,) = sandbox.start(Launch(Program("import time; time.sleep(60)")))
    running.kill()
    assert running.wait().ended is Ended.KILLED


@pytest.mark.parametrize("name", CONFINED)
def test_a_slot_outlives_the_thread_that_made_it(name):
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_or_skip_quietly(name)))
    thread.start()
    thread.join()
    if opened[0] is None:
        pytest.skip(f"no {name} sandbox here")
    with opened[0] as sandbox:
        time.sleep(0.2)
        assert sandbox.run(Program("print(1)")).output == "1\n"


def open_or_skip_quietly(name):
    try:
        return BACKENDS[name](2)
    except (MissingExtraError, SandboxError):
        return None


OWNER = """
import sys
from palaestra.sandboxes.{module} import {name}
from palaestra.sandboxes.core import Launch, Program
sandbox = {name}(2)
running = sandbox.start(*[Launch(Program("import time; time.sleep(600)"))] * 2)
print(sandbox._scratch, flush=True)
sys.stdin.read()
"""


def processes_with(text):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("name", CONFINED)
def test_nothing_outlives_an_owner_that_is_killed(name):
    open_or_skip(name).close()
    source = OWNER.format(module=name, name=BACKENDS[name].__name__)
    owner = subprocess.Popen(
        [sys.executable, "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        scratch = owner.stdout.readline().strip()
        try:
            # The fork servers have the folder in their arguments, and so have the programs forked from them.
            assert len(processes_with(scratch)) >= 2
        finally:
            owner.kill()
    until = time.monotonic() + 20
    while processes_with(scratch) and time.monotonic() < until:
        time.sleep(0.05)
    shutil.rmtree(scratch, ignore_errors=True)
    assert processes_with(scratch) == []


@docker_only[0]
@docker_only[1]
def test_containers_are_shut_and_gone_afterwards(sandbox):
    sandbox.run(Program("print(1)"))
    client = docker_sandbox.connect()
    own = {"label": f"{LABEL}={os.getpid()}"}
    containers = client.containers.list(filters=own)
    assert containers
    for container in containers:
        host = container.attrs["HostConfig"]
        assert host["NetworkMode"] == "none"
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert host["ReadonlyRootfs"]
        assert host["SecurityOpt"] == ["no-new-privileges"]
        assert host["PidsLimit"] > 0
        assert host["Memory"] == host["MemorySwap"] > 0
        assert all(not mount["RW"] for mount in container.attrs["Mounts"])
        assert not container.attrs["Config"]["User"].startswith("0")
    sandbox.close()
    assert client.containers.list(all=True, filters=own) == []
    client.close()


@docker_only[0]
@docker_only[1]
def test_all_processes_together_have_a_memory_limit(sandbox):
    del sandbox
    source = """
import os, time
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        kept = [b"x" * (1 << 20) for _ in range(100)]
        time.sleep(1)
        os._exit(0)
    children.append(child)
print(sum(os.waitpid(child, 0)[1] == 0 for child in children))
"""
    limits = Limits(cpu_s=10, wall_s=30, memory_bytes=256 << 20, processes=16)
    with DockerSandbox(2, memory_bytes=256 << 20) as small:
        result = small.run(Program(source), limits)
        assert result.output != "6\n"
        assert small.run(Program("print(1)")).output == "1\n"


@docker_only[0]
@docker_only[1]
def test_a_missing_image_is_an_error_that_helps(sandbox):
    del sandbox
    with pytest.raises(SandboxError, match=r"start-docker\.sh image"):
        DockerSandbox(2, image="no-such-image-of-ours")


def test_docker_without_its_extra_says_which(monkeypatch):
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingExtraError, match=r"palaestra\[docker\]"):
        DockerSandbox(2)


def test_docker_without_an_engine_says_so(monkeypatch, tmp_path):
    pytest.importorskip("docker", reason="needs the extra docker")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody")
    with pytest.raises(SandboxError, match="DOCKER_HOST"):
        DockerSandbox(2)


def test_docker_has_one_kind():
    with pytest.raises(OptionError, match="plain"):
        DockerSandbox(2, kind="numeric")


def test_bubblewrap_that_is_not_installed_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        BubblewrapSandbox(2)


def test_the_subprocess_names_everything_that_it_lacks():
    with SubprocessSandbox(2) as sandbox:
        assert "no isolation" in sandbox.run(Program("print(1)")).rung
        assert {"isolation of files", "isolation of the network"} <= set(sandbox.rung.lacks)


def test_the_subprocess_sandbox_waits_for_room_and_closes():
    sandbox = SubprocessSandbox(2)
    sleepers = sandbox.start(*[Launch(Program("import time; time.sleep(60)"))] * 2)
    threading.Timer(0.3, sleepers[0].kill).start()
    assert sandbox.run(Program("print(1)")).output == "1\n"
    sandbox.close()
    assert {sleeper.wait().ended for sleeper in sleepers} == {Ended.KILLED}
    with pytest.raises(SandboxError, match="closed"):
        sandbox.run(Program("print(1)"))
    with pytest.raises(OptionError, match="workers"):
        sandbox.start(*[Launch(Program("1"))] * 3)
