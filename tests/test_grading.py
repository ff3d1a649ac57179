"""Grading: verdicts that honest programs earn, that no cheat gets, and typed outcomes for everything else."""

import ast
import gzip
import json
import math
import os
from collections import Counter, OrderedDict, namedtuple
from enum import StrEnum
from pathlib import Path

import cheats
import pytest

from palaestra.errors import OptionError
from palaestra.sandboxes.core import Limits, Program, Running, Sandbox, SandboxError
from palaestra.sandboxes.forkserver import ForkSandbox
from palaestra.sandboxes.grading import (
    Grade,
    OutputRequest,
    TestsRequest,
    grade,
    grade_in_process,
    grade_many,
    grade_output,
    split_prompt,
)
from palaestra.sandboxes.inside import codec

SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).parents[2] / "shared"))
HUMAN_EVAL = SHARED / "data/code/HumanEval.jsonl.gz"
MBPP = SHARED / "data/code/mbpp-py-reflexion.jsonl"
TIGHT = Limits(cpu_s=1.0, wall_s=60.0, memory_bytes=256 << 20)
CUBE = "def check(candidate):\n    assert candidate(2) == 8\n    assert candidate(-3) == -27\n"


@pytest.fixture(scope="module")
def sandbox():
    try:
        sandbox = ForkSandbox(workers=4)
    except SandboxError as error:
        pytest.skip(f"this machine has no fork sandbox: {error}")
    with sandbox:
        yield sandbox


def graded(sandbox, candidate, tests, **options):
    return grade(sandbox, candidate=candidate, tests=tests, **{"limits": TIGHT, **options})


# ---- verdicts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "outcome", "said"),
    [
        ("def cube(x): return x ** 3", "passed", ""),
        ("def cube(x): return x ** 2", "failed", "at line 2 of tests.py: assert candidate(2) == 8\n"),
        ("def cube(x): return x ** 2", "failed", "cube(2) returned 4"),
        ("def cube(x): return x / 0", "failed", "ZeroDivisionError: division by zero"),
        ("def cube(x): return x", "failed", "AssertionError"),
        ("def cube(x) return x", "failed", "SyntaxError"),
        ("import nothing_of_that_name", "failed", "ModuleNotFoundError"),
        ("x = '\0'", "failed", "null bytes"),
        ("x = '\ud800'", "failed", "UTF-8"),
        ("", "missing function", "'cube'"),
        ("cube = 27", "missing function", "'cube'"),
        ("def cube(x): return lambda: x", "unsupported", "function"),
        ("def cube(x): return iter([x])", "unsupported", "list_iterator"),
        ("import os\ndef cube(x): os.abort()", "crashed", "signal 6"),
        ("def cube(x):\n    while True: pass", "timeout", "limit"),
        ("def cube(x): return {8: 8}.get(x ** 3, -27)", "passed", ""),
    ],
)
def test_a_candidate_gets_the_outcome_it_deserves(sandbox, candidate, outcome, said):
    verdict = graded(sandbox, candidate, CUBE, entry_point="cube")
    assert verdict.outcome == outcome
    assert said in verdict.message
    assert verdict.passed is (outcome == "passed")
    assert (verdict.trust, verdict.rung) == ("split", sandbox.rung.name)
    assert verdict.wall_s >= 0


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("assert cube(2) = 8", "SyntaxError"),
        ("import nothing_of_that_name\nassert cube(2) == 8", "ModuleNotFoundError"),
        ("assert [][0] == cube(2)", "IndexError"),
        ("assert 1 == 1", "never called"),
        ("def check(): pass", "never called"),
        ("raise SystemExit(42)", "SystemExit"),
        ("import os; os._exit(0)", "status 0"),
        ("import os; os.abort()", "signal 6"),
    ],
)
def test_faults_of_the_tests_are_told_from_faults_of_the_candidate(sandbox, tests, said):
    verdict = graded(sandbox, "def cube(x): return x ** 3", tests)
    assert (verdict.passed, verdict.outcome) == (False, "error in tests")
    assert said in verdict.message


