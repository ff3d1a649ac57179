"""The kernel's means of confinement, by ctypes: namespaces, mounts, Landlock, seccomp, capabilities.

Runs inside the sandbox's own processes, so it imports the standard library alone. Linux on x86-64 only:
system call numbers differ elsewhere, and a filter with wrong numbers would be worse than none.
Sources: landlock(7), seccomp(2), capabilities(7), user_namespaces(7), pivot_root(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable, Sequence

CLONE_THREAD = 0x00010000
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
_ALL_NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER = 1, 4, 24, 36
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 38, 22
_SECCOMP_MODE_FILTER = 2
_SYS_PIVOT_ROOT, _SYS_CAPSET, _SYS_CLOSE_RANGE = 155, 126, 436
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD, _SYS_LANDLOCK_RESTRICT = 444, 445, 446

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


def supported() -> bool:
    """Say whether this is a platform whose numbers this module knows."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and struct.calcsize("P") == 8


def _call(number: int, *arguments: object) -> int:
    result = _syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def prctl(option: int, *values: int) -> None:
    """Set a property of this process; raises ``OSError``."""
    padded = [*values, 0, 0, 0, 0][:4]
    _checked(_libc.prctl(option, *(ctypes.c_ulong(value) for value in padded)), f"prctl {option}")


def unshare(flags: int) -> None:
    """Leave the namespaces ``flags``. Raises ``OSError``, mostly EPERM."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def close_from(first: int) -> None:
    """Close every descriptor from ``first`` up."""
    _call(_SYS_CLOSE_RANGE, ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))


_python = ctypes.PyDLL(None)


def fork() -> int:
    """Fork without Python's own work around it; for a process with one thread and nothing to repair.

    ``os.fork`` lets the interpreter renew its locks and thread tables in the child, which touches (so
    copies) more memory than the rest of a small run. Random generators keep their state.
    """
    pid = _python.fork()
    if pid < 0:
        raise OSError("fork failed")
    return pid


# ---- mounts ----------------------------------------------------------------------------------------------


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount ``source`` at ``target``; raises ``OSError``."""
    texts = [text.encode() or None for text in (source, target, kind)]
    _checked(
        _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), data.encode() or None),
        f"mount {kind or source} on {target}",
    )


def bind_read_only(source: str, target: str) -> None:
    """Show ``source`` at ``target``, read-only, without set-user-id or devices."""
    mount(source, target, flags=MS_BIND | MS_REC)
    # Flags that the source's mount is locked with must be named again, or the kernel refuses.
    kept = os.statvfs(source).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | kept)


