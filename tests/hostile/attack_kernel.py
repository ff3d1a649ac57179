"""Programs that reach for other processes, for privileges, and for rare corners of the kernel."""

from cases import SEVERAL, SLEEPY, Hostile, any_of, dies_of, ends, held

from palaestra.sandboxes.core import Ended

OTHERS = [
    Hostile(
        "kills-everybody",
        """
def everybody():
    try:
        os.kill(-1, 0)
    except OSError:
        # Nobody could be hit, so the real thing is safe to try: it must do no more than the harmless one.
        os.kill(-1, signal.SIGKILL)
judge(everybody)
""",
    ),
    Hostile(
        "kills-everybody-of-several",
        """
def everybody():
    try:
        os.kill(-1, 0)
    except OSError:
        os.kill(-1, signal.SIGKILL)
judge(everybody)
""",
        held,
        SEVERAL,
    ),
    Hostile(
        "kills-its-parent",
        """
parent = os.getppid()
def killing():
    os.kill(parent, signal.SIGKILL)
    time.sleep(0.2)
    return False if os.getppid() == parent else True
def stopping():
    os.kill(parent, signal.SIGSTOP)
    return False
judge(killing, stopping)
""",
    ),
    Hostile(
        "interrupts-its-parent",
        """
for number in map(signal.Signals, (1, 2, 10, 14, 15, 17, 18)):
    try:
        os.kill(os.getppid(), number)
        os.kill(1, number)
    except OSError:
        pass
print("HELD")  # whether the sandbox minds is seen at the next run
""",
    ),
    Hostile(
        "kills-a-stranger",
        """
victim = WORLD["victim"]
def by_descriptor():
    signal.pidfd_send_signal(os.pidfd_open(victim), signal.SIGTERM)
judge(
    lambda: os.kill(victim, signal.SIGTERM),
    lambda: os.killpg(victim, signal.SIGTERM),
    lambda: syscall(234, victim, victim, signal.SIGTERM),
    lambda: syscall(200, victim, signal.SIGTERM),
    by_descriptor,
)
""",
    ),
    Hostile("kills-itself", "os.kill(os.getpid(), signal.SIGKILL)", any_of(dies_of(9), held)),
    Hostile(
        "meddles-with-queues-of-others",
        """
queue, remove = WORLD["queue"], 0
judge(
    lambda: call("msgsnd", queue, (ctypes.c_long * 2)(1, 0), ctypes.c_size_t(8), 0o4000),
    lambda: call("msgrcv", queue, (ctypes.c_long * 2)(), ctypes.c_size_t(8), ctypes.c_long(0), 0o4000),
    lambda: call("msgctl", queue, remove, None),
)
""",
    ),
    Hostile(
        "signals-by-file-ownership",
        """
import fcntl
reader, writer = os.pipe()
def owning(pid):
    def attempt():
        fcntl.fcntl(reader, 10, signal.SIGKILL)  # F_SETSIG
        fcntl.fcntl(reader, fcntl.F_SETOWN, pid)
        fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
        os.write(writer, b"x")
        return False  # whether the signal arrived is seen from outside
    return attempt
judge(owning(WORLD["victim"]))
""",
    ),
    Hostile(
        "traces-others",
        """
PTRACE_SEIZE = 0x4206
pids = (os.getppid(), WORLD["victim"], WORLD["owner"])
judge(*[lambda pid=pid: call("ptrace", PTRACE_SEIZE, pid, 0, 0) for pid in pids])
""",
    ),
    Hostile(
        "reads-memory-across-processes",
        """
buffer = ctypes.create_string_buffer(16)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 16)
def reading(name, pid):
    return lambda: call(name, pid, vector, ctypes.c_ulong(1), vector, ctypes.c_ulong(1), ctypes.c_ulong(0))
names = ("process_vm_readv", "process_vm_writev")
judge(*[reading(name, pid) for name in names for pid in (os.getppid(), WORLD["victim"], WORLD["owner"])])
""",
    ),
    Hostile(
        "steals-descriptors",
        """
def stealing(pid):
    def attempt():
        descriptor = os.pidfd_open(pid)
        for number in range(64):
            try:
                return syscall(438, descriptor, number, 0)
            except OSError:
                pass
        return False
    return attempt
def opening(pid):
    return lambda: [os.open("/proc/%d/fd/%d" % (pid, number), os.O_RDONLY) for number in range(3, 6)]
pids = (os.getppid(), WORLD["victim"], WORLD["owner"])
judge(*map(stealing, pids), *map(opening, pids))
""",
    ),
    Hostile(
        "pushes-terminal-input",
        """
import fcntl
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
def pushing(number, request):
    return lambda: fcntl.ioctl(number, request, b"\\2")
requests = [pushing(number, request) for number in (0, 1, 2) for request in (TIOCSTI, TIOCLINUX)]
judge(*requests, lambda: open("/dev/tty", "w"))
""",
    ),
    Hostile(
        "stays-stopped-by-the-terminal",
        "os.kill(os.getpid(), signal.SIGTTOU)\nprint('HELD')",
        any_of(held, ends(Ended.WALL_LIMIT)),
        SLEEPY,
    ),
]