def test_a_value_that_the_tests_cannot_read_is_the_candidates_fault(sandbox):
    tests = "import ast\nassert ast.literal_eval(text()) == [1]"
    assert graded(sandbox, "def text(): return '[1]'", tests).passed
    assert graded(sandbox, "def text(): return '[1'", tests).outcome == "failed"
    broken = "assert apply(len, [1]) = 1"
    in_one = grade_in_process(sandbox, candidate="def apply(f, x): return f(x)", tests=broken)
    assert in_one.outcome == "error in tests"


def test_a_pass_needs_every_test_also_where_the_tests_end_early(sandbox):
    early = "assert cube(2) == 8\nraise SystemExit(0)\nassert cube(3) == 0"
    assert graded(sandbox, "def cube(x): return x ** 3", early).outcome == "failed"


def test_tests_call_functions_by_name_or_define_check_or_run_themselves(sandbox):
    program = "def double(x): return 2 * x\ndef half(x): return x // 2"
    assert graded(sandbox, program, "assert half(double(21)) == 21 and double(x=2) == 4").passed
    assert (
        graded(sandbox, program, "def check(f):\n    assert f(1) == 3", entry_point="half").outcome
        == "failed"
    )
    itself = "def check(f):\n    assert f(4) == 2\ndef run(): check(half)\nrun()"
    assert graded(sandbox, program, itself, entry_point="half").passed


def test_a_function_with_the_name_of_a_builtin_is_the_candidates(sandbox):
    assert graded(
        sandbox, "def sum(xs): return 'mine'", "assert sum([1]) == 'mine'", entry_point="sum"
    ).passed


def test_helpers_of_the_prelude_run_on_the_tests_side(sandbox):
    # The candidate's own version of the helper, which everything satisfies, is never asked.
    tests = "assert evaluate([1, -2], root([1, -2])) == 0"
    prelude = "def evaluate(line, x): return line[0] * x + line[1]"
    lazy = "def evaluate(line, x): return 0\ndef root(line): return 7"
    assert graded(sandbox, lazy, tests).passed
    assert graded(sandbox, lazy, tests, prelude=prelude).outcome == "failed"
    assert graded(sandbox, "def root(line): return -line[1] / line[0]", tests, prelude=prelude).passed


def test_an_annotated_module_and_a_data_class_work_as_a_program(sandbox):
    program = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Point:\n    x: int\n    y: list[int] | None = None\n"
        "limit: int = 3\ndef make(x): return Point(x).x + limit\n"
        "if __name__ == '__main__': print(input())"
    )
    assert graded(sandbox, program, "total: int = make(4)\nassert total == 7").passed


# ---- what crosses ------------------------------------------------------------------------------------


def test_literals_of_every_type_cross_both_ways_exactly(sandbox):
    tests = """
values = [None, True, 0, -1, 10 ** 300, -2 ** 5000, 1.5, -0.0, float("inf"), 2 + 3j, "é\\ud800", b"\\0\\xff",
          [1, [2]], (1,), (), {1, 2}, frozenset({"a"}), {1: "a", None: (1, 2), (1, "x"): {}}, {True: 1.0}]
for value in values:
    result = same(value)
    assert result == value and type(result) is type(value) and repr(result) == repr(value), value
assert same(float("nan")) != same(float("nan"))
assert same(1) is not True and repr(same([1, True, 1.0])) == "[1, True, 1.0]"
"""
    verdict = graded(sandbox, "def same(x): return x", tests)
    assert verdict.passed, verdict.message


def test_changes_to_arguments_cross_back_into_the_objects_that_the_tests_hold(sandbox):
    program = """
def change(rows, table, seen, pair=None):
    rows[0].append(9); rows.append([7]); table["k"].clear(); table["new"] = 1; seen.add(3)
    if pair: pair[0].append(1)
"""
    tests = """
inner, value, seen, held = [1], [5], {1}, []
rows, table = [inner, [2]], {"k": value, "gone": 0}
assert change(rows, table, seen, pair=(held, 2)) is None
assert rows == [[1, 9], [2], [7]] and rows[0] is inner and inner == [1, 9]
assert table == {"k": [], "gone": 0, "new": 1} and table["k"] is value and value == []
assert seen == {1, 3} and held == [1]
"""
    verdict = graded(sandbox, program, tests)
    assert verdict.passed, verdict.message


