"""The killable child process: answers, deadlines, crashes, and nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from palaestra.errors import ContractError, DeadlineError, OptionError, UnknownNameError, WorkerError
from palaestra.sandboxes.worker import Worker

HERE = str(Path(__file__).parent)


class Thing:
    """What the child builds in these tests; every misdeed is a method."""

    def __init__(self, value=0, fail=None):
        if fail == "typed":
            raise OptionError("value is no good")
        if fail == "hang":
            time.sleep(100)
        self.value = value

    def add(self, number):
        self.value += number
        return self.value

    def shout(self, size=10):
        print("printed " * size)
        os.write(1, b"raw bytes\n")
        sys.stdin.read()
        return "fine"

    def unknown(self):
        raise UnknownNameError("task", "tain-1", ["train-1"])

    def divide(self):
        return 1 / 0

    def unpicklable(self):
        return lambda: None

    def die(self, code):
        print("last words", file=sys.stderr, flush=True)
        os._exit(code)

    def kill_self(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def hang(self):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
        Path(self.value).write_text(str(child.pid))
        time.sleep(100)

    def pids(self):
        return os.getpid(), os.getsid(0)

    def echo(self, thing):
        return thing


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture
def worker():
    with Worker("test_worker:Thing", {"value": 3}) as worker:
        yield worker


def gone(pid):
    for _ in range(200):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


def test_calls_attributes_and_large_messages(worker):
    assert worker.call("add", 4) == 7
    assert worker.call("add", number=1) == 8
    assert worker.get("value") == 8
    big = os.urandom(3_000_000)
    assert worker.call("echo", big) == big
    pid, session = worker.call("pids")
    assert pid == session == worker.pid != os.getpid()


def test_prints_and_stdin_do_not_disturb_the_protocol(worker):
    for _ in range(3):
        assert worker.call("shout", 100_000) == "fine"
    assert worker.call("add", 1) == 4
    assert os.fstat(worker._child.log.fileno()).st_size <= 1 << 20


def test_errors_come_back_typed_and_the_worker_goes_on(worker):
    with pytest.raises(UnknownNameError, match="Did you mean 'train-1'") as caught:
        worker.call("unknown")
    assert type(caught.value) is UnknownNameError
    with pytest.raises(WorkerError, match=r"ZeroDivisionError[\s\S]*in divide"):
        worker.call("divide")
    with pytest.raises(WorkerError, match="pickle"):
        worker.call("unpicklable")
    with pytest.raises(WorkerError, match="AttributeError"):
        worker.get("nothing")
    with pytest.raises(ContractError, match="cannot be pickled"):
        worker.call("echo", lambda: None)
    assert worker.alive
    assert worker.call("add", 0) == 3


def test_a_hang_kills_the_whole_group_in_time_and_restart_heals(tmp_path):
    note = tmp_path / "pid"
    with Worker("test_worker:Thing", {"value": str(note)}) as worker:
        pid = worker.pid
        with pytest.raises(DeadlineError, match="longer than 3 s"):
            worker.call("hang", deadline_s=3.0)
        assert not worker.alive
        assert gone(pid)
        assert gone(int(note.read_text()))
        with pytest.raises(WorkerError, match="longer than 3 s; call restart"):
            worker.call("pids")
        worker.restart()
        assert worker.get("value") == str(note)


@pytest.mark.parametrize(("method", "args", "said"), [("die", (7,), "status 7"), ("kill_self", (), "SEGV")])
def test_a_crash_is_reported_with_its_status(worker, method, args, said):
    with pytest.raises(WorkerError, match=said) as caught:
        worker.call(method, *args)
    if method == "die":
        assert "last words" in str(caught.value)
    assert not worker.alive
    worker.restart()
    assert worker.call("add", 1) == 4


def test_failures_of_building_are_typed_and_leave_no_process():
    with pytest.raises(OptionError, match="value is no good"):
        Worker("test_worker:Thing", {"fail": "typed"})
    with pytest.raises(DeadlineError, match="building"):
        Worker("test_worker:Thing", {"fail": "hang"}, start_deadline_s=1.0)
    with pytest.raises(WorkerError, match="ModuleNotFoundError"):
        Worker("no_such_module:Thing")
    for factory in ("nothing", "__main__:Thing", ":x"):
        with pytest.raises(OptionError, match="module:callable"):
            Worker(factory)
    children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children")
    if children.exists():
        names = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children.read_text().split()]
        assert not [name for name in names if b"palaestra.sandboxes" in name]


def test_threads_may_share_one_worker(worker):
    results = []
    threads = [
        threading.Thread(target=lambda: results.extend(worker.call("add", 1) for _ in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(4, 204))


def test_close_twice_and_a_dropped_worker_leave_nothing_behind():
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    worker = Worker("test_worker:Thing")
    pid = worker.pid
    worker.close()
    worker.close()
    assert gone(pid)
    with pytest.raises(WorkerError, match="was closed"):
        worker.call("pids")
    dropped = Worker("test_worker:Thing")
    pid = dropped.pid
    del worker, dropped
    gc.collect()
    assert not Path(f"/proc/{pid}").exists()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_child_ends_with_its_parent_even_while_it_hangs(tmp_path):
    note = tmp_path / "pid"
    script = (
        "import os, sys, threading, time\n"
        "from palaestra.sandboxes.worker import Worker\n"
        "worker = Worker('test_worker:Thing', {'value': sys.argv[1]})\n"
        "threading.Thread(target=lambda: worker.call('hang'), daemon=True).start()\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
        "print(worker.pid, flush=True)\n"
        "os._exit(0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([HERE, *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(note)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert gone(int(done.stdout))
