"""The Code environment: generated tasks, sets from files, feedback, grades, and what is never a reward."""

import ast
import builtins
import copy
import gzip
import hashlib
import inspect
import json
import os
import pickle
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import palaestra  # noqa: F401  (registers the environments)
from palaestra.envs.code import env as code_env
from palaestra.envs.code import feedback, generator
from palaestra.envs.code.draw import Draw
from palaestra.envs.code.env import SUBMIT, CodeEnv
from palaestra.envs.code.family import LEVELS, SPLITS, families, values_of
from palaestra.envs.code.generator import GeneratedTasks, cases_of, wrong_solutions
from palaestra.envs.code.mutate import bounded, count_failures, mutants
from palaestra.envs.code.problem import Problem, assemble, extract_code
from palaestra.envs.code.sets import ProblemSet
from palaestra.envs.conformance import check
from palaestra.errors import (
    ContractError,
    DataError,
    InfrastructureError,
    MissingExtraError,
    OptionError,
    UnknownNameError,
)
from palaestra.sandboxes.core import SandboxError
from palaestra.sandboxes.grading import TestsRequest, grade_many
from palaestra.sandboxes.ladder import default_sandbox

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("PALAESTRA_SHARED", ROOT.parent / "shared"))
HUMANEVAL = SHARED / "data" / "code" / "HumanEval.jsonl.gz"
MBPP = SHARED / "data" / "code" / "mbpp-py-reflexion.jsonl"
needs_data = pytest.mark.skipif(
    not (HUMANEVAL.is_file() and MBPP.is_file()), reason=f"no code data under {SHARED} (PALAESTRA_SHARED)"
)

ADD = {
    "task_id": "Tiny/0",
    "prompt": 'def add(x: int, y: int) -> int:\n    """Add.\n\n    >>> add(1, 2)\n    3\n    """\n',
    "entry_point": "add",
    "canonical_solution": "    return x + y\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(0, 5) == 5\n",
}
DOUBLE = {
    "task_id": 601,
    "text": "Write a function to double the elements of a list.",
    "code": "def double(xs):\n    return [twice(x) for x in xs]\ndef twice(x):\n    return 2 * x\n",
    "test_setup_code": "",
    "test_list": ["assert double([1, 2]) == [2, 4]", "assert double([]) == []"],
    "challenge_test_list": [],
}


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def block(program):
    return f"Here it is:\n```python\n{program}\n```\nDone."


def end_of(env, action):
    """Take one action that ends the episode; return reward and outcome."""
    _, reward, terminated, truncated, info = env.step(action)
    assert terminated != truncated
    assert info["success"] == (reward == 1.0)
    return reward, info["outcome"]


@pytest.fixture
def adder(tmp_path):
    """An environment with feedback over the one problem ``add``, begun."""
    data = write_rows(tmp_path / "add.jsonl", ADD)
    env = CodeEnv(source="humaneval", data=data, feedback=True, max_steps=3, cpu_s=0.5)
    env.reset(seed=0)
    return env


# ---- generated tasks -------------------------------------------------------------------------------------


def drawn(family, number, split="train"):
    """Return the statement and problem of one combination of a family."""
    chosen = family.combination(split, number * 104_729 % family.combinations(split))
    statement = family.write(chosen)
    draw = Draw(np.random.default_rng(number), values_of(chosen))
    return generator._problem(family.name, statement, *generator._cases(family, statement, draw))


def test_there_are_many_families_and_thousands_of_combinations_on_every_level():
    assert len(list(families())) >= 60
    assert sum(family.combinations("train") for family in families()) > 20_000
    for level in LEVELS:
        assert len(list(families(level))) >= 20
        for split in SPLITS:
            assert sum(family.combinations(split) for family in families(level)) >= 100


def test_no_combination_belongs_to_two_splits():
    for family in families():
        parts = [set(family._combinations[split]) for split in SPLITS]
        assert sum(map(len, parts)) == len(set.union(*parts)) == family.size