def test_a_hidden_change_to_an_argument_is_no_pass(sandbox):
    tests = "xs = [1]\nlast(xs)\nassert xs == [1], 'the argument is changed'"
    assert graded(sandbox, "def last(xs): return xs[-1]", tests).passed
    assert graded(sandbox, "def last(xs): return xs.pop()", tests).outcome == "failed"
    assert graded(sandbox, "def last(xs): xs[0] = object()", tests).outcome == "unsupported"


def test_exceptions_cross_as_the_builtin_class_they_extend(sandbox):
    program = """
class Mine(KeyError): pass
def fail(how):
    if how == "mine": raise Mine("key", 3)
    if how == "unicode": b"\\xff".decode()
    if how == "object": raise ValueError(object())
    if how == "group": raise ExceptionGroup("many", [ValueError(1)])
    raise StopIteration
"""
    tests = """
def caught(how):
    try: fail(how)
    except Exception as error: return error
assert type(caught("mine")) is KeyError and caught("mine").args == ("key", 3)
assert type(caught("unicode")) is UnicodeDecodeError
assert type(caught("object")) is ValueError and "object" in str(caught("object"))
assert isinstance(caught("group"), Exception)
assert type(caught("stop")) is RuntimeError
"""
    verdict = graded(sandbox, program, tests)
    assert verdict.passed, verdict.message


def test_objects_that_extend_a_plain_type_cross_as_that_type(sandbox):
    program = """
import collections, enum
class Word(str): pass
class Color(str, enum.Enum): RED = "red"
Point = collections.namedtuple("Point", "x y")
def make():
    table = collections.defaultdict(list); table["k"].append(Point(1, 2))
    return [collections.Counter("aab"), table, Word("w"), Color.RED, enum.IntEnum("N", "ONE").ONE]
"""
    verdict = graded(sandbox, program, "assert make() == [{'a': 2, 'b': 1}, {'k': [(1, 2)]}, 'w', 'red', 1]")
    assert verdict.passed, verdict.message


def test_the_limits_of_depth_and_size_are_kept_on_both_sides(sandbox):
    program = "def make(depth, size=0):\n    x = 'x' * size\n    for _ in range(depth): x = [x]\n    return x"
    assert graded(sandbox, program, f"make({codec.MAX_DEPTH - 1})").passed
    assert graded(sandbox, program, f"make({codec.MAX_DEPTH})").outcome == "unsupported"
    assert graded(sandbox, program, f"make(0, {codec.MAX_BYTES - 1000})").passed
    assert graded(sandbox, program, f"make(0, {codec.MAX_BYTES})").outcome == "unsupported"
    assert graded(sandbox, program, f"make(0, 'x' * {codec.MAX_BYTES})").outcome == "unsupported"


# ---- the codec ---------------------------------------------------------------------------------------


class Lying(int):
    __eq__ = lambda self, other: True  # noqa: E731
    __hash__ = None