PRIVILEGES = [
    Hostile(
        "becomes-root",
        """
def becoming(change):
    def attempt():
        change()
        return open("/etc/shadow").read()
    return attempt
judge(
    becoming(lambda: os.setuid(0)),
    becoming(lambda: os.setresuid(0, 0, 0)),
    becoming(lambda: os.setgid(0)),
    becoming(lambda: os.setgroups([0, 42])),
    becoming(lambda: None),
)
""",
    ),
    Hostile(
        "runs-a-set-user-id-command",
        """
for path in ("/bin/su", "/usr/bin/su", "/usr/bin/sudo"):
    try:
        os.execv(path, [path, "-c", "cat /etc/shadow && echo ESCAPED"])
    except OSError:
        pass
print("HELD")
""",
        any_of(held, ends(Ended.EXITED, Ended.WALL_LIMIT)),
        SLEEPY,
    ),
    Hostile(
        "becomes-another-program",
        """
try:
    script = "read line < /etc/shadow && echo ESCAPED; kill -0 %d && echo ESCAPED; echo HELD"
    os.execv("/bin/sh", ["sh", "-c", script % WORLD["victim"]])
except OSError:
    print("HELD")
""",
    ),
    Hostile(
        "makes-namespaces",
        """
USER, MOUNT, NETWORK, PROCESS = 0x10000000, 0x20000, 0x40000000, 0x20000000
def cloning(flags):
    def attempt():
        child = syscall(56, flags | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
    return attempt
def cloning_anew():
    arguments = (ctypes.c_uint64 * 11)(USER, 0, 0, 0, signal.SIGCHLD)
    if syscall(435, ctypes.byref(arguments), 88) == 0:
        os._exit(0)
flags = [USER, USER | MOUNT, MOUNT, NETWORK, PROCESS]
judge(*[lambda flag=flag: call("unshare", flag) for flag in flags], *map(cloning, flags), cloning_anew)
""",
    ),
    Hostile(
        "makes-namespaces-of-several",
        """
USER = 0x10000000
def cloning():
    child = syscall(56, USER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
def cloning_anew():
    arguments = (ctypes.c_uint64 * 11)(USER, 0, 0, 0, signal.SIGCHLD)
    if syscall(435, ctypes.byref(arguments), 88) == 0:
        os._exit(0)
judge(lambda: call("unshare", USER), cloning, cloning_anew)
""",
        held,
        SEVERAL,
    ),
    Hostile(
        "enters-namespaces",
        """
def entering(pid, name):
    return lambda: call("setns", os.open("/proc/%d/ns/%s" % (pid, name), os.O_RDONLY), 0)
pids = (1, os.getppid(), WORLD["victim"])
judge(*[entering(pid, name) for pid in pids for name in ("mnt", "net", "pid", "user", "ipc")])
""",
    ),
    Hostile(
        "mounts",
        """
here = os.getcwd().encode()
def mounting(kind, flags=0, source=b"none"):
    return lambda: call("mount", source, here, kind, ctypes.c_ulong(flags), None)
REMOUNT, BIND = 32, 4096
judge(
    *map(refused, [mounting(b"tmpfs"), mounting(b"", BIND, b"/"), mounting(b"", REMOUNT | BIND)]),
    refused(lambda: call("umount2", here, 2)),
    lambda: syscall(430, b"tmpfs", 0),
)
""",
    ),
    Hostile(
        "changes-its-root",
        """
judge(refused(lambda: os.chroot(".")), refused(lambda: syscall(155, b".", b".")))
""",
        machine="x86_64",
    ),
    Hostile(
        "has-rights-of-other-groups",
        """
def foreign():
    others = {*os.getgroups(), os.getgid(), os.getegid()} - {os.getuid(), WORLD["group"]}
    return False if not others else True
judge(foreign)
""",
    ),
    Hostile(
        "has-capabilities",
        """
header = ctypes.create_string_buffer((0x20080522).to_bytes(4, "little") + bytes(4), 8)
def holding():
    data = ctypes.create_string_buffer(24)
    call("capget", header, data)
    return any(data.raw)
def taking():
    call("capset", header, ctypes.create_string_buffer(b"\\xff" * 24, 24))
judge(holding, taking)
""",
    ),
]