def test_no_statement_or_solution_stands_in_two_splits():
    seen = {}
    for split in SPLITS:
        for index in range(60):
            problem = GeneratedTasks(split).task(index).data["problem"]
            for text in (problem.prompt.partition(">>>")[0], problem.solution):
                assert seen.setdefault(text, split) == split


@pytest.mark.parametrize("level", LEVELS)
def test_the_reference_of_every_family_passes_and_its_near_misses_and_constants_do_not(level):
    requests, expected = [], []
    for family in families(level):
        problem = drawn(family, 1)
        cases = cases_of(problem)
        wrong = next(one for one in mutants(problem.solution) if count_failures(one, family.name, cases))
        constant = f"def {problem.entry_point}(*arguments):\n    return {problem.public[0].expected}\n"
        for program, passes in ((problem.solution, True), (wrong, False), (constant, False)):
            requests.append(
                TestsRequest(candidate=program, tests=problem.tests, entry_point=problem.entry_point)
            )
            expected.append((family.name, passes))
    grades = grade_many(default_sandbox(), requests)
    assert [(name, grade.passed) for (name, _), grade in zip(expected, grades, strict=True)] == expected
    assert {grade.trust for grade in grades} == {"split"}


def test_references_leave_their_arguments_alone_and_show_true_examples():
    for family in families():
        problem = drawn(family, 2)
        function = bounded(problem.solution, problem.entry_point)
        for arguments, wanted in cases_of(problem):
            before = copy.deepcopy(arguments)
            assert function(*arguments) == wanted
            assert arguments == before, family.name
        for example in problem.public:
            assert example.expression in problem.prompt.replace("\\\\", "\\")
            assert eval(example.expression, {family.name: function}) == ast.literal_eval(example.expected)


def test_hidden_tests_notice_most_single_changes():
    changed = noticed = 0
    for family in list(families())[::8]:
        problem = drawn(family, 3)
        cases = cases_of(problem)
        for mutant in mutants(problem.solution):
            failures = count_failures(mutant, problem.entry_point, cases)
            changed, noticed = changed + 1, noticed + (failures is None or failures > 0)
    assert changed > 150
    assert noticed / changed > 0.75  # what is left is mostly code that a combination does not need


def test_near_misses_are_the_mutants_that_fail_the_fewest_tests():
    problem = drawn(next(family for family in families() if family.name == "encode_runs"), 1)
    cases = cases_of(problem)
    wrong = wrong_solutions(problem)
    failures = [count_failures(program, problem.entry_point, cases) for program in wrong]
    assert len(wrong) == generator.NEAR_MISSES
    assert 0 < failures[0] < len(cases) / 2
    assert failures == sorted(failures)


def test_statements_are_filled_in():
    for family in families():
        for number in range(3):
            chosen = family.combination("train", number * 7919 % family.combinations("train"))
            statement = family.write(chosen)
            for name in family.choices:
                assert f"{{{name}}}" not in statement.text
            assert statement.head.startswith(f"def {family.name}(")
            assert not set(family.choices) & _free(statement.source), family.name


def _free(source):
    """Return the names that a program reads and nowhere binds."""
    tree = ast.parse(source)
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {node.id for node in names} - bound - set(dir(builtins))


def test_a_task_is_the_same_in_another_process_with_another_hash_seed():
    program = (
        "import hashlib\nfrom palaestra.envs.code.generator import GeneratedTasks\n"
        "tasks = [GeneratedTasks(split, level).task(i) for split in ('train', 'test') for level in (None, 3) "
        "for i in range(15)]\n"
        "print(hashlib.sha256(repr(tasks).encode()).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    tasks = [
        GeneratedTasks(split, level).task(i)
        for split in ("train", "test")
        for level in (None, 3)
        for i in range(15)
    ]
    assert digests == {hashlib.sha256(repr(tasks).encode()).hexdigest() + "\n"}


