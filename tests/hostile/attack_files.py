"""Programs that read what they must not, and write where they must not."""

from cases import Hostile

from palaestra.sandboxes.core import Limits

READS = [
    Hostile(
        "reads-password-hashes",
        """
def reading(name):
    return lambda: open("/etc/" + name).read()
judge(*map(reading, ["shadow", "gshadow", "sudoers", "shadow-"]))
""",
    ),
    Hostile(
        "reads-planted-secrets",
        """
judge(*[lambda path=path: secrets_in(open(path, "rb").read()) for path in WORLD["secret_files"]])
""",
    ),
    Hostile(
        "reads-secrets-by-other-roads",
        """
def by(road):
    return [lambda path=path: secrets_in(open(road + path, "rb").read()) for path in WORLD["secret_files"]]
def linked(make, name):
    def attempt(path):
        try:
            os.unlink(name)
        except OSError:
            pass
        make(path, name)
        return secrets_in(open(name, "rb").read())
    return [lambda path=path: attempt(path) for path in WORLD["secret_files"]]
up = ["/proc/self/cwd" + "/.." * 9, "../" * 20]
roads = ["/proc/self/root", "/proc/1/root", "/proc/%d/root" % os.getppid(), *up]
judge(*sum(map(by, roads), []), *linked(os.symlink, "soft"), *linked(os.link, "hard"))
""",
    ),
    Hostile(
        "reads-the-grader",
        """
judge(lambda: open(WORLD["tests"], "rb").read(), lambda: os.listdir(os.path.dirname(WORLD["tests"])))
""",
    ),
    Hostile(
        "lists-foreign-folders",
        """
judge(*[lambda path=path: os.listdir(path) for path in WORLD["foreign_folders"]])
""",
    ),
    Hostile(
        "reads-its-environment",
        """
def by_file():
    return secrets_in(open("/proc/self/environ", "rb").read())
def by_memory():
    start = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ").value
    environment = (ctypes.c_char_p * 1000).from_address(start)
    return secrets_in(b"".join(iter(iter(environment).__next__, None)))
judge(lambda: secrets_in(repr(os.environ).encode()), by_file, by_memory)
""",
    ),
    Hostile(
        "reads-environments-of-others",
        """
def reading(pid):
    def attempt():
        paths = ["/proc/%s/environ" % pid, "/proc/%s/cmdline" % pid]
        return any([secrets_in(open(path, "rb").read()) for path in paths])
    return attempt
try:
    pids = [name for name in os.listdir("/proc") if name.isdigit()]
except OSError:
    pids = []
judge(*map(reading, [1, os.getppid(), WORLD["victim"], WORLD["owner"], *pids]))
""",
    ),
    Hostile(
        "reads-memory-of-others",
        """
def reading(pid):
    def attempt():
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", buffering=0) as memory:
            memory.seek(int(maps.readline().split("-")[0], 16))
            return memory.read(16)
    return attempt
judge(*map(reading, [1, os.getppid(), WORLD["victim"], WORLD["owner"]]))
""",
    ),
    Hostile(
        "writes-memory-of-others",
        """
def writing(pid):
    return lambda: os.close(os.open("/proc/%d/mem" % pid, os.O_RDWR))
judge(*map(writing, [1, os.getppid(), WORLD["victim"], WORLD["owner"]]))
""",
    ),
    Hostile(
        "reads-the-run-before-in-memory",
        """
def pages(start, size):
    # A write from an address that is not mapped fails instead of crashing, so it can feel its way.
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    library, found = ctypes.CDLL(None), []
    for at in range(start, start + size, 1 << 16):
        count = library.write(writer, ctypes.c_void_p(at), ctypes.c_size_t(1 << 16))
        if count > 0:
            found.append(os.read(reader, count))
    os.close(reader)
    os.close(writer)
    return b"".join(found)
def around(address):
    return lambda: secrets_in(pages((address >> 16 << 16) - (1 << 26), 1 << 27))
def heap():
    library = ctypes.CDLL(None)
    library.sbrk.restype = ctypes.c_void_p
    return secrets_in(pages((library.sbrk(0) >> 16 << 16) - (1 << 26), (1 << 26) + (1 << 16)))
def mapped():
    found = False
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if line.split()[1].startswith("r") and end - start < 1 << 28:
                try:
                    memory.seek(start)
                    found |= secrets_in(memory.read(end - start))
                except (OSError, OverflowError, ValueError):
                    pass
    return found
judge(around(id(object())), around(id(os)), around(id(secrets_in)), heap, mapped)
""",
        limits=Limits(cpu_s=8, wall_s=20),
        before="kept = WORLD_SECRET = %SECRET%\nprint(len(kept))",
    ),
    Hostile(
        "reads-the-run-before-in-objects",
        """
import gc, sys
def in_objects():
    return secrets_in("".join(each for each in gc.get_objects() if isinstance(each, str)).encode())
def in_frames():
    frame, found = sys._getframe(), []
    while frame is not None:
        found.append(repr(dict(frame.f_globals, **frame.f_locals)))
        frame = frame.f_back
    return secrets_in("".join(found).encode())
def in_modules():
    import linecache
    return secrets_in(repr([linecache.cache, list(map(vars, sys.modules.values()))]).encode())
judge(in_objects, in_frames, in_modules)
""",
        limits=Limits(cpu_s=8, wall_s=20),
        before="kept = WORLD_SECRET = %SECRET%\nimport builtins\nbuiltins.kept = kept\nprint(len(kept))",
    ),
    Hostile(
        "uses-inherited-descriptors",
        """
def using(number):
    def attempt():
        found = False
        for path in WORLD["secret_files"]:
            for road in (path.lstrip("/"), "../" * 20 + path.lstrip("/")):
                try:
                    descriptor = os.open(road, os.O_RDONLY, dir_fd=number)
                except OSError:
                    continue
                found |= secrets_in(os.read(descriptor, 4096))
        return found
    return attempt
judge(*map(using, range(3, 256)))
""",
    ),
]