def test_the_codec_refuses_what_is_no_plain_literal_unless_it_may_take_its_plain_value():
    pair = namedtuple("pair", "a b")
    kinds = StrEnum("kinds", "RED")
    for value, plain in [
        (Lying(3), 3),
        (Counter("a"), {"a": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (pair(1, 2), (1, 2)),
        ([kinds.RED], ["red"]),
    ]:
        with pytest.raises(codec.UnsupportedError):
            codec.encode(value)
        crossed = codec.decode(codec.encode(value, exact=False))
        assert repr(crossed) == repr(plain)
    for value in (object(), print, bytearray(1), range(3), {"a": [len]}):
        with pytest.raises(codec.UnsupportedError):
            codec.encode(value, exact=False)


def test_numpy_scalars_cross_as_numbers_and_arrays_do_not():
    numpy = pytest.importorskip("numpy")
    assert (
        codec.encode([numpy.int64(3), numpy.bool_(True), numpy.float32(0.5)], exact=False) == b"[3,true,0.5]"
    )
    with pytest.raises(codec.UnsupportedError):
        codec.encode(numpy.zeros(2), exact=False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"nonsense",
        b"[1] 2",
        b"{}",
        b'{"x": [1]}',
        b'{"t": 1}',
        b'{"t": [1], "s": [1]}',
        b'{"s": [[1]]}',
        b'{"d": [[[], 1]]}',
        b'{"d": [[1]]}',
        b'{"b": "\xc4\x80"}',
        b'{"c": [1, 2, 3]}',
        b'{"i": "zz"}',
        b'{"i": 3}',
        b"1" * 5000,
        b"[" * 100_000,
        b"[" * 61 + b"]" * 61,
        b'{"t":[' * 61 + b"]}" * 61,
        b" " * (codec.MAX_BYTES + 1),
    ],
)
def test_foreign_bytes_are_refused(data):
    with pytest.raises(codec.BadMessageError):
        codec.decode(data)


def test_decoding_builds_plain_types_alone():
    plain = {type(None), bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict}
    value = codec.decode(
        b'{"d":[[{"t":[1,{"f":["a"]}]},[true,null,NaN,{"c":[1,2]},{"b":"x"},{"i":"-0xff"},{"s":[1]}]]]}'
    )
    found = set()

    def walk(item):
        found.add(type(item))
        for inner in [*item, *item.values()] if isinstance(item, dict) else item:
            if isinstance(inner, list | tuple | set | frozenset | dict):
                walk(inner)
            else:
                found.add(type(inner))

    walk(value)
    assert found == plain
    assert value[(1, frozenset("a"))][5] == -255
    assert math.isnan(value[(1, frozenset("a"))][2])


# ---- cheats ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cheats.HONEST)
def test_honest_programs_pass_the_tests_of_the_cheats(sandbox, name):
    verdict = grade(
        sandbox, candidate=cheats.HONEST[name], tests=cheats.TESTS, entry_point=cheats.ENTRY_POINT
    )
    assert verdict.passed, verdict.message


@pytest.mark.parametrize("name", cheats.CHEATS)
def test_no_cheat_passes_nor_disturbs_the_tests(sandbox, name):
    limits = Limits(cpu_s=0.5, wall_s=2.0 if name in cheats.WAITING else 60.0, memory_bytes=256 << 20)
    verdict = graded(
        sandbox, cheats.CHEATS[name], cheats.TESTS, entry_point=cheats.ENTRY_POINT, limits=limits
    )
    assert not verdict.passed
    assert verdict.outcome not in ("passed", "error in tests", "missing function"), verdict.message


@pytest.mark.parametrize(
    "name",
    [
        "all answers to the first question",
        "answers written before the questions",
        "another kind of answer",
        "a pickle as an answer",
        "an answer that claims 4 GB",
        "brackets without end",
        "a flooded channel",
    ],
)
def test_what_is_no_answer_is_told_as_such_at_once(sandbox, name):
    verdict = graded(sandbox, cheats.CHEATS[name], cheats.TESTS, entry_point=cheats.ENTRY_POINT)
    assert verdict.outcome == "bad reply", verdict.message


def test_no_cheat_passes_where_both_sides_share_a_view_of_processes():
    quick = {name: cheats.CHEATS[name] for name in cheats.CHEATS if name not in cheats.WAITING | cheats.BUSY}
    requests = [
        TestsRequest(candidate=cheat, tests=cheats.TESTS, entry_point=cheats.ENTRY_POINT, limits=TIGHT)
        for cheat in (*cheats.HONEST.values(), *quick.values())
    ]
    try:
        bare = ForkSandbox(workers=4, namespaces=False)
    except SandboxError as error:
        pytest.skip(f"this machine has no fork sandbox without namespaces: {error}")
    with bare:
        verdicts = grade_many(bare, requests)
    assert all(verdict.passed for verdict in verdicts[: len(cheats.HONEST)])
    cheated = zip(quick, verdicts[len(cheats.HONEST) :], strict=True)
    wrong = {name: verdict for name, verdict in cheated if verdict.outcome in ("passed", "error in tests")}
    assert wrong == {}


def test_the_cheats_bite_where_one_process_judges_itself(sandbox):
    def one_process(program):
        source = f"{program}\n{cheats.TESTS}\ncheck({cheats.ENTRY_POINT})\n"
        return sandbox.run(Program(source=source), TIGHT).ok

    endless = cheats.WAITING | cheats.BUSY | {"a thread that stays"}
    deceived = [name for name, cheat in cheats.CHEATS.items() if name not in endless and one_process(cheat)]
    assert len(cheats.CHEATS) >= 29
    assert len(deceived) >= 20, deceived
    assert all(one_process(program) for program in cheats.HONEST.values())


# ---- one process, on request -------------------------------------------------------------------------

APPLY = "assert apply(lambda x: x + 1, 2) == 3"
STACK = "stack = Stack()\nstack.push(3)\nassert stack.pop() == 3 and isinstance(stack, Stack)"
STACK_PROGRAM = """
class Stack:
    def __init__(self): self.items = []
    def push(self, item): self.items.append(item)
    def pop(self): return self.items.pop()
"""


def test_tests_that_pass_functions_are_graded_in_one_process_only_when_asked(sandbox):
    program = "def apply(f, x): return f(x)"
    refused = graded(sandbox, program, APPLY)
    assert (refused.passed, refused.outcome, refused.trust) == (False, "unsupported", "split")
    taken = graded(sandbox, program, APPLY, inprocess=True)
    assert (taken.passed, taken.outcome, taken.trust) == (True, "passed", "inprocess")
    wrong = graded(sandbox, "def apply(f, x): return x", APPLY, inprocess=True)
    assert (wrong.passed, wrong.outcome, wrong.trust) == (False, "failed", "inprocess")
    assert graded(sandbox, program, "assert apply(1, 2) == 3", inprocess=True).trust == "split"


def test_what_a_candidate_returns_never_moves_its_grade_into_one_process(sandbox):
    for cheat in ("always equal object", "a deep answer"):
        verdict = graded(sandbox, cheats.CHEATS[cheat], cheats.TESTS, entry_point="solve", inprocess=True)
        assert (verdict.outcome, verdict.trust) == ("unsupported", "split")
    # Not even by way of the tests, which hand a value on.
    program = "def wrap(x):\n    for _ in range(59): x = [x]\n    return x"
    assert graded(sandbox, program, "assert wrap([wrap(1)])", inprocess=True).trust == "split"


def test_one_process_grades_classes_and_says_how_far_it_can_be_trusted(sandbox):
    assert graded(sandbox, STACK_PROGRAM, STACK).outcome == "unsupported"
    verdict = grade_in_process(sandbox, candidate=STACK_PROGRAM, tests=STACK)
    assert (verdict.passed, verdict.trust, verdict.message) == (True, "inprocess", "")
    wrong = STACK_PROGRAM.replace("self.items.pop()", "4")
    assert grade_in_process(sandbox, candidate=wrong, tests=STACK).outcome == "failed"
    for program in ("import os; os._exit(0)", "import os; os._exit(42)", "raise SystemExit(42)", "1 +", ""):
        assert not grade_in_process(sandbox, candidate=program, tests=STACK, limits=TIGHT).passed


# ---- by output ---------------------------------------------------------------------------------------

DOUBLE = "for line in open(0): print(2 * int(line), end='  \\n')"
CASES = [("1\n2\n", "2\n4"), ("-5", "-10\n\n")]


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        (DOUBLE, "passed"),
        ("print(2, 4, sep='\\n')", "failed"),
        ("print('2 4')", "failed"),
        ("", "failed"),
        (DOUBLE + "\nraise SystemExit(1)", "crashed"),
        (DOUBLE + "\n1/0", "crashed"),
        ("import os; os.abort()", "crashed"),
        ("while True: print('2\\n4')", "crashed"),
        ("while True: pass", "timeout"),
        ("import sys; sys.stdout.buffer.write(b'2\\n4\\xff')", "failed"),
        ("x = '\ud800'", "failed"),
    ],
)
def test_programs_are_graded_by_what_they_print(sandbox, program, outcome):
    verdict = grade_output(sandbox, candidate=program, cases=CASES, limits=TIGHT)
    assert (verdict.outcome, verdict.trust) == (outcome, "output" if "\ud800" not in program else "split")
    assert verdict.passed is (outcome == "passed")