def test_difficulty_chooses_families_and_ids_find_their_tasks():
    for level in LEVELS:
        tasks = GeneratedTasks("valid", level, size=30)
        assert {task.data["difficulty"] for task in tasks} == {level}
        assert tasks.find(tasks.task(7).id) is tasks.task(7)
    assert GeneratedTasks("valid").index_of("valid-3-7") is None
    with pytest.raises(UnknownNameError, match="train-12"):
        GeneratedTasks("train").find("train-012")
    with pytest.raises(OptionError, match="difficulty"):
        GeneratedTasks("train", 4)
    with pytest.raises(OptionError, match="size"):
        GeneratedTasks("train", size=0)


# ---- mutants ---------------------------------------------------------------------------------------------


def test_mutants_change_one_thing_and_keep_docstring_annotations_and_helpers():
    source = inspect.cleandoc(
        '''
        def helper(x):
            return x + 1

        def target(values: list[int] = [1]) -> int:
            """Keep 1 and 2."""
            if not values:
                return 0
            return max(sorted(values)[0], 5)
        '''
    )
    found = list(mutants(source, entry_point="target"))
    assert len(found) == len(set(found)) >= 10
    for mutant in found:
        assert '"""Keep 1 and 2."""' in mutant
        assert "return x + 1" in mutant
        assert "values: list[int]" in mutant
    joined = "\n".join(found)
    assert "max(values[0], 5)" in joined  # the call of sorted left out
    assert "min(sorted(values)[0], 5)" in joined
    assert "return None" in joined


def test_a_mutant_that_loops_is_stopped_and_counted_as_none():
    assert count_failures("def f(n):\n    while n:\n        pass\n    return 0\n", "f", [((1,), 0)]) is None
    assert count_failures("def f(n):\n    return f(n)\n", "f", [((1,), 0)]) in (1, None)
    assert count_failures("def f(n):\n    return n\n", "f", [((1,), 1), ((2,), 3), ((3,), None)]) == 2


# ---- from a message to a program -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("x = 1", "x = 1"),
        ("Look:\n```python\nx = 1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\nbetter:\n```py\nx = 2\n```\n", "x = 2\n"),
        ("```\nx = 3\n```", "x = 3\n"),
        ("```python\nx = 1\n```\n```bash\nls\n```", "x = 1\n"),
        ("```python\nx = 4", "x = 4"),
        ("  ```python\n  x = 5\n  ```", "  x = 5\n"),
    ],
)
def test_the_last_python_block_counts_or_else_the_whole_text(message, code):
    assert extract_code(message) == code


@pytest.mark.parametrize(
    "code",
    [
        "def add(x, y):\n    return x + y",
        "add = lambda x, y: x + y",
        "from __future__ import annotations\ndef add(x: Later, y): return x + y",
        "    return x + y\n",
        "return x + y",
        "total = x\n    total += y\n    return total",
        "if x:\n        return x + y\n    return y",
        "if x:\n    return x + y\nreturn y",
        "\n    return x + y",
        "    def inner(a):\n        return a\n    return inner(x) + y",
    ],
)
@pytest.mark.parametrize("prelude", ["", "import math\n"])
def test_a_whole_function_and_a_body_alone_are_both_a_program(code, prelude):
    prompt = prelude + ADD["prompt"]
    problem = Problem(prompt=prompt, entry_point="add", tests="", prelude=prelude)
    namespace = {}
    exec(compile(assemble(problem, code), "<program>", "exec", dont_inherit=True), namespace)
    assert namespace["add"](2, 3) == 5
    assert bool(prelude) == ("math" in namespace)


# ---- episodes --------------------------------------------------------------------------------------------