WRITES = [
    Hostile(
        "writes-outside",
        """
def writing(folder):
    def attempt():
        with open(os.path.join(folder, WORLD["escape"]), "w") as file:
            file.write("x")
    return attempt
def anything(folder):
    try:
        writing(folder)()
    except OSError:
        pass
for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/dev", "/dev/mqueue", os.path.expanduser("~")):
    anything(folder)  # these may be the sandbox's own; the world looks whether anything appeared outside
foreign = ["/etc", "/usr", "/usr/bin", "/lib", "/root", "/home", "/proc", "/sys", WORLD["folder"], sys.prefix]
judge(*map(writing, foreign))
""",
    ),
    Hostile(
        "changes-a-foreign-file",
        """
victim = WORLD["victim_file"]
judge(
    lambda: open(victim, "a").write("x"),
    lambda: os.truncate(victim, 0),
    lambda: os.unlink(victim),
    lambda: os.rename(victim, victim + "-moved"),
    lambda: os.rename(victim, "mine"),
    lambda: os.mkdir(os.path.join(WORLD["folder"], WORLD["escape"])),
    lambda: os.symlink("x", os.path.join(WORLD["folder"], WORLD["escape"])),
    lambda: os.mkfifo(os.path.join(WORLD["folder"], WORLD["escape"])),
)
""",
    ),
    Hostile(
        "changes-a-foreign-files-attributes",
        """
victim = WORLD["victim_file"]
judge(
    lambda: os.chmod(victim, 0o4777),
    lambda: os.utime(victim, (1, 1)),
    lambda: os.utime(victim),
    lambda: os.setxattr(victim, "user.x", b"x"),
    lambda: os.chown(victim, 65533, 65533),
    lambda: os.chmod(WORLD["folder"], 0o777),
)
""",
    ),
    Hostile(
        "writes-through-links",
        """
def through(make, name):
    def attempt():
        make(WORLD["victim_file"], name)
        open(name, "a").write("x")
    return attempt
judge(through(os.symlink, "soft"), through(os.link, "hard"))
""",
    ),
    Hostile(
        "leaves-links-for-the-cleaner",
        """
for name in ("a", "b"):
    try:
        os.symlink(WORLD["folder"], name)
        os.mkdir("c" + name)
        os.symlink(WORLD["folder"], "c%s/d" % name)
        os.link(WORLD["victim_file"], "e" + name)
    except OSError:
        pass
print("HELD")
""",
    ),
    Hostile(
        "leaves-folders-that-are-hard-to-clean",
        """
try:
    os.mkdir("shut")
    open("shut/file", "w").close()
    os.chmod("shut", 0)
    os.mkfifo("pipe")
    for number in range(1500):
        os.mkdir(b"deep\\xff\\n")
        os.chdir(b"deep\\xff\\n")
except OSError:
    pass
print("HELD")
""",
    ),
    Hostile(
        "writes-kernel-settings",
        """
def opening(path):
    return lambda: os.close(os.open(path, os.O_WRONLY))
judge(*map(opening, [
    "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/overcommit_memory",
    "/proc/1/oom_score_adj", "/proc/%d/oom_score_adj" % os.getppid(), "/sys/kernel/uevent_helper",
    "/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda",
    "/sys/fs/cgroup/cgroup.procs", "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/cgroup.procs",
]))
""",
    ),
    Hostile(
        "makes-a-device",
        """
def device():
    os.mknod("disk", 0o60666, os.makedev(8, 0))
def memory():
    os.mknod("memory", 0o20666, os.makedev(1, 1))
judge(device, memory)
""",
    ),
    Hostile(
        "makes-a-set-user-id-file",
        """
def attempt():
    with open("shell", "wb") as file:
        file.write(b"#!/bin/sh\\n")
    os.chmod("shell", 0o6777)
    # Only of use to an attacker where it belongs to somebody else, or can be seen from outside.
    return False
judge(attempt)
""",
    ),
]

FILES = [*READS, *WRITES]