def unmount(target: str) -> None:
    """Detach the mount at ``target``."""
    _checked(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def enter_root(new_root: str) -> None:
    """Make ``new_root`` (a mount point) the root directory and forget the old one."""
    os.chdir(new_root)
    _call(_SYS_PIVOT_ROOT, ctypes.c_char_p(b"."), ctypes.c_char_p(b"."))
    _checked(_libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


# ---- capabilities ----------------------------------------------------------------------------------------


def drop_bounding_set() -> None:
    """Make sure that no execve can ever bring a capability back."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last capability that this kernel knows
                return
            if error.errno != errno.EPERM:  # without CAP_SETPCAP there is nothing to drop
                raise


_NO_CAPABILITIES = ctypes.create_string_buffer(24)
_CAPABILITY_HEADER = ctypes.create_string_buffer(struct.pack("=Ii", 0x20080522, 0), 8)


def drop_capabilities() -> None:
    """Give up every capability of this process."""
    _call(_SYS_CAPSET, _CAPABILITY_HEADER, _NO_CAPABILITIES)


# ---- Landlock --------------------------------------------------------------------------------------------

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_FS_ACCESS_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_FS_ACCESS_SINCE_5 = (1 << 16) - 1
_NET_ACCESS = 3  # bind and connect of TCP, since ABI 4
_SCOPES = 3  # abstract unix sockets and signals, since ABI 6
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | (1 << 14) | (1 << 15)  # what a rule on a file may hold
_IOCTL_DEV = 1 << 15


def landlock_abi() -> int:
    """Return the kernel's Landlock version; 0 where there is none."""
    try:
        return _call(_SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


class Ruleset:
    """A Landlock ruleset: everything it handles is forbidden but for what is allowed by path.

    Signals and abstract sockets out of the domain, and TCP, are forbidden where the kernel can.
    """

    def __init__(self) -> None:
        abi = landlock_abi()
        self.handled = _FS_ACCESS_BY_ABI.get(abi, _FS_ACCESS_SINCE_5)
        fields = (self.handled, _NET_ACCESS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        attributes = ctypes.create_string_buffer(struct.pack("=QQQ", *fields), 24)
        self.descriptor = _call(_SYS_LANDLOCK_CREATE, attributes, ctypes.c_size_t(size), ctypes.c_uint(0))

    def allow(self, path: str, access: int) -> None:
        """Allow ``access`` on ``path`` and all beneath it; a path that does not exist is left out."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            granted = access & self.handled
            if not os.path.isdir(path):
                granted &= _ON_FILES
            rule = ctypes.create_string_buffer(struct.pack("=Qi", granted, descriptor), 12)
            _call(_SYS_LANDLOCK_ADD, ctypes.c_int(self.descriptor), ctypes.c_int(1), rule, ctypes.c_uint(0))
        finally:
            os.close(descriptor)

    def read(self, path: str) -> None:
        """Allow reading, listing and executing."""
        self.allow(path, _EXECUTE | _READ_FILE | _READ_DIR)

    def list_only(self, path: str) -> None:
        """Allow listing folders, without reading files."""
        self.allow(path, _READ_DIR)

    def write(self, path: str) -> None:
        """Allow everything but the control of devices."""
        self.allow(path, self.handled & ~_IOCTL_DEV)

    def read_except(self, path: str, hidden: Iterable[str]) -> None:
        """Allow reading ``path`` but for the folders ``hidden`` beneath it (absolute, real paths)."""
        inner = [folder for folder in hidden if folder == path or folder.startswith(path.rstrip("/") + "/")]
        if not inner:
            self.read(path)
        elif path not in inner:
            self.list_only(path)
            for name in os.listdir(path):
                child = os.path.join(path, name)
                if not os.path.islink(child):
                    self.read_except(child, inner)

    def restrict(self) -> None:
        """Restrict this process, and all that it starts, for ever."""
        _call(_SYS_LANDLOCK_RESTRICT, ctypes.c_int(self.descriptor), ctypes.c_uint(0))

    def close(self) -> None:
        """Close the ruleset's descriptor."""
        os.close(self.descriptor)


# ---- seccomp ---------------------------------------------------------------------------------------------

_LOAD_WORD, _JUMP_EQUAL, _JUMP_SET, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24
_AUDIT_ARCH_X86_64 = 0xC000003E
_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def _refuse(code: int) -> int:
    return 0x00050000 | code


# Calls that no program needs here: they reach other processes, the kernel's configuration, the network, or
# memory that no limit counts. (Names and numbers of x86-64.)
FORBIDDEN = {
    "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "connect": 42, "bind": 49, "listen": 50,
    "semget": 64, "semop": 65, "semctl": 66, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71,
    "ptrace": 101, "syslog": 103, "rt_sigqueueinfo": 129, "mknod": 133, "uselib": 134, "personality": 135,
    "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "vhangup": 153, "modify_ldt": 154,
    "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164,
    "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172,
    "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176, "quotactl": 179,
    "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "tkill": 200, "sched_setaffinity": 203, "io_setup": 206, "lookup_dcookie": 212,
    "semtimedop": 220, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238, "mq_open": 240,
    "mq_unlink": 241, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "ioprio_set": 251, "migrate_pages": 256, "mknodat": 259, "unshare": 272, "vmsplice": 278,
    "move_pages": 279, "rt_tgsigqueueinfo": 297, "perf_event_open": 298, "fanotify_init": 300,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313,
    "sched_setattr": 314, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
    "pkey_mprotect": 329,
}  # fmt: skip
# Landlock has no say in these: without a root folder of its own, a program could change the marks of every
# file that belongs to the same user.
_OF_ATTRIBUTES = {
    "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "utime": 132, "utimes": 235,
    "fchownat": 260, "futimesat": 261, "fchmodat": 268, "utimensat": 280, "fchmodat2": 452,
}  # fmt: skip
_FOR_SERVER_ONLY = {"mount": 165, "umount2": 166}
_CLONE, _FORK, _VFORK, _KILL_CALL, _TGKILL, _IOCTL, _PRLIMIT = 56, 57, 58, 62, 234, 16, 302
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SOCKETPAIR, _FCNTL = 53, 72
# Who owns a descriptor gets its signals: a way to send some.
_SET_OWNER = ((_FCNTL, 8), (_FCNTL, 15), (_IOCTL, 0x8901), (_IOCTL, 0x8902))
_FIRST_UNKNOWN = 335  # the numbers after rseq; later calls are allowed by name
_LATER_ALLOWED = {
    "pidfd_open": 434, "close_range": 436, "openat2": 437, "faccessat2": 439, "epoll_pwait2": 441,
    "landlock_create_ruleset": 444, "landlock_add_rule": 445, "landlock_restrict_self": 446,
    "futex_waitv": 449, "cachestat": 451, "fchmodat2": 452,
}  # fmt: skip


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _refuse_if(number: int, code: int, argument: int, test: int, value: int, *, when: bool) -> list[bytes]:
    """Return instructions: refuse call ``number`` when the low word of an argument meets (or not) a test."""
    refuse, allow = _instruction(_RETURN, _refuse(code)), _instruction(_RETURN, _ALLOW)
    return [
        _instruction(_JUMP_EQUAL, number, 0, 4),
        _instruction(_LOAD_WORD, argument),
        _instruction(test, value, 0, 1),
        refuse if when else allow,
        allow if when else refuse,
    ]


def _program(*parts: Iterable[bytes]) -> bytes:
    """Return a BPF program: refuse foreign architectures, then ``parts``, then allow."""
    start = [
        _instruction(_LOAD_WORD, _ARCH),
        _instruction(_JUMP_EQUAL, _AUDIT_ARCH_X86_64, 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD_WORD, _NUMBER),
    ]
    middle = [instruction for part in parts for instruction in part]
    return b"".join([*start, *middle, _instruction(_RETURN, _ALLOW)])


def _refuse_calls(numbers: Iterable[int], code: int = errno.EPERM) -> list[bytes]:
    refuse = _instruction(_RETURN, _refuse(code))
    return [part for number in numbers for part in (_instruction(_JUMP_EQUAL, number, 0, 1), refuse)]


def server_filter(*, foreign_files: bool) -> bytes:
    """Return a BPF program that the fork server itself bears, and every child inherits.

    ``foreign_files`` says that files of others are in sight, so that no attribute of a file may be changed.
    The kernel takes long to accept a filter, so the long one is installed once and not in every child.
    """
    unknown = [_instruction(_JUMP_EQUAL, number, 0, 1) for number in _LATER_ALLOWED.values()]
    allow = _instruction(_RETURN, _ALLOW)
    return _program(
        _refuse_calls(FORBIDDEN.values()),
        _refuse_calls(_OF_ATTRIBUTES.values() if foreign_files else ()),
        *(_refuse_argument(number, value) for number, value in _SET_OWNER),
        [part for jump in unknown for part in (jump, allow)],
        # Unknown, newer and x32 calls do not exist; the C library then falls back to older ones.
        [
            _instruction(_JUMP_GREATER_EQUAL, _FIRST_UNKNOWN, 0, 1),
            _instruction(_RETURN, _refuse(errno.ENOSYS)),
        ],
        # One end of a pair can send to any socket of its kind, unless the kind knows no addresses: streams
        # (1) and packets in sequence (5) do not, datagrams (2, and 3 which means the same here) do.
        _refuse_if(_SOCKETPAIR, errno.EPERM, _ARGUMENT_1, _JUMP_SET, 2, when=True),
    )


def child_filter(*, processes: bool, only_own_signals: int = 0) -> bytes:
    """Return a BPF program for a child, beside the one that it inherits.

    With ``processes`` off nothing but threads can be started. ``only_own_signals`` is a process id: signals
    may then go to that process alone (for rungs without a process namespace).
    """
    if processes:
        start = _refuse_if(_CLONE, errno.EPERM, _ARGUMENT_0, _JUMP_SET, _ALL_NAMESPACES, when=True)
    else:
        start = _refuse_if(_CLONE, errno.EPERM, _ARGUMENT_0, _JUMP_SET, CLONE_THREAD, when=False)
        start += _refuse_calls((_FORK, _VFORK))
    signals = [
        instruction
        for number in (_KILL_CALL, _TGKILL)
        for instruction in _refuse_if(
            number, errno.EPERM, _ARGUMENT_0, _JUMP_EQUAL, only_own_signals, when=False
        )
    ]
    return _program(
        _refuse_calls(_FOR_SERVER_ONLY.values()),
        start,
        _refuse_if(_PRLIMIT, errno.EPERM, _ARGUMENT_0, _JUMP_EQUAL, 0, when=False),
        *(_refuse_argument(_IOCTL, request) for request in (_TIOCSTI, _TIOCLINUX)),
        signals if only_own_signals else [],
    )


def _refuse_argument(number: int, value: int) -> list[bytes]:
    """Return instructions: refuse call ``number`` with that second argument, or go on to the next test."""
    return [
        _instruction(_JUMP_EQUAL, number, 0, 4),
        _instruction(_LOAD_WORD, _ARGUMENT_1),
        _instruction(_JUMP_EQUAL, value, 0, 1),
        _instruction(_RETURN, _refuse(errno.EPERM)),
        _instruction(_LOAD_WORD, _NUMBER),
    ]


class Filter:
    """A BPF program in the form that the kernel takes; made once, installed in many children."""

    def __init__(self, program: bytes) -> None:
        self._instructions = ctypes.create_string_buffer(program, len(program))
        header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(self._instructions))
        self._program = ctypes.create_string_buffer(header, 16)

    def install(self) -> None:
        """Filter the system calls of this process, and of all that it starts, for ever.

        The process must have given up new privileges (``PR_SET_NO_NEW_PRIVS``) before.
        """
        _checked(
            _libc.prctl(
                PR_SET_SECCOMP,
                ctypes.c_ulong(_SECCOMP_MODE_FILTER),
                ctypes.c_ulong(ctypes.addressof(self._program)),
                ctypes.c_ulong(0),
                ctypes.c_ulong(0),
            ),
            "seccomp",
        )


def hidden_packages(roots: Sequence[str]) -> list[str]:
    """Return the folders of installed packages beneath the Python libraries in ``roots``.

    Programs must not import what is installed beside Palaestra: it could hold, or compute, hidden answers.
    """
    found = []
    for root in roots:
        for library in (root, os.path.join(root, "lib"), os.path.join(root, "local", "lib")):
            for name in os.listdir(library) if os.path.isdir(library) else ():
                for packages in ("site-packages", "dist-packages"):
                    folder = os.path.join(library, name, packages)
                    if name.startswith("python") and os.path.isdir(folder):
                        found.append(os.path.realpath(folder))
    return sorted(set(found))
