"""Programs that want more than their share: time, memory, processes, output, files."""

from cases import SEVERAL, SLEEPY, Hostile, any_of, dies_of, ends, exits, held, starved

from palaestra.sandboxes.core import Ended, Limits

CPU, WALL, OUTPUT = Ended.CPU_LIMIT, Ended.WALL_LIMIT, Ended.OUTPUT_LIMIT
EXITED, SIGNALLED, MEMORY = Ended.EXITED, Ended.SIGNALLED, Ended.MEMORY_LIMIT
ROOMY = Limits(cpu_s=8, wall_s=20)

TIME = [
    Hostile("busy-loop", "while True:\n    pass", ends(CPU)),
    Hostile(
        "c-loop-holding-the-gil",
        "import collections, itertools\ncollections.deque(itertools.repeat(0), 0)",
        ends(CPU),
    ),
    Hostile("sleep", "time.sleep(60)", ends(WALL), SLEEPY),
    Hostile(
        "sleep-past-every-deadline",
        """
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
""",
        ends(WALL),
        SLEEPY,
    ),
    Hostile(
        "loop-with-all-signals-ignored",
        """
for number in range(1, signal.NSIG):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
while True:
    pass
""",
        ends(CPU),
    ),
    Hostile(
        "stops-itself",
        "os.kill(os.getpid(), signal.SIGSTOP)\nprint('HELD')",
        any_of(ends(WALL), held),
        SLEEPY,
    ),
    Hostile(
        "hanging-thread",
        "import threading\nthreading.Thread(target=time.sleep, args=(60,)).start()\nprint('HELD')",
        any_of(ends(WALL), held),
        SLEEPY,
    ),
    Hostile(
        "del-loops-at-exit",
        "class Loop:\n    def __del__(self):\n        while True:\n            pass\nloop = Loop()",
        any_of(ends(CPU), exits(0)),
    ),
    Hostile(
        "atexit-loops",
        "import atexit\n@atexit.register\ndef loop():\n    while True:\n        pass",
        ends(CPU),
    ),
    Hostile(
        "error-message-loops",
        "class Bad(Exception):\n    def __str__(self):\n        while True:\n            pass\nraise Bad",
        ends(CPU),
    ),
    Hostile(
        "output-stream-loops-when-flushed",
        """
class Bad:
    def write(self, text):
        pass
    def flush(self):
        while True:
            pass
sys.stdout = sys.stderr = Bad()
""",
        ends(CPU),
    ),
    Hostile(
        "waits-for-input",
        "while not sys.stdin.read():\n    time.sleep(0.01)",
        ends(WALL, CPU),
        SLEEPY,
    ),
    Hostile(
        "raises-its-limits",
        """
import resource
def raising(kind):
    def attempt():
        before = resource.getrlimit(kind)
        resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return False if before[1] == resource.RLIM_INFINITY else True
    return attempt
def above(kind):
    def attempt():
        soft, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (soft, hard + 1))
        return False if hard == resource.RLIM_INFINITY else True
    return attempt
kinds = [resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE]
judge(*map(raising, kinds), *map(above, kinds))
""",
    ),
    Hostile(
        "real-time-priority",
        """
def fifo():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
def nice():
    os.setpriority(os.PRIO_PROCESS, 0, -10)
judge(fifo, nice)
""",
    ),
]