def test_the_message_names_the_case_that_failed(sandbox):
    verdict = grade_output(sandbox, candidate="print(2, 4, sep='\\n')", cases=CASES)
    assert verdict.message == "case 2: expected '-10\\n\\n', got '2\\n4\\n'"
    with pytest.raises(OptionError, match="at least one case"):
        grade_output(sandbox, candidate="", cases=[])


# ---- whole sets --------------------------------------------------------------------------------------


def human_eval():
    if not HUMAN_EVAL.exists():
        pytest.skip(f"{HUMAN_EVAL} is absent (set PALAESTRA_SHARED)")
    with gzip.open(HUMAN_EVAL, "rt") as file:
        return [json.loads(line) for line in file]


# Right in everything but its value: whatever is compared with it shows that.
OFF_BY_ONE = """
def _off(value):
    if isinstance(value, bool) or value is None: return not value
    if isinstance(value, (int, float)): return value + 1
    if isinstance(value, str): return value + "?"
    if isinstance(value, (list, tuple)): return value + type(value)([1])
    return [value]
_right = {name}
def {name}(*args): return _off(_right(*args))
"""


def human_eval_request(problem, ending=""):
    return TestsRequest(
        candidate=problem["prompt"] + problem["canonical_solution"] + ending,
        tests=problem["test"],
        prelude=split_prompt(problem["prompt"], problem["entry_point"]),
        entry_point=problem["entry_point"],
    )


