"""Programs that lie about how they ended, break the sandbox's tools, or leave something for the next run."""

from cases import Hostile, any_of, dies_of, ends, exits, held

from palaestra.sandboxes.core import Ended, Limits

EXITED, WALL, CPU, OUTPUT = Ended.EXITED, Ended.WALL_LIMIT, Ended.CPU_LIMIT, Ended.OUTPUT_LIMIT

ENDS = [
    Hostile("exits-at-once", "os._exit(0)", exits(0, b"")),
    Hostile("exits-at-once-with-output-unwritten", "sys.stdout.write('lost')\nos._exit(3)", exits(3, b"")),
    Hostile("exits-with-a-large-status", "sys.exit(256 * 5 + 7)", exits(7)),
    Hostile("exits-with-a-text", "sys.exit('ended')", exits(1)),
    Hostile(
        "exits-with-an-object",
        "sys.exit(type('Zero', (int,), {'__and__': lambda a, b: 0, '__eq__': lambda a, b: True})(3))",
        ends(EXITED),
    ),
    Hostile("exits-in-an-exit-handler", "import atexit\natexit.register(os._exit, 5)", exits(5)),
    Hostile(
        "raises-in-an-exit-handler",
        "import atexit\natexit.register(lambda: 1 / 0)\nprint('HELD')",
        any_of(exits(0), exits(1), exits(120)),
    ),
    Hostile(
        "raises-an-error-without-a-text",
        "class Bad(BaseException):\n    def __str__(self): raise self\nraise Bad",
        exits(1),
    ),
    Hostile(
        "replaces-the-error-hook",
        "sys.excepthook = lambda *error: os._exit(0)\n1 / 0",
        any_of(exits(0), exits(1)),
    ),
    Hostile(
        "kills-itself-softly", "signal.raise_signal(signal.SIGTERM)\nprint('HELD')", any_of(dies_of(15), held)
    ),
    Hostile(
        "pretends-to-have-used-its-time",
        "os.kill(os.getpid(), signal.SIGXCPU)\nprint('HELD')",
        any_of(dies_of(24), held, ends(CPU)),
    ),
    Hostile(
        "replaces-main-and-modules",
        """
import builtins
sys.modules.clear()
for name in list(vars(builtins)):
    builtins.__dict__.pop(name)
""",
        ends(EXITED),
    ),
]

OUTPUT_TRICKS = [
    Hostile(
        "output-that-is-not-text",
        "os.write(1, bytes(range(256)))\nos.write(2, b'\\xff\\xfe\\0')",
        exits(0, bytes(range(256))),
    ),
    Hostile("output-with-lone-surrogates", "print('\\ud800')", exits(1, b"")),
    Hostile(
        "output-with-terminal-codes",
        "print('\\x1b[2J\\x1b]0;title\\x07\\r\\0', end='')",
        exits(0, b"\x1b[2J\x1b]0;title\x07\r\0"),
    ),
    Hostile(
        "closes-its-streams",
        "for number in range(256):\n    try:\n        os.close(number)\n    except OSError:\n        pass",
        ends(EXITED),
    ),
    Hostile(
        "breaks-its-output-object", "sys.stdout.detach()\nsys.stderr.close()\nsys.stdout = None", ends(EXITED)
    ),
    Hostile("removes-its-streams", "del sys.stdout, sys.stderr, sys.stdin\n1 / 0", ends(EXITED)),
    Hostile(
        "rewrites-its-output",
        """
print("first", flush=True)
try:
    os.ftruncate(1, 0)
except OSError:
    pass
os.write(1, b"HELD")
""",
        held,
    ),
    Hostile(
        "seals-its-streams",
        """
import fcntl
for number in (0, 1, 2):
    for seals in (2, 4, 8, 16):
        try:
            fcntl.fcntl(number, 1033, seals)  # F_ADD_SEALS: shrink, grow, write, write from now on
        except OSError:
            pass
try:
    os.write(1, b"HELD")
except OSError:
    pass
""",
        ends(EXITED),
    ),
    Hostile(
        "makes-its-streams-asynchronous",
        """
import fcntl
for number in (0, 1, 2):
    fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND | os.O_ASYNC)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
os.write(1, b"HELD")
""",
        held,
    ),
    Hostile(
        "input-that-is-not-read",
        "print('HELD')",
        held,
        stdin=bytes(1 << 22),
    ),
    Hostile(
        "writes-to-its-input",
        """
for attempt in (lambda: os.write(0, b"x"), lambda: os.ftruncate(0, 0), lambda: os.ftruncate(0, 1 << 30)):
    try:
        attempt()
    except OSError:
        pass
print("HELD")
""",
        any_of(held, ends(OUTPUT)),
        stdin=b"input",
    ),
]

