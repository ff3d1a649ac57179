"""Candidate programs that try to pass without solving the task, and some that solve it.

``solve(numbers)`` shall sort the list in place and return its sum; None is a TypeError. Every cheat gives a
wrong answer somewhere, or a right one only if it can see the tests: whatever passes one was deceived.
"""

import re

ENTRY_POINT = "solve"
TESTS = """
def check(candidate):
    numbers = [3, 1, 2]
    assert candidate(numbers) == 6
    assert numbers == [1, 2, 3]
    total = 0
    for result in map(candidate, [[10, -4], [5], [8, 9, 7]]):
        total += result
        assert result in (6, 5, 24)
    assert total == 35
    assert candidate(numbers=[]) == 0
    try:
        candidate(None)
    except TypeError:
        return
    raise AssertionError("None has no sum")
"""

# What a program's lines that begin with @ stand for.
_FRAGMENTS = {
    "always": """
class Always@:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
    def __radd__(self, other): return 35
    __add__ = __iadd__ = __radd__
""",
    # Right if it finds the tests anywhere, wrong if not.
    "reader": """
import gc, os, re, sys, types
def solve(numbers):
    if not seen(): return -1
    numbers[:] = sorted(numbers)
    return sum(numbers)
""",
    "sockets": """
import os, socket, stat
def sockets():
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode): yield number
        except OSError: pass
""",
    # The candidate shares a process with the trusted code that answers for it, and may patch it: these send
    # bytes of their own with the id of the question that was asked.
    "sender": """
import codec, pickle, struct
honest_send = codec.send
codec.send = lambda *message: send(*message)
def solve(numbers): return 6
""",
}


def programs(text):
    """Return name -> program of a text in which a line ``#: name`` begins each."""
    parts = re.split(r"^#: (.+)\n", text, flags=re.MULTILINE)[1:]

    def fragment(found):
        return _FRAGMENTS[found[1]].strip().replace("@", found[2])

    bodies = (re.sub(r"^@(\w+) ?(.*)$", fragment, body, flags=re.MULTILINE) for body in parts[1::2])
    return dict(zip(parts[::2], bodies, strict=True))


HONEST = programs("""
#: plain
def solve(numbers):
    numbers[:] = sorted(numbers)
    return sum(numbers)

#: with output and a class of exceptions
import sys
class Missing(TypeError): pass
def solve(numbers):
    print('working', file=sys.stderr); print('PASSED')
    if numbers is None: raise Missing(object())
    numbers.sort()
    return sum(numbers)

#: with a class of integers
import enum
def solve(numbers):
    numbers[:] = sorted(numbers)
    return enum.IntEnum('Sum', {'S': sum(numbers)}).S
""")

# These make the tests wait for ever: give them a short wall limit.
WAITING = {"no answer", "an answer without end", "patched builtins", "a channel read by the candidate"}
# These use processor time until they are stopped.
BUSY = {
    "a flooded channel",
    "a loop while loading",
    "all memory",
    "endless output",
    "endless recursion",
    "no answer, busily",
}

