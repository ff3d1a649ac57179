"""Validation in the real fork sandbox: what honest skills may do, and hostile ones that must be refused."""

from __future__ import annotations

import builtins
import os
from dataclasses import replace

import pytest

from palaestra.agents.skills.core import Example, Refusal, Skill, SkillRefusedError
from palaestra.agents.skills.extraction import extract
from palaestra.agents.skills.library import Library
from palaestra.agents.skills.validation import Validator
from palaestra.sandboxes.core import Limits, Rung, Sandbox, SandboxError
from palaestra.sandboxes.forkserver import ForkSandbox
from palaestra.sandboxes.inside import kernel
from palaestra.sandboxes.session import ToolRefusal

pytestmark = pytest.mark.skipif(
    not kernel.supported() or not kernel.landlock_abi(), reason="the fork server needs Linux with Landlock"
)
QUICK = Limits(cpu_s=0.5, wall_s=5.0, memory_bytes=256 << 20, output_bytes=64 << 10)
IMPATIENT = replace(QUICK, wall_s=1.0)


@pytest.fixture(scope="module")
def sandbox():
    with ForkSandbox(2) as opened:
        yield opened


@pytest.fixture(scope="module")
def validator(sandbox):
    return Validator(sandbox, QUICK)


def skill(body, call="f(2)", result=None, name="f", **more):
    return Skill(name, "code", body, example=Example(call, result), **more)


def function(*lines):
    """The source of f with these lines as its body; lines before a "|" come before it."""
    cut = lines.index("|") if "|" in lines else 0
    inner = lines[cut + 1 :] if cut else lines
    return "\n".join([*lines[:cut], "def f(a):", *(f"    {line}" for line in inner)]) + "\n"


# ---- honest skills -------------------------------------------------------------------------------------