MEMORY_USE = [
    Hostile(
        "memory-in-pieces",
        """
def fill():
    pieces = []
    while len(pieces) < 1500:
        pieces.append(b"x" * (1 << 20))
judge(fill)
""",
        starved,
    ),
    Hostile("memory-at-once", "judge(lambda: len(bytearray(1 << 33)))", starved),
    Hostile(
        "memory-error-uncaught",
        "kept = []\nwhile True:\n    kept.append(bytes(1 << 20))",
        ends(MEMORY, EXITED),
    ),
    Hostile(
        "memory-shared-and-anonymous",
        """
import mmap
def fill():
    pieces = [mmap.mmap(-1, 1 << 26) for _ in range(32)]
    for piece in pieces:
        for at in range(0, 1 << 26, 4096):
            piece[at] = 1
judge(fill)
""",
        starved,
    ),
    Hostile(
        "memory-in-memfds",
        """
def fill():
    written = 0
    for number in range(1000):
        descriptor = os.memfd_create(str(number))
        while written < 1 << 29:
            try:
                written += os.write(descriptor, bytes(1 << 20))
            except OSError:
                break
    return False if written < 1 << 29 else True
judge(fill)
""",
        starved,
    ),
    Hostile(
        "memory-in-pipes",
        """
import fcntl
def fill():
    held = 0
    while held < 1 << 29:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        fcntl.fcntl(writer, 1031, 1 << 20)  # F_SETPIPE_SZ
        try:
            while True:
                held += os.write(writer, bytes(1 << 16))
        except BlockingIOError:
            pass
judge(fill)
""",
        starved,
    ),
    Hostile(
        "memory-in-shared-memory-files",
        """
def fill():
    with open("/dev/shm/" + WORLD["escape"], "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
judge(fill)
""",
        starved,
    ),
    Hostile(
        "memory-in-system-v-segments",
        """
def segment():
    call("shmget", 0, ctypes.c_size_t(1 << 20), 0o1600)
def queue():
    call("msgget", 0, 0o1600)
def semaphores():
    call("semget", 0, 1, 0o1600)
judge(segment, queue, semaphores)
""",
    ),
    Hostile(
        "memory-times-processes",
        """
children = []
try:
    for _ in range(20):
        child = os.fork()
        if child == 0:
            kept = [b"x" * (1 << 20) for _ in range(100)]
            time.sleep(0.2)
            os._exit(0)
        children.append(child)
except OSError:
    pass
for child in children:
    os.waitpid(child, 0)
print("ESCAPED" if len(children) >= 20 else "HELD")
""",
        any_of(starved, ends(WALL)),
        SEVERAL,
    ),
    Hostile(
        "deep-recursion",
        "sys.setrecursionlimit(10**9)\ndef down(n):\n    return down(n + 1) + 1\ndown(0)",
        ends(EXITED, SIGNALLED, MEMORY, CPU),
    ),
    Hostile(
        "native-stack-overflow",
        """
sys.setrecursionlimit(10**9)
kind = ctypes.CFUNCTYPE(ctypes.c_int)
@kind
def down():
    return down()
down()
""",
        any_of(dies_of(11), ends(MEMORY, EXITED)),
    ),
    Hostile(
        "native-crash",
        "ctypes.string_at(0)",
        dies_of(11),
    ),
    Hostile("aborts", "os.abort()", dies_of(6)),
    Hostile("source-of-ten-megabytes", "text = '" + "x" * (10 << 20) + "'\nprint('HELD')", held, ROOMY),
    Hostile("parser-bomb", "eval('(' * 9_000 + ')' * 9_000)", ends(EXITED, SIGNALLED, MEMORY)),
    Hostile("compiler-bomb", "eval('-' * 300_000 + '1')", ends(EXITED, SIGNALLED, MEMORY, CPU)),
]