def test_one_action_ends_an_episode_and_is_graded():
    env = CodeEnv()
    observation, info = env.reset(seed=3)
    assert env.problem.prompt.strip() in observation
    assert env.problem.solution not in observation
    assert (info["source"], info["outcome"]) == ("generated", None)
    gold = env.expert()
    _, reward, terminated, truncated, info = env.step(gold)
    assert (reward, terminated, truncated, info["outcome"], info["trust"]) == (
        1.0,
        True,
        False,
        "passed",
        "split",
    )
    assert info["rung"] == default_sandbox().rung.name
    for action, outcome in (
        ("", "no code"),
        ("```python\n\n```", "no code"),
        ("def other(): pass", "failed"),
        ("no python at all", "failed"),
        (observation, "failed"),
        ("import os\nos._exit(0)", "crashed"),
        (f"{env.problem.solution}\nraise SystemExit(0)", "failed"),
        ("\ud800", "failed"),
    ):
        env.reset(options={"task": env.task.id})
        assert end_of(env, action) == (0.0, outcome), action


def test_feedback_says_what_came_out_and_submit_ends(adder):
    said, reward, terminated, truncated, info = adder.step(
        block("def add(x, y):\n    print('hm')\n    return x")
    )
    assert (reward, terminated, truncated, info["outcome"]) == (0.0, False, False, None)
    assert said == "0 of 1 public tests passed.\nadd(1, 2) gave 1, expected 3\nIt printed: hm"
    said, *_, info = adder.step(block("def add(x, y):\n    return x + y"))
    assert said == "1 of 1 public tests passed."
    assert info["public_passed"] == 1.0
    assert end_of(adder, " Submit\n") == (1.0, "passed")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("def add(x, y:", "The program cannot be loaded:\n  line 1\n    def add(x, y:"),
        ("def add(x, y):\n    return x // 0", "add(1, 2) raised:\n  line 2, in add\n    return x // 0"),
        ("import os\nos._exit(0)", "The program ended itself before the tests were over."),
        ("def add(x, y):\n    while True: pass", "The program used more than 0.5 s of processor time."),
        ("def add(x, y):\n    return add", "gave <function add at 0x...>, expected 3"),
        ("def add(x, y):\n    return 'a' * 10000", " ... "),
        ("import sys\nsys.stdout = None\ndef add(x, y):\n    return 3", "1 of 1 public tests passed."),
        ("def add(x, y):\n    raise SystemExit", "0 of 1 public tests passed.\nadd(1, 2) raised:"),
        ("add = 1\nraise SystemExit", "The program cannot be loaded:\n  line 2, in <module>"),
    ],
)
def test_feedback_on_programs_that_fail(adder, program, said):
    text, reward, terminated, truncated, _ = adder.step(block(program))
    assert said in text
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert len(text) < 1500


def test_a_forged_report_fools_nobody_but_its_author(adder):
    forged = "def add(x, y):\n    return y + 1\nimport builtins\nbuiltins.bool = lambda x: True\n"
    adder.step(block(forged))
    assert end_of(adder, SUBMIT) == (0.0, "failed")


def test_without_submit_the_last_program_is_graded_when_steps_run_out(adder):
    adder.step("")
    adder.step(block("def add(x, y):\n    return 0"))
    _, reward, terminated, truncated, info = adder.step(block("def add(x, y):\n    return y + x"))
    assert (reward, terminated, truncated, info["outcome"]) == (1.0, False, True, "passed")


def test_submit_without_a_program_earns_nothing(adder):
    assert adder.step("")[0] == "There is no program in this message."
    assert end_of(adder, SUBMIT) == (0.0, "no code")


def test_with_feedback_the_expert_shows_its_program_then_submits(adder):
    adder.step(block("def add(x, y):\n    return 0"))
    assert adder.step(adder.expert())[0] == "1 of 1 public tests passed."
    assert adder.expert() == SUBMIT
    assert end_of(adder, SUBMIT) == (1.0, "passed")


def test_a_pickled_and_a_restored_episode_go_on(adder):
    adder.step(adder.expert())
    snapshot, copied = adder.snapshot(), pickle.loads(pickle.dumps(adder))
    adder.step(block("def add(x, y):\n    return 0"))
    assert end_of(adder, SUBMIT) == (0.0, "failed")
    adder.restore(snapshot)
    for env in (adder, copied):
        assert end_of(env, SUBMIT) == (1.0, "passed")