HONEST = {
    "arithmetic": (function("return a + 1"), "3"),
    "nothing returned": (function("print(a)"), "None"),
    "a set": (function("return {a, 1}"), "{1, 2}"),
    "not a number": (function("return float('nan')"), "nan"),
    "a class of its own": (function("import decimal", "return decimal.Decimal(a)"), "Decimal('2')"),
    "names of builtins inside": (function("list = [a]", "sum = len(list)", "return sum"), "1"),
    "constants, types and a cache": (
        function(
            "import functools", "K: int = 3", "TABLE = {'a': [1]}", "@functools.cache", "|", "return a * K"
        ),
        "6",
    ),
    "many modules": (
        function(
            "import csv, dataclasses, datetime, itertools, random, statistics, urllib.parse, uuid",
            "return random.Random(a).random() < 2",
        ),
        "True",
    ),
    "files of its own": (
        function(
            "import os, tempfile",
            "|",
            "open('new.txt', 'w').write('x')",
            "open('new.txt', 'a').write('y')",
            "os.rename('new.txt', 'moved.txt')",
            "with tempfile.TemporaryDirectory(dir='.') as folder:",
            "    open(os.path.join(folder, 'x'), 'w').write('z')",
            "text = open('moved.txt').read()",
            "os.remove('moved.txt')",
            "return text",
        ),
        "'xy'",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_honest_skills_pass_and_their_result_is_recorded(validator, name):
    body, result = HONEST[name]
    checked = validator(skill(body))
    assert checked == replace(skill(body), checked="called", example=Example("f(2)", result))
    assert validator(checked) == checked


def test_what_was_extracted_enters_the_library(validator):
    library = Library(validator=validator)
    source = (
        "SIDES = 4\ndef side(x):\n    return x / SIDES\ndef area(x):\n    return side(x) ** 2\nprint(area(8))"
    )
    for one in extract(source).skills:
        library.add(one)
    assert library.get("area").example == Example("area(8)", "4.0")
    assert (library.get("area").checked, library.get("side").checked) == ("called", "defined")
    with pytest.raises(SkillRefusedError) as caught:
        library.update(Skill("side", "code", "def side(x):\n    return x\n"))
    assert caught.value.reason is Refusal.BREAKS_OTHERS


def test_tools_are_called_where_they_are_given(sandbox, validator):
    def greet(name):
        if name != "Ada":
            raise ToolRefusal("a stranger")
        return f"hello {name}"

    body = "def f(a):\n    return apis.greet(a).upper()\n"
    using = skill(body, "f('Ada')", tools=("apis.greet",))
    assert validator(using).checked == "defined"
    equipped = Validator(sandbox, QUICK, tools={"apis.greet": greet})
    assert equipped(using).example == Example("f('Ada')", "'HELLO ADA'")
    with pytest.raises(SkillRefusedError, match="a stranger") as caught:
        equipped(replace(using, example=Example("f('Bob')")))
    assert caught.value.reason is Refusal.RAISED


# ---- hostile skills ------------------------------------------------------------------------------------

HOSTILE = {
    # seen by reading
    "does not parse": ("def f(a:\n", Refusal.SYNTAX),
    "is another function": ("def g(a):\n    return a\n", Refusal.FORM),
    "runs a statement": ("print(1)\ndef f(a):\n    return a\n", Refusal.FORM),
    "computes a constant": ("K = open('x')\ndef f(a):\n    return a\n", Refusal.FORM),
    "imports everything": ("from os import *\ndef f(a):\n    return a\n", Refusal.FORM),
    "imports over a builtin": ("from os import open\ndef f(a):\n    return a\n", Refusal.SHADOWS),
    "defines a builtin as constant": ("len = 3\ndef f(a):\n    return a\n", Refusal.SHADOWS),
    "runs in a default": ("def f(a=print(1)):\n    return a\n", Refusal.RUNS_WHEN_DEFINED),
    "runs in an annotation": ("def f(a: print(1)):\n    return a\n", Refusal.RUNS_WHEN_DEFINED),
    "runs in a decorator": ("import os\n@os.remove\ndef f(a):\n    return a\n", Refusal.RUNS_WHEN_DEFINED),
    "declares a global": (function("global x", "x = 1"), Refusal.TAMPERS),
    "is endless to read": (function("return 1" + " + 1" * 9000), Refusal.TOO_LONG),
    # seen by trying
    "prints when imported": (function("import this", "|", "return this"), Refusal.RUNS_WHEN_DEFINED),
    "imports what is not there": (function("import nothing_here", "|", "return 1"), Refusal.MISSING),
    "uses what is not there": (function("return nothing_here"), Refusal.MISSING),
    "raises": (function("return 1 / 0"), Refusal.RAISED),
    "recurs": (function("return f(a)"), Refusal.RAISED),
    "draws lots": (function("import random", "return random.random()"), Refusal.UNSTEADY),
    "gives an object": (function("return object()"), Refusal.NOT_PLAIN),
    "deletes a system file": (function("import os", "os.remove('/etc/passwd')"), Refusal.FILES),
    "deletes quietly": (
        function("import os", "try:", "    os.remove('notes.txt')", "except OSError:", "    pass"),
        Refusal.FILES,
    ),
    "deletes everything": (
        function("import shutil", "shutil.rmtree('/', ignore_errors=True)"),
        Refusal.FILES,
    ),
    "overwrites a file": (function("open('notes.txt', 'w').close()"), Refusal.FILES),
    "renames a file": (function("import os", "os.rename('notes.txt', 'mine.txt')"), Refusal.FILES),
    "exits": (function("raise SystemExit(0)"), Refusal.EXITS),
    "exits at once": (function("import os", "os._exit(0)"), Refusal.EXITS),
    "answers for the interpreter and exits": (
        function(
            "import os",
            'os.write(3, b\'\\0\\0\\0\\x29{"done": true, "value": "3", "error": null}\')',
            "os._exit(0)",
        ),
        Refusal.EXITS,
    ),
    "behaves only while it is watched": (
        function("return 3 if '__watch__' in globals() else 4"),
        Refusal.WRONG_RESULT,
    ),
    "aborts": (function("import os", "os.abort()"), Refusal.CRASHED),
    "kills its process": (function("import os", "os.kill(os.getpid(), 9)"), Refusal.PROCESSES),
    "forks": (function("import os", "os.fork()"), Refusal.PROCESSES),
    "starts a program": (function("import subprocess", "subprocess.run(['ls'])"), Refusal.PROCESSES),
    "opens a socket": (function("import socket", "socket.socket()"), Refusal.NETWORK),
    "calls the C library": (function("import ctypes", "ctypes.CDLL(None).getpid()"), Refusal.NATIVE),
    "replaces a builtin": (function("import builtins", "builtins.len = max"), Refusal.SHADOWS),
    "removes a builtin": (function("import builtins", "del builtins.repr"), Refusal.SHADOWS),
    "replaces all builtins": (function("globals()['__builtins__'] = {}"), Refusal.TAMPERS),
    "hides a builtin": (function("globals()['print'] = len"), Refusal.SHADOWS),
    "replaces a module's function": (function("import math", "math.sqrt = abs"), Refusal.SHADOWS),
    "sets a variable of the session": (function("globals()['state'] = 1"), Refusal.TAMPERS),
    "changes the environment": (function("import os", "os.environ['HOME'] = '/'"), Refusal.TAMPERS),
    "takes the output away": (function("import sys", "sys.stdout = None"), Refusal.TAMPERS),
    "drops a module": (function("import sys", "sys.modules.pop('json')"), Refusal.TAMPERS),
    "looks for who watches": (function("import gc", "gc.get_objects()"), Refusal.TAMPERS),
    "leaves a thread": (
        function(
            "import threading, time", "threading.Thread(target=time.sleep, args=(99,), daemon=True).start()"
        ),
        Refusal.LINGERS,
    ),
    "takes all memory": (function("bytearray(1 << 30)"), Refusal.MEMORY),
    "floods the output": (function("print('x' * 1000000)"), Refusal.OUTPUT),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_skills_are_refused_with_their_reason(validator, name):
    body, reason = HOSTILE[name]
    library = Library(validator=validator)
    with pytest.raises(SkillRefusedError) as caught:
        library.add(skill(body, "f()" if "f(a=" in body else "f(2)"))
    assert caught.value.reason is reason, str(caught.value)
    assert library.version == 0


@pytest.mark.parametrize("body", ["while True: pass", "import time; time.sleep(1000)"])
def test_a_skill_that_does_not_end_is_refused(sandbox, body):
    with pytest.raises(SkillRefusedError) as caught:
        Validator(sandbox, IMPATIENT)(skill(function(body)))
    assert caught.value.reason is Refusal.LOOPS


@pytest.mark.parametrize("name", ["print", "class", "__init__", "a b", "", "a-b", "f" * 65])
def test_names_that_cannot_be_used_are_refused(validator, name):
    with pytest.raises(SkillRefusedError):
        validator(Skill(name, "code", f"def {name}(x):\n    return x\n"))


@pytest.mark.parametrize("call", ["f(x)", "g(2)", "f(2", "f(f(2))", "f(*[2])", "f(2); f(2)", "f"])
def test_an_example_is_one_call_with_literals(validator, call):
    with pytest.raises(SkillRefusedError) as caught:
        validator(skill(function("return a"), call))
    assert caught.value.reason is Refusal.NOT_PLAIN


@pytest.mark.parametrize(("result", "good"), [("4", True), ("4.0", False), ("True", False), ("'4'", False)])
def test_the_recorded_result_must_come_again(validator, result, good):
    double = skill(function("return 2 * a"), result=result)
    if good:
        assert validator(double).checked == "called"
        return
    with pytest.raises(SkillRefusedError) as caught:
        validator(double)
    assert caught.value.reason is Refusal.WRONG_RESULT


def test_no_line_of_a_skill_runs_outside_the_sandbox(validator, tmp_path, monkeypatch):
    mark, before = tmp_path / "mark", dict(vars(builtins))
    monkeypatch.chdir(tmp_path)
    body = function(
        "import builtins, os",
        "|",
        f"open({str(mark)!r}, 'w').write('x')",
        "open('here', 'w').write('x')",
        "os.environ['MARK'] = builtins.MARK = 'x'",
    )
    with pytest.raises(SkillRefusedError):
        validator(skill(body))
    assert list(tmp_path.iterdir()) == []
    assert "MARK" not in os.environ
    assert vars(builtins) == before


def test_a_failing_sandbox_is_no_refusal_and_nothing_runs_without_one():
    class Broken(Sandbox):
        rung = Rung("broken", ())

        def start(self, *launches):
            raise SandboxError("no slots")

        def close(self):
            pass

    with pytest.raises(SandboxError, match="no slots"):
        Validator(Broken(), QUICK)(skill(function("return a")))