CORNERS = [
    Hostile(
        "loads-bpf",
        """
hash_map = ctypes.create_string_buffer(b"\\1\\0\\0\\0" + b"\\4\\0\\0\\0" * 3 + bytes(100))
judge(lambda: syscall(321, 0, hash_map, 64))
""",
        machine="x86_64",
    ),
    Hostile(
        "opens-io-uring", "judge(lambda: syscall(425, 4, ctypes.create_string_buffer(120)))", machine="x86_64"
    ),
    Hostile("opens-userfaultfd", "judge(lambda: syscall(323, 0), lambda: syscall(323, 1))", machine="x86_64"),
    Hostile(
        "uses-the-key-ring",
        """
judge(
    lambda: syscall(248, b"user", b"x", b"x", 1, -3),
    lambda: syscall(250, 0, -3, 1),
    lambda: syscall(250, 6, -5),
)
""",
        machine="x86_64",
    ),
    Hostile(
        "measures-performance",
        """
clock = ctypes.create_string_buffer(b"\\1\\0\\0\\0" + b"\\x80\\0\\0\\0" + bytes(120))
judge(lambda: syscall(298, clock, 0, -1, -1, 0))
""",
        machine="x86_64",
    ),
    Hostile(
        "loads-kernel-modules",
        """
judge(*map(refused, [
    lambda: syscall(175, bytes(8), 8, b""),
    lambda: syscall(246, 0, 0, None, 0),
    lambda: syscall(313, 0, b"", 0),
]))
""",
        machine="x86_64",
    ),
    Hostile(
        "opens-files-by-handle",
        """
def handle():
    buffer = ctypes.create_string_buffer((128).to_bytes(4, "little") + bytes(140))
    number = ctypes.c_int()
    syscall(303, -100, b"/", buffer, ctypes.byref(number), 0)
    return syscall(304, -100, buffer, 0)
judge(handle)
""",
        machine="x86_64",
    ),
    Hostile(
        "calls-the-kernel-in-32-bit",
        """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
def calling(number, first, second):
    code = b"\\x53\\xb8" + number.to_bytes(4, "little") + b"\\xbb" + first.to_bytes(4, "little")
    code += b"\\xb9" + second.to_bytes(4, "little") + b"\\x31\\xd2\\xcd\\x80\\x5b\\xc3"
    page[: len(code)] = code
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return function()
def attempt():
    return False if calling(20, 0, 0) != os.getpid() and calling(359, 2, 2) < 0 else True
judge(attempt)
""",
        any_of(held, dies_of(31), dies_of(11)),  # the kernel may not know such calls at all
        machine="x86_64",
    ),
    Hostile(
        "calls-the-kernel-by-x32-numbers",
        "judge(lambda: syscall(0x40000000 + 41, 1, 2, 0), lambda: syscall(0x40000000 + 39))",
        machine="x86_64",
    ),
    Hostile(
        "calls-the-kernel-directly",
        """
def forking(number, *arguments):
    def attempt():
        if syscall(number, *arguments) == 0:
            os._exit(0)
    return attempt
judge(
    lambda: syscall(41, 2, 1, 0), lambda: syscall(101, 0x4206, os.getppid(), 0, 0),
    lambda: syscall(272, 0x10000000),
    forking(57), forking(56, 17, 0, 0, 0, 0),
)
""",
        machine="x86_64",
    ),
    Hostile(
        "calls-numbers-that-do-not-exist-yet",
        """
numbers = (*range(470, 600), 1 << 20, -1)
judge(*[lambda number=number: syscall(number, 0, 0, 0, 0) for number in numbers])
""",
        machine="x86_64",
    ),
    Hostile(
        "renames-the-machine",
        """
name = os.uname().nodename.encode()
judge(lambda: call("sethostname", name, ctypes.c_size_t(len(name))))
""",
    ),
]

KERNEL = [*OTHERS, *PRIVILEGES, *CORNERS]