def test_every_canonical_solution_of_human_eval_passes_and_every_changed_one_fails(sandbox):
    problems = human_eval()
    assert len(problems) == 164
    verdicts = grade_many(sandbox, map(human_eval_request, problems))
    assert [
        p["task_id"]
        for p, v in zip(problems, verdicts, strict=True)
        if not (isinstance(v, Grade) and v.passed)
    ] == []
    assert {v.trust for v in verdicts} == {"split"}
    changed = [human_eval_request(p, OFF_BY_ONE.format(name=p["entry_point"])) for p in problems]
    verdicts = grade_many(sandbox, changed)
    assert {
        p["task_id"]: v.outcome for p, v in zip(problems, verdicts, strict=True) if v.outcome != "failed"
    } == {}


def lookup_program(problem, *, spoil=False):
    """Return a program that looks up the answers of a problem's asserts, the last one wrong if ``spoil``."""
    table = []
    for node in ast.walk(ast.parse(problem["test"])):
        if isinstance(node, ast.Assert):
            call, (value,) = node.test.left, node.test.comparators
            table.append(f"(({''.join(ast.unparse(a) + ',' for a in call.args)}), {ast.unparse(value)}),")
    if spoil:
        table[0] = table[0].rpartition("), ")[0] + "), 'spoilt'),"
    head = f"TABLE = [{''.join(table)}]\ndef {problem['entry_point']}(*args):"
    return f"{head}\n    return next(value for given, value in TABLE if given == args)\n"