PROCESSES = [
    Hostile("fork-when-alone", "judge(lambda: os.fork() or os._exit(0))"),
    Hostile(
        "fork-bomb",
        """
children = 0
try:
    while children < 200:
        if os.fork() == 0:
            time.sleep(2)
            os._exit(0)
        children += 1
except OSError:
    pass
print("ESCAPED" if children >= 200 else "HELD")
""",
        held,
        SEVERAL,
    ),
    Hostile(
        "fork-bomb-that-doubles",
        """
for _ in range(9):
    try:
        os.fork()
    except OSError:
        pass
time.sleep(0.3)
print("HELD")
""",
        any_of(held, ends(CPU, WALL)),
        SEVERAL,
    ),
    Hostile(
        "thread-bomb",
        """
import threading
over, started = threading.Event(), 0
try:
    while started < 1000:
        threading.Thread(target=over.wait, daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    pass
os.write(1, b"ESCAPED" if started >= 1000 else b"HELD")
os._exit(0)
""",
        # A thread that finds no memory to begin leaves the one that waits for its start waiting.
        any_of(starved, ends(WALL)),
        Limits(cpu_s=1, wall_s=5, memory_bytes=256 << 20),
    ),
    Hostile(
        "daemon-by-double-fork",
        """
try:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, signal.NSIG):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            os.closerange(0, 64)
            time.sleep(60)
        os._exit(0)
except OSError:
    pass
time.sleep(0.1)
print("HELD")
""",
        held,
        SEVERAL,
    ),
    Hostile(
        "daemon-holding-the-output",
        """
try:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
except OSError:
    pass
print("HELD")
""",
        held,
        SEVERAL,
    ),
    Hostile(
        "daemon-that-writes-for-ever",
        """
try:
    if os.fork() == 0:
        while True:
            try:
                os.write(1, b"x" * 1000)
            except OSError:
                pass
except OSError:
    pass
print("HELD")
""",
        any_of(held, ends(OUTPUT)),
        SEVERAL,
    ),
    Hostile(
        "starts-a-command",
        """
import subprocess
judge(lambda: subprocess.run(["/bin/sh", "-c", "true"]))
""",
    ),
]

OUTPUTS = [
    Hostile("floods-output", "while True:\n    os.write(1, b'x' * 65536)", any_of(ends(OUTPUT))),
    Hostile("floods-errors", "while True:\n    os.write(2, b'x' * 65536)", any_of(ends(OUTPUT))),
    Hostile(
        "floods-both", "while True:\n    os.write(1, b'x' * 999)\n    os.write(2, b'x' * 999)", ends(OUTPUT)
    ),
    Hostile("floods-in-small-writes", "while True:\n    print('x', flush=True)", ends(OUTPUT, CPU)),
    Hostile(
        "floods-and-catches",
        """
while True:
    try:
        os.write(1, b"x" * 65536)
    except BaseException:
        time.sleep(0.01)
""",
        ends(OUTPUT, WALL),
        Limits(cpu_s=1, wall_s=2, output_bytes=1 << 16),
    ),
    Hostile(
        "output-with-a-hole",
        """
for attempt in (
    lambda: os.ftruncate(1, 1 << 45), lambda: os.lseek(1, 1 << 40, 0), lambda: os.pwrite(1, b"x", 1 << 40),
):
    try:
        attempt()
    except OSError:
        pass
os.write(1, b"HELD")
""",
        any_of(held, ends(OUTPUT, EXITED)),
    ),
    Hostile(
        "fills-a-file",
        """
def fill(name):
    def attempt():
        with open(name, "wb", buffering=0) as file:
            written = 0
            while written < 1 << 25:
                written += file.write(bytes(1 << 20))
    return attempt
judge(fill("big"), fill("/tmp/big"), fill("/var/tmp/" + WORLD["escape"]))
""",
    ),
    Hostile(
        "fills-many-files",
        """
def fill():
    for number in range(128):
        with open("part-%d" % number, "wb", buffering=0) as file:
            if file.write(bytes(1 << 20)) < 1 << 20:
                return False
judge(fill)
""",
    ),
    Hostile(
        "fills-the-inodes",
        """
def fill():
    for number in range(50_000):
        os.close(os.open("empty-%d" % number, os.O_CREAT | os.O_WRONLY))
judge(fill)
""",
        starved,
        Limits(cpu_s=3, wall_s=15),
    ),
    Hostile(
        "fills-the-descriptors",
        """
def fill():
    while os.open("/dev/null", os.O_RDONLY) < 5000:
        pass
judge(fill)
""",
    ),
]

RESOURCES = [*TIME, *MEMORY_USE, *PROCESSES, *OUTPUTS]