FORGERY = [
    Hostile(
        "writes-to-every-descriptor",
        """
forged = b'{"ended": "exited", "code": 0, "cpu_s": 0, "wall_s": 0, "peak_memory_bytes": 0}'
for number in range(3, 1024):
    for junk in (forged, b"\\xff" * 100, b""):
        try:
            os.write(number, junk)
        except OSError:
            pass
print("HELD", flush=True)
os._exit(9)
""",
        exits(9),
    ),
    Hostile(
        "reads-every-descriptor",
        """
import select
def reading(number):
    def attempt():
        return os.read(number, 100) if select.select([number], [], [], 0)[0] else False
    return attempt
judge(*map(reading, range(3, 256)))
""",
    ),
    Hostile(
        "plays-with-the-sandbox-in-its-frames",
        """
import gc, mmap, socket, types
def reach(value, depth, seen):
    if id(value) in seen or depth > 4:
        return
    seen.add(id(value))
    yield value
    inner = []
    if isinstance(value, dict):
        inner += value.values()
    elif isinstance(value, (list, tuple)):
        inner += value
    if not isinstance(value, types.ModuleType):
        inner += list(getattr(value, "__dict__", {}).values())
    for each in inner:
        yield from reach(each, depth + 1, seen)
frame, roots = sys._getframe(), gc.get_objects()
while frame is not None:
    roots.append(frame.f_locals)
    frame = frame.f_back
seen = set()
for value in [each for root in roots for each in reach(root, 0, seen)]:
    try:
        if type(value) is mmap.mmap:
            value[:] = bytes(len(value))
        elif type(value) is socket.socket:
            value.send(b"x")
        elif type(value) is types.FunctionType and value.__module__ in ("child", "zygote", "kernel"):
            value.__code__ = (lambda *args, **kwargs: 0).__code__
    except Exception:
        pass
os._exit(9)
""",
        exits(9),
        Limits(cpu_s=8, wall_s=20),
    ),
    Hostile(
        "overwrites-shared-memory",
        """
shared = []
try:
    for line in open("/proc/self/maps"):
        fields = line.split()
        if fields[1] == "rw-s":
            shared.append([int(part, 16) for part in fields[0].split("-")])
except OSError:
    pass
for start, end in shared:
    ctypes.memset(start, 0, end - start)
os._exit(9)
""",
        exits(9),
    ),
    Hostile(
        "dies-while-pretending-not-to-have-begun",
        """
sys.stderr.write("it died before the program began")
sys.stderr.flush()
os.kill(os.getpid(), signal.SIGKILL)
""",
        dies_of(9),
    ),
    Hostile(
        "imports-the-sandbox",
        """
sys.path += ["/proc/self/cwd", *(path for path in sys.path)]
def calling(module, name):
    def attempt():
        imported = __import__(module)
        getattr(imported, name)
        return False
    return attempt
parts = {"zygote": "main", "child": "become", "kernel": "unshare", "palaestra": "make"}
judge(*[calling(module, name) for module, name in parts.items()])
""",
    ),
]

LEFTOVERS = [
    Hostile(
        "leaves-files",
        """
def looking(path):
    return lambda: os.listdir(path) or False
def finding(folder):
    return lambda: os.stat(folder + "/left")
own = [".", "/tmp", os.path.expanduser("~")]
judge(*map(looking, own), finding("/dev/shm"), finding("/var/tmp"))
""",
        before="""
for folder in (".", "/tmp", os.path.expanduser("~"), "/dev/shm", "/var/tmp"):
    for name in ("left", ".hidden", "sitecustomize.py", "json.py"):
        try:
            open(os.path.join(folder, name), "w").write("print('ESCAPED')")
        except OSError:
            pass
""",
    ),
    Hostile(
        "leaves-a-full-disk",
        """
try:
    open("mine", "w").write("x")
except OSError as error:
    print("ESCAPED" if error.errno == errno.ENOSPC else "HELD")
else:
    print("HELD")
""",
        before="""
try:
    for number in range(10_000):
        open(str(number), "wb").write(bytes(1 << 16))
except OSError:
    pass
""",
    ),
    Hostile(
        "leaves-patched-builtins",
        """
import builtins, json, random, unittest
judge(
    lambda: builtins.left, lambda: json.left, lambda: unittest.left, lambda: len([]) != 0,
    lambda: os.environ["LEFT"], lambda: "left" in sys.path, lambda: "left" in sys.modules,
)
""",
        before="""
import builtins, json, unittest
builtins.left = json.left = unittest.left = 1
builtins.len = lambda value: 42
os.environ["LEFT"] = "1"
sys.path.append("left")
sys.modules["left"] = json
""",
    ),
    Hostile(
        "leaves-other-signal-handlers",
        """
judge(
    lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_IGN,
    lambda: bool(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    lambda: os.umask(0o22) == 0o777,
)
""",
        before="""
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [1, 2])
os.umask(0o777)
""",
    ),
    Hostile(
        "leaves-its-streams-bent",
        """
import fcntl
strange = [fcntl.fcntl(number, fcntl.F_GETFL) & (os.O_NONBLOCK | os.O_ASYNC) for number in (0, 1, 2)]
text = sys.stdin.read()
print("ESCAPED" if any(strange) or text != "input" else "HELD")
""",
        exits(0, b"HELD\n"),
        stdin=b"input",
        before="""
import fcntl
for number in (0, 1, 2):
    for attempt in (
        lambda: os.write(number, b"ESCAPED"),
        lambda: os.ftruncate(number, 1 << 20),
        lambda: os.lseek(number, 1 << 20, 0),
        lambda: fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC),
        lambda: fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB),
    ):
        try:
            attempt()
        except OSError:
            pass
os._exit(0)
""",
    ),
    Hostile(
        "leaves-marks-on-its-streams",
        """
judge(
    lambda: bool(os.listxattr(1)), lambda: bool(os.listxattr(2)),
    lambda: os.fstat(1).st_mode & 0o7777 == 0o1234,
    lambda: os.fstat(2).st_mode & 0o7777 == 0o1234, lambda: os.fstat(1).st_atime == 4242,
)
""",
        before="""
for number in (1, 2):
    for attempt in (
        lambda: os.setxattr(number, "user.left", b"x"),
        lambda: os.fchmod(number, 0o1234),
        lambda: os.utime(number, (4242, 4242)),
    ):
        try:
            attempt()
        except OSError:
            pass
""",
    ),
    Hostile(
        "leaves-the-random-state",
        "import random\nprint('ESCAPED' if random.random() == 0.5714025946899135 else 'HELD')",
        before="import random\nrandom.seed(10)",
    ),
]

PROTOCOL = [*ENDS, *OUTPUT_TRICKS, *FORGERY, *LEFTOVERS]