def test_tables_of_the_answers_pass_all_of_mbpp_and_a_wrong_entry_fails(sandbox):
    if not MBPP.exists():
        pytest.skip(f"{MBPP} is absent (set PALAESTRA_SHARED)")
    problems = [json.loads(line) for line in MBPP.read_text().splitlines()]
    assert len(problems) == 397
    for spoil, outcome in ((False, "passed"), (True, "failed")):
        requests = [
            TestsRequest(
                candidate=lookup_program(problem, spoil=spoil),
                tests=problem["test"],
                entry_point=problem["entry_point"],
            )
            for problem in problems
        ]
        verdicts = grade_many(sandbox, requests)
        wrong = {p["name"]: v for p, v in zip(problems, verdicts, strict=True) if v.outcome != outcome}
        assert wrong == {}


def test_the_rest_of_a_prompt_is_its_prelude():
    prompt = "import math\nLIMIT = 3\ndef helper(x): return x\n\ndef task(x):\n    '''Say x.'''\n"
    assert split_prompt(prompt, "task") == "import math\nLIMIT = 3\n\ndef helper(x):\n    return x"
    assert split_prompt("def task(x):\n    # only a comment\n", "task") == ""
    with pytest.raises(OptionError, match="does not define 'other'"):
        split_prompt(prompt, "other")
    with pytest.raises(OptionError, match="no head of a Python function"):
        split_prompt("def task(x:", "task")


# ---- many at once ------------------------------------------------------------------------------------


def test_a_thousand_requests_with_hangs_and_crashes_each_get_their_outcome(sandbox):
    limits = Limits(cpu_s=0.1, wall_s=120.0)
    kinds = {
        "hang": ("def cube(x):\n    while True: pass", "timeout"),
        "crash": ("import os\ndef cube(x): os.abort()", "crashed"),
        "right": ("def cube(x): return x ** 3", "passed"),
        "wrong": ("def cube(x): return x * 3", "failed"),
    }
    order = [("hang", "crash", *["right"] * 9, *["wrong"] * 9)[number % 20] for number in range(1000)]
    requests = [
        TestsRequest(candidate=kinds[kind][0], tests=CUBE, entry_point="cube", limits=limits)
        for kind in order
    ]
    verdicts = grade_many(sandbox, requests, concurrency=64)
    assert Counter(order)["hang"] == Counter(order)["crash"] == 50
    assert [verdict.outcome for verdict in verdicts] == [kinds[kind][1] for kind in order]


class Failing(Sandbox):
    """Fails under the first ``failures`` starts, then hands on to a real one."""

    def __init__(self, inner, failures):
        self.inner, self.failures, self.rung = inner, failures, inner.rung

    def start(self, *launches) -> tuple[Running, ...]:
        self.failures -= 1
        if self.failures >= 0:
            raise SandboxError("a slot died")
        return self.inner.start(*launches)

    def close(self):
        pass


def test_a_failure_of_the_sandbox_is_tried_again_and_never_a_verdict(sandbox):
    request = TestsRequest(candidate="def cube(x): return x ** 3", tests=CUBE, entry_point="cube")
    output = OutputRequest(candidate=DOUBLE, cases=CASES)
    first, second = grade_many(Failing(sandbox, 1), [request, output], concurrency=1)
    assert first.passed
    assert second.passed
    first, second = grade_many(Failing(sandbox, 2), [request, output], concurrency=1)
    assert isinstance(first, SandboxError)
    assert second.passed
    with pytest.raises(SandboxError, match="a slot died"):
        request.grade(Failing(sandbox, 1))


def test_descriptors_are_not_used_up(sandbox):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    programs = ["def cube(x): return x ** 3", "import os; os._exit(1)", "1 +"]
    graded(sandbox, programs[0], CUBE, entry_point="cube")
    before = descriptors()
    for program in programs * 3:
        graded(sandbox, program, CUBE, entry_point="cube")
    with pytest.raises(SandboxError):
        graded(Failing(sandbox, 1), programs[0], CUBE, entry_point="cube")
    assert descriptors() == before


def test_tests_that_are_no_text_are_refused_before_anything_runs(sandbox):
    with pytest.raises(OptionError, match="UTF-8"):
        graded(sandbox, "def cube(x): return 8", "assert cube('\ud800') == 8")