def test_a_failing_sandbox_is_an_infrastructure_error_and_no_reward(adder, monkeypatch):
    def fail(*arguments, **options):
        raise SandboxError("no slot")

    with monkeypatch.context() as patched:
        patched.setattr(code_env, "default_sandbox", fail)
        with pytest.raises(InfrastructureError, match="no slot"):
            adder.step(block("x = 1"))
    adder.reset(seed=0)
    adder.step(adder.expert())
    monkeypatch.setattr(code_env, "grade", fail)
    with pytest.raises(InfrastructureError, match="no slot"):
        adder.step(SUBMIT)


def test_the_runner_of_public_tests_is_whole_python():
    compile(feedback._RUNNER, "<runner>", "exec")


# ---- sets from files -------------------------------------------------------------------------------------


@needs_data
def test_all_canonical_solutions_of_humaneval_earn_the_reward():
    env = CodeEnv(source="humaneval", data=str(HUMANEVAL))
    outcomes = Counter()
    for task in env.tasks:
        env.reset(options={"task": task.id})
        outcomes[end_of(env, env.expert())] += 1
    assert outcomes == {(1.0, "passed"): 164}


@needs_data
def test_mutated_canonical_solutions_of_humaneval_earn_nothing():
    env = CodeEnv(source="humaneval", data=str(HUMANEVAL))
    for task in env.tasks[::16]:
        env.reset(options={"task": task.id})
        sequences = env.near_misses()
        assert sequences
        for (action,) in sequences[:1]:
            env.reset(options={"task": task.id})
            assert end_of(env, action)[0] == 0.0


@needs_data
def test_humaneval_shows_examples_and_takes_bodies():
    env = CodeEnv(source="humaneval", data=str(HUMANEVAL), feedback=True)
    shown = sum(bool(task.data["problem"].public) for task in env.tasks)
    assert shown >= 160
    assert len(env.tasks.find("HumanEval/0").data["problem"].public) == 2
    env.reset(options={"task": "HumanEval/53"})
    env.step("    return x + y")
    assert end_of(env, SUBMIT) == (1.0, "passed")


@needs_data
def test_mbpp_in_the_other_format_is_read_and_split():
    sizes = {split: len(ProblemSet("mbpp", split, MBPP)) for split in SPLITS}
    assert sum(sizes.values()) <= 397
    assert all(sizes.values())
    env = CodeEnv(source="mbpp", split="train", data=str(MBPP))
    env.reset(options={"task": "mbpp_618_div_list"} if "mbpp_618_div_list" in _ids(env) else None, seed=0)
    with pytest.raises(ContractError, match="without a solution"):
        env.expert()
    env = CodeEnv(source="mbpp", split="test", data=str(MBPP))
    env.reset(options={"task": "mbpp_234_volume_cube"})
    assert end_of(env, "    return l ** 3") == (1.0, "passed")


def _ids(env):
    return {task.id for task in env.tasks}


def test_mbpp_rows_become_problems(tmp_path):
    data = write_rows(tmp_path / "mbpp.jsonl", DOUBLE, {**DOUBLE, "task_id": 11}, {**DOUBLE, "task_id": 3})
    env = CodeEnv(source="mbpp", data=data)
    observation, info = env.reset(seed=0)
    assert (info["task_id"], info["goal"], info["entry_point"]) == ("MBPP/601", DOUBLE["text"], "double")
    assert "assert double([1, 2]) == [2, 4]" in observation
    assert "double([])" not in observation
    for (action,) in env.near_misses():
        env.reset(seed=0)
        assert end_of(env, action)[0] == 0.0
    env.reset(seed=0)
    assert end_of(env, env.expert()) == (1.0, "passed")
    assert [task.id for task in ProblemSet("mbpp", "test", data)] == ["MBPP/11"]
    with pytest.raises(DataError, match="no problems of the split 'valid'"):
        ProblemSet("mbpp", "valid", data)