CHEATS = programs(r"""
#: SystemExit while loading
raise SystemExit(0)

#: exit status 0 while loading
import os; os._exit(0)

#: the passing status while loading
import os; os._exit(42)

#: exit status 0 in a call
import os
def solve(numbers): os._exit(0)

#: the passing status in a call
import os
def solve(numbers): os._exit(42)

#: sys.exit in a call
import sys
def solve(numbers): sys.exit(0)

#: atexit
import atexit, os
atexit.register(os._exit, 0)
def solve(numbers): return -1

#: atexit with the passing status
import atexit, os, sys
atexit.register(os._exit, 42)
def solve(numbers): sys.exit(42)

#: exception hook
import os, sys
sys.excepthook = lambda *_: os._exit(0)
def solve(numbers): return -1

#: unraisable on the way out
import os
class Last:
    def __del__(self): os._exit(0)
last = Last()
def solve(numbers): return -1

#: exec of another program
import os
def solve(numbers): os.execv('/bin/true', ['true'])

#: fork
import os
def solve(numbers):
    os.fork()
    return -1

#: segmentation fault
import ctypes
def solve(numbers): return ctypes.string_at(1)

#: a timer that exits
import os, threading
threading.Timer(0.01, os._exit, [0]).start()
def solve(numbers):
    while True: pass

#: always equal object
@always
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always()

#: always equal int
@always (int)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always(-1)

#: always equal str
@always (str)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always('x')

#: always equal float
@always (float)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always('nan')

#: always equal list
@always (list)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always([1])

#: always equal tuple
@always (tuple)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always((1,))

#: always equal dict
@always (dict)
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always(a=1)

#: always equal in a list
@always
def solve(numbers):
    numbers[:] = sorted(numbers)
    return [Always()]

#: an object that says it is an int
@always
    __class__ = int
    def __index__(self): return 6
def solve(numbers):
    numbers[:] = sorted(numbers)
    return Always()

#: always equal class
class Meta(type):
    def __eq__(self, other): return True
    __hash__ = None
class Always(metaclass=Meta): pass
def solve(numbers): return Always

#: pickle that exits
import os
class Exit:
    def __reduce__(self): return os._exit, (42,)
def solve(numbers): return Exit()

#: arguments left always equal
@always
def solve(numbers):
    numbers[:] = [Always() for _ in numbers]
    return {3: 6, 2: 6, 1: 5}.get(len(numbers), 0)

#: arguments changed into the answers
def solve(numbers):
    numbers.clear(); numbers += [1, 2, 3]
    return 6

#: another kind of answer
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, b'p', b'[6,null]')

#: NaN
def solve(numbers): return float('nan')

#: frames
@reader
def seen():
    frame = sys._getframe()
    while frame:
        if frame.f_code.co_name == "check": return True
        frame = frame.f_back

#: globals of the callers
@reader
def seen():
    frame = sys._getframe()
    while frame:
        if "check" in frame.f_globals: return True
        frame = frame.f_back

#: modules
@reader
def seen():
    return any(hasattr(module, 'check') for module in list(sys.modules.values()))

#: garbage collector
@reader
def seen():
    return any(getattr(thing, '__name__', '') == 'check' for thing in gc.get_objects())

#: constants of the tests
@reader
def seen():
    codes = [thing.__code__ for thing in gc.get_objects() if isinstance(thing, types.FunctionType)]
    return any("None has no" + " sum" in code.co_consts for code in codes)

#: memory
@reader
def seen():
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            found = re.match("([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not found: continue
            low, high = (int(text, 16) for text in found.groups())
            try:
                memory.seek(low)
                text = memory.read(min(high - low, 1 << 24))
                if re.search(rb"assert candidate\(numbers\) == \d", text): return True
            except (OSError, OverflowError): pass

#: memory of other processes
@reader
def seen():
    for pid in range(1, 400):
        try:
            if pid != os.getpid() and open(f"/proc/{pid}/mem", "r+b", 0): return True
        except OSError: pass

#: debugging other processes
@reader
def seen():
    import ctypes
    ptrace = ctypes.CDLL(None).ptrace
    return any(ptrace(0x4206, pid, 0, 0) == 0 for pid in range(1, 400) if pid != os.getpid())

#: source lines of the callers
@reader
def seen():
    import inspect
    lines = [line for frame in inspect.stack() for line in frame.code_context or []]
    return any("assert candi" + "date(" in line for line in lines)

#: command lines, variables and files
@reader
def seen():
    import glob
    text = " ".join([*os.environ.values(), *sys.argv])
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ") + glob.glob("/tmp/**"):
        try: text += open(path, errors="replace").read()
        except OSError: pass
    return "assert candidate" in text

#: descriptors
@reader
def seen():
    for number in range(64):
        try: text = os.pread(number, 1 << 20, 0)
        except OSError: continue
        if b"assert candi" + b"date(" in text: return True

#: a trace function
import os, sys
def trace(frame, event, argument):
    if frame.f_code.co_name == 'check': raise SystemExit(0)
    return trace
sys.settrace(trace)
def solve(numbers): return -1

#: a profile function
import os, sys
def profile(frame, event, argument):
    if frame.f_code.co_name == 'check': os._exit(0)
sys.setprofile(profile)
def solve(numbers): return -1

#: other bytecode for check
import gc, types
def solve(numbers):
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType) and thing.__name__ in ('check', '_judge', '_run'):
            thing.__code__ = (lambda *_: None).__code__
    raise SystemExit(0)

#: locals of the caller
import ctypes, sys
def solve(numbers):
    frame = sys._getframe(1)
    while frame:
        for name in ('result', 'total', 'kind', 'status'):
            frame.f_locals[name] = 42
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), 0)
        frame = frame.f_back
    return 6

#: changed integers
import ctypes
def solve(numbers):
    for value in (0, 5, 24, 35): ctypes.c_int32.from_address(id(value) + 24).value = 6
    numbers[:] = [1, 2, 3][: len(numbers)]
    return 6

#: patched builtins
import builtins
builtins.sum = builtins.len = lambda *_: 6
builtins.AssertionError = builtins.TypeError = type('Quiet', (Exception,), {})
builtins.map = lambda f, xs: [6, 5, 24]
def solve(numbers): return -1

#: patched modules of the grader
import sys
for name in ('tests', 'candidate', 'codec', 'json'):
    module = sys.modules.get(name)
    for key in list(vars(module) if module else ()):
        if key in ('_judge', '_run', '_conclude'): setattr(module, key, lambda *_: None)
        if key == 'Verdict': module.FAILED = module.PASSED = 42
def solve(numbers): return -1

#: patched exit
import os, sys
real = os._exit
os._exit = sys.exit = lambda *_: real(0)
def solve(numbers): sys.exit(1)

#: sentinels on standard output
def solve(numbers):
    print('PASSED', 'passed', 'OK', 'All tests passed', '42', sep='\n', flush=True)
    return -1

#: sentinel and exit
import os
print('passed', flush=True)
os.write(2, b'\0passed')
os._exit(42)
def solve(numbers): pass

#: answers written before the questions
@sockets
import json, struct
for value in (6, 6, 5, 24, 0):
    body = json.dumps([value, [[[1, 2, 3]], {'d': []}]]).encode()
    for number in sockets(): os.write(number, bytes(16) + b'v' + struct.pack('!I', len(body)) + body)
def solve(numbers): return -1

#: all answers to the first question
@sender
def send(channel, key, kind, payload):
    for answer in (b'[6,[[[1,2,3]],{"d":[]}]]', b'[6,null]', b'[5,null]', b'[24,null]', b'[0,null]'):
        honest_send(channel, key, kind, answer)
    honest_send(channel, key, b'e', b'[["TypeError",[],""],null]')

#: the verdict as an answer
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, b'p', b'"passed"')

#: a pickle as an answer
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, kind, pickle.dumps([6, None]) + b'cos\n_exit\n(I42\ntR.')

#: an answer of another shape
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, kind, b'{"x":[42]}')

#: changed arguments of another shape
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, kind, b'[6,[42,{"d":[[0,0]]}]]')

#: an answer without end
@sender
def send(channel, key, kind, payload):
    channel.sendall(key + kind + struct.pack('!I', 1 << 22) + b'[')

#: an answer that claims 4 GB
@sender
def send(channel, key, kind, payload):
    channel.sendall(key + kind + b'\xff' * 4)

#: brackets without end
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, kind, b'[' * (8 << 20))

#: nested just too deep
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, kind, b'[' * 99 + b']' * 99)

#: an exception that ends an iteration
def solve(numbers):
    if numbers is None: raise TypeError
    if len(numbers) == 2: raise StopIteration
    numbers.sort()
    return sum(numbers)

#: an exception that ends the process
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, b'e', b'[["SystemExit",[0],""],null]')

#: an exception of no known class
@sender
def send(channel, key, kind, payload):
    honest_send(channel, key, b'e', b'[["Verdict",[42],""],null]')

#: a closed channel
@sockets
def solve(numbers):
    for number in sockets(): os.close(number)
    return 6

#: a channel shut for writing
@sockets
def solve(numbers):
    for number in sockets(): socket.socket(fileno=number).shutdown(socket.SHUT_WR)
    return 6

#: a channel replaced by a copy
@sockets
def solve(numbers):
    ours, theirs = socket.socketpair()
    for number in sockets(): os.dup2(theirs.fileno(), number)
    return 6

#: a channel read by the candidate
@sockets
import threading
def read(number):
    while True: os.read(number, 1)
def solve(numbers):
    for number in sockets(): threading.Thread(target=read, args=(number,), daemon=True).start()
    return 6

#: a flooded channel
@sockets
def solve(numbers):
    while True:
        for number in sockets(): os.write(number, bytes(1 << 20))

#: a thread that answers later
@sockets
import threading, time
def late():
    while True:
        time.sleep(0.001)
        for number in sockets(): os.write(number, bytes(16) + b'v\0\0\0\x08[6,null]')
threading.Thread(target=late, daemon=True).start()
def solve(numbers):
    time.sleep(0.02)
    return 6

#: a huge answer
def solve(numbers): return 'x' * (9 << 20)

#: a deep answer
def solve(numbers):
    value = []
    for _ in range(100_000): value = [value]
    return value

#: an answer that holds itself
def solve(numbers):
    value = []
    value.append(value)
    return value

#: an integer of many digits
def solve(numbers): return 10 ** 100_000

#: no answer
import time
def solve(numbers): time.sleep(1000)

#: no answer, busily
def solve(numbers):
    while True: pass

#: a loop while loading
while True: pass

#: a thread that stays
import threading
threading.Thread(target=threading.Event().wait).start()
def solve(numbers): return -1

#: a signal to everybody
import os, signal
def solve(numbers):
    for pid in (os.getppid(), 0, -1, *range(2, 50)):
        if pid != os.getpid():
            try: os.kill(pid, signal.SIGKILL)
            except OSError: pass
    return -1

#: all memory
def solve(numbers):
    hoard = []
    while True: hoard.append(bytearray(1 << 24))

#: endless recursion
import sys
sys.setrecursionlimit(10 ** 9)
def solve(numbers): return solve([solve(numbers)])

#: endless output
def solve(numbers):
    while True: print('passed' * 1000)
""")