def test_tests_that_are_plain_asserts_are_read_too(tmp_path):
    plain = {
        **ADD,
        "prompt": "def add(x, y):\n    # adds\n",
        "test": "z = 1\nassert add(z, 2) == 3\nassert add(4, 5) == 9\n",
    }
    env = CodeEnv(source="humaneval", data=write_rows(tmp_path / "plain.jsonl", plain))
    env.reset(seed=0)
    assert [(one.expression, one.expected) for one in env.problem.public] == [("add(4, 5)", "9")]
    assert end_of(env, env.expert()) == (1.0, "passed")


def test_a_gzipped_file_is_read_like_a_plain_one(tmp_path):
    path = tmp_path / "add.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(ADD).encode()))
    assert [task.id for task in ProblemSet("humaneval", "test", path)] == ["Tiny/0"]


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        '"text"',
        json.dumps({"task_id": "a"}),
        json.dumps({**ADD, "entry_point": "sub"}),
        json.dumps({**ADD, "prompt": "def add(:"}),
        json.dumps({**ADD, "test": 5}),
        json.dumps({**DOUBLE, "test_list": []}),
        json.dumps({**DOUBLE, "test_list": ["assert 1 == 1"]}),
        json.dumps({**DOUBLE, "task_id": "x"}),
        json.dumps(ADD),  # twice the same
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path, bad):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ADD) + "\n\n" + bad + "\n")
    with pytest.raises(DataError, match=r"rows\.jsonl line 3"):
        ProblemSet("humaneval", "test", path)


def test_files_that_cannot_be_read_are_data_errors(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        ProblemSet("humaneval", "test", tmp_path / "absent.jsonl")
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(json.dumps(ADD).encode())[:-9])
    with pytest.raises(DataError, match="fetch it anew"):
        ProblemSet("humaneval", "test", cut)
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="no problems"):
        ProblemSet("humaneval", "test", tmp_path / "empty")


class FakeDatasets:
    """Stands for `datasets`: knows one published set."""

    @staticmethod
    def load_dataset(name, configuration, split):
        if name != "google-research-datasets/mbpp":
            raise ConnectionError("offline")
        assert (configuration, split) == ("full", "validation")
        return [{**DOUBLE, "task_id": 511}, {**DOUBLE, "task_id": 512}]


def test_sets_come_through_datasets_where_it_is_installed(monkeypatch):
    from palaestra.envs.code import sets

    sets._published.cache_clear()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="data"):
        CodeEnv(source="humaneval")
    monkeypatch.setitem(sys.modules, "datasets", FakeDatasets)
    assert len(CodeEnv(source="mbpp", split="valid").tasks) == 2
    with pytest.raises(DataError, match="pass data=FILE"):
        CodeEnv(source="humaneval")
    sets._published.cache_clear()


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"source": "humanevil"}, UnknownNameError, "humaneval"),
        ({"sandbox": "forc"}, UnknownNameError, "fork"),
        ({"split": "trian"}, UnknownNameError, "train"),
        ({"feedbck": True}, UnknownNameError, "feedback"),
        ({"data": "x.jsonl"}, OptionError, "source"),
        ({"max_steps": 3}, OptionError, "feedback=True"),
        ({"cpu_s": 0}, OptionError, "cpu_s"),
        ({"source": "mbpp", "data": "x", "difficulty": 1}, OptionError, "generated"),
        ({"source": "humaneval", "data": "x", "split": "train"}, UnknownNameError, "test"),
    ],
)
def test_wrong_options_are_typed_errors_with_advice(options, error, text):
    with pytest.raises(error, match=text):
        CodeEnv(**options)


# ---- the contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"feedback": True, "difficulty": 1, "max_steps": 4}], ids=["single", "multi"]
)
def test_it_keeps_the_contract(options):
    report = check("palaestra/Code-v0", options, cycles=16, tasks=2)
    assert report.passed, [result for result in report.results if result.status == "failed"]
    assert report.count("skipped") == 0
