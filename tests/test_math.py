"""Math-v0: reading answers, judging them, the shared checker, the environment, and the real sets."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from palaestra.envs.conformance import check
from palaestra.envs.math import answers
from palaestra.envs.math.checker import plausible
from palaestra.envs.math.env import MathEnv
from palaestra.envs.math.problems import load
from palaestra.envs.math.verify import CHECKER, SharedChecker, is_right
from palaestra.envs.panel import make_env
from palaestra.errors import ContractError, OptionError, UnknownNameError, WorkerError
from palaestra.sandboxes.ladder import default_sandbox

MATH = "palaestra/Math-v0"
SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SETS = {
    name: SHARED / "data/math" / file
    for name, file in (("gsm8k", "gsm8k_test.jsonl"), ("math", "math500.jsonl"))
}
needs_sets = pytest.mark.skipif(
    not all(file.is_file() for file in SETS.values()), reason=f"no GSM8K and MATH-500 in {SHARED}"
)


# ---- where an answer stands --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{42}.", "42"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}} and \boxed{ \left\{ 3 \right. }", r"\left\{ 3 \right."),
        (r"\fbox{a}", "a"),
        ("<answer> 7 </answer>", "7"),
        ("<ANSWER>7</ANSWER> <answer>8", "7"),
        ("Thus\n**Final Answer:** 12", "12"),
        ("The final answer: 12\nand more", "12"),
        ("16 - 3 = 13\n#### 1,300", "1,300"),
        # the marker that begins last counts, of whatever kind
        (r"\boxed{1} \boxed{2}", "2"),
        (r"\boxed{1}" + "\nAnswer: 2", "2"),
        (r"Answer: \boxed{3}", "3"),
        (r"<answer>\boxed{4}</answer>", "4"),
        (r"\boxed{1 \boxed{2}}", "2"),
        # and these are no answers
        ("42", None),
        ("the answer is 42", None),
        (r"\boxed{}", None),
        (r"\boxed{1", None),
        ("<answer>1", None),
        ("#### Step 2", None),
        ("my answers: 1", None),
        ("", None),
    ],
)
def test_the_last_complete_marker_is_the_answer(text, answer):
    assert answers.extract(text) == answer


def test_hostile_texts_are_searched_in_no_time():
    program = (
        "from palaestra.envs.math import answers\n"
        "for piece in (r'\\boxed{', '<answer>', '{', '}', '\\\\', 'answer:', '*', '```python\\n'):\n"
        "    answers.extract(piece * 20_000), answers.code(piece * 20_000)\n"
    )
    # A quadratic search of one of these takes minutes; the deadline only tells it from a linear one.
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# ---- what a glance tells -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("1,200", "1200", True),
        ("1200", "$1,200.00", True),
        ("-3", "−3", True),
        ("0.5", r"\frac12", True),
        (r"\frac{3}{4}", "3/4", True),
        (r"\dfrac{3}{4}", r"\tfrac{3}{4}", True),
        (r"-\frac{3}{4}", "-0.75", True),
        ("5", "x = 5", True),
        ("x=5", "5", True),
        (r"90^\circ", "90", True),
        (r"11,\! 111,\! 100", "11,111,100", True),
        (r"\text{Evelyn}", "evelyn", True),
        (r"\text{(C)}", "C", True),
        ("50\\%", "50", True),
        ("0.5", "50%", True),
        ("52_8", "52_{8}", True),
        ("52_8", "52", True),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\frac{\pi}{2})", True),
        ("18", "19", False),
        ("18", "-18", False),
        ("18", "1.8", False),
        ("1/3", "0.333333", False),
        ("50%", "500%", False),
        ("52_8", "52_9", False),
        (r"\text{even}", "neve", False),
        (r"\text{east}", r"\text{east or west}", False),
        ("5", "5 or 6", None),
        ("x=5", "y=5", None),
        (r"x^2+2x+1", "(x+1)^2", None),
        ("5", "1/0", None),
    ],
)
def test_a_glance_decides_on_numbers_and_words(gold, answer, equal):
    assert answers.compare(gold, answer) is equal


# ---- the checker -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gold", "answer", "equal"),
    [
        ("x^2+2x+1", "(x+1)^2", True),
        (r"3\sqrt{13}", r"\sqrt{117}", True),
        ("1,-2", "-2, 1", True),
        (r"\{1,2\}", "1,2", True),
        ("(3,4]", "(3, 4]", True),
        (r"1 \pm \sqrt{19}", r"1-\sqrt{19}, 1+\sqrt{19}", True),
        (r"\frac{14}{3}", r"4\frac{2}{3}", True),
        (r"15\mbox{ cm}^2", "15", True),
        ("x=5", "y=5", False),
        ("(1,2)", "(2,1)", False),
        ("[1,2)", "[1,2]", False),
        ("p - q", "q - p", False),
        (r"\pi", "3.14159", False),
        (r"\pm 3", "3", False),
        # what math-verify alone would let pass
        ("5", "5, 6", False),
        ("5", r"5 \text{ or } 6", False),
        ("5", r"5 \text{ million}", False),
        ("5", "x + 7 = 5", False),
        ("5", "4 = 5", False),
        ("3", "1 2", False),
        ("2", "2, 2", False),
        ("5", "nan", False),
        ("5", r"\frac{5}{", False),
    ],
)
def test_the_checker_compares_by_value(gold, answer, equal):
    assert CHECKER.ask("equal", gold, answer, "What is it?") is equal


def test_words_of_an_answer_must_be_those_of_the_question():
    assert plausible("5", r"5 \text{ dollars}", "How many dollars?")
    assert not plausible("5", r"5 \text{ dollars}", "How many euros?")
    assert plausible(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}")
    assert not plausible("5", "5" + " + 0" * 200)


@pytest.mark.parametrize("answer", [r"10^{10^{10}}", r"\sqrt{" * 120 + "5" + "}" * 120])
def test_hostile_answers_are_wrong_and_the_next_one_is_judged(answer):
    assert CHECKER.ask("equal", "5", answer) is False
    assert CHECKER.ask("equal", "x+x", "2x") is True


def test_a_killed_checker_is_replaced():
    assert CHECKER.ask("equal", "x+x", "2x") is True
    os.kill(CHECKER._worker.pid, signal.SIGKILL)
    assert CHECKER.ask("equal", "x+x", "2x") is True


class Fragile:
    """A checker whose process ends at one answer."""

    def equal(self, gold, answer):
        if answer == "deadly":
            os._exit(1)
        return True

    def broken(self):
        raise ValueError("a mistake of ours")


class Doomed(Fragile):
    """One whose process ends at every question."""

    def equal(self, gold, answer):
        os._exit(1)


def test_who_ends_two_healthy_processes_is_wrong_and_a_sick_machine_an_error():
    fragile, doomed = SharedChecker(f"{__name__}:Fragile"), SharedChecker(f"{__name__}:Doomed")
    try:
        assert fragile.ask("equal", "1", "deadly") is False
        assert fragile.ask("equal", "1", "1") is True
        with pytest.raises(WorkerError, match="a mistake of ours"):
            fragile.ask("broken")
        with pytest.raises(WorkerError, match="status 1"):
            doomed.ask("equal", "1", "1")
    finally:
        fragile.close()
        doomed.close()


def asks(pipe):
    pipe.send((CHECKER.ask("equal", "x+x", "2x"), CHECKER._worker.pid))
    CHECKER.close()


def test_a_forked_process_has_a_checker_of_its_own_and_leaves_ours_alone():
    assert CHECKER.ask("equal", "x+x", "2x")
    pid = CHECKER._worker.pid
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=asks, args=(theirs,))
    child.start()
    try:
        assert ours.poll(60), "the forked process did not answer"
        answer, other = ours.recv()
    finally:
        child.join(10)
        child.kill()
    assert answer is True
    assert other != pid
    assert CHECKER.ask("equal", "x+x", "2x")
    assert CHECKER._worker.pid == pid


# ---- the environment ---------------------------------------------------------------------------------


def test_it_keeps_the_contract():
    report = check(MATH, cycles=10, tasks=4)
    assert report.passed, [result for result in report.results if result.status == "failed"]
    assert report.count("skipped") == 0


def test_an_answer_ends_the_episode_and_is_judged_once():
    env = make_env(MATH, {"split": "test", "generators": ["gcd"], "max_steps": 3})
    observation, info = env.reset(seed=1)
    assert observation.startswith(info["goal"])
    assert info["tools"] == []
    assert info["scenario"] == "gcd"
    observation, reward, terminated, truncated, info = env.step("It is some number.")
    assert "no final answer" in observation
    assert (reward, terminated, truncated) == (0.0, False, False)
    _, reward, terminated, truncated, info = env.step(f"It is {env.expert()}")
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert info["checks"] == {"answered": True, "right": True}
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step("again")


def test_with_one_step_any_text_is_the_answer_and_a_limit_truncates_otherwise():
    env = make_env(MATH, {"generators": ["gcd"]})
    env.reset(seed=1)
    assert env.step("no idea")[1:4] == (0.0, True, False)
    env = make_env(MATH, {"generators": ["gcd"], "max_steps": 2})
    env.reset(seed=1)
    env.step("no idea")
    assert env.step("no idea")[1:4] == (0.0, False, True)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"source": "gsm9k"}, UnknownNameError, "gsm8k"),
        ({"split": "tests"}, UnknownNameError, "test"),
        ({"split": "all"}, UnknownNameError, "train"),
        ({"difficulty": "heard"}, UnknownNameError, "hard"),
        ({"generators": ["gdc"]}, UnknownNameError, "gcd"),
        ({"generators": []}, OptionError, "empty"),
        ({"generators": "gcd"}, OptionError, "list"),
        ({"tools": "pyton"}, UnknownNameError, "python"),
        ({"sandbox": "fork"}, OptionError, "tools='python'"),
        ({"sandbox": "fork-server", "tools": "python"}, UnknownNameError, "fork"),
        ({"data": "x.jsonl"}, OptionError, "generated"),
        ({"source": "math", "generators": ["gcd"]}, OptionError, "reasoning-gym"),
    ],
)
def test_options_that_make_no_sense_are_errors(options, error, said):
    with pytest.raises(error, match=said):
        make_env(MATH, options)


def test_making_other_environments_imports_nothing_of_it():
    program = (
        "import sys, gymnasium, palaestra; gymnasium.make('palaestra/GuessNumber-v0'); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert not {"reasoning_gym", "math_verify", "sympy", "palaestra.envs.math"} & set(done.stdout.split())


def test_the_python_tool_runs_programs_until_an_answer_comes():
    env = make_env(MATH, {"tools": "python", "generators": ["products"]})
    assert isinstance(env, MathEnv)
    try:
        observation, info = env.reset(seed=0)
        assert info["tools"] == ["python"]
        assert answers.code(observation) is None
        assert "sandbox" not in info
        info = env.step("```python\nx = 6\n```")[4]
        assert info["sandbox"] == default_sandbox(kind="numeric").rung.name
        snapshot = env.snapshot()
        two = "```python\nimport sympy\nprint(sympy.factorint(x))\n```\nthen\n```py\nx += 1\nx\n```\n"
        assert env.step(rf"First {two} \boxed{{1}}")[:4] == ("{2: 1, 3: 1}\n7", 0.0, False, False)
        assert "ZeroDivisionError" in env.step("```python\n1/0\n```")[0]
        assert len(env.step("```python\nprint('a' * 100_000)\n```")[0]) < 5000
        with pytest.raises(ContractError, match="snapshot"):
            pickle.dumps(env)
        env.restore(snapshot)
        assert env.step("```python\nprint(x)\n```")[0] == "6"
        assert "ended" in env.step("```python\nimport os\nos._exit(0)\n```")[0]
        assert "NameError" in env.step("```python\nx\n```")[0]
        assert env.step(env.expert())[1:4] == (1.0, True, False)
    finally:
        env.close()
    assert isinstance(pickle.loads(pickle.dumps(env)), MathEnv)


# ---- the real sets: benchmarks/math_answers.py runs all of it ----------------------------------------


@needs_sets
@pytest.mark.parametrize(("source", "size"), [("gsm8k", 1319), ("math", 500)])
def test_gold_answers_are_right(source, size):
    tasks = load(source, "all", SETS[source])
    assert len(tasks) == size
    assert [task.id for task in tasks if not is_right(task, task.data["gold"])] == []


@needs_sets
@pytest.mark.parametrize(("source", "every"), [("gsm8k", 1), ("math", 12)])
def test_answers_of_other_problems_are_wrong(source, every):
    tasks = load(source, "all", SETS[source])
    pairs = [(tasks[n], tasks[n - 1].data["gold"]) for n in range(0, len(tasks), every)]
    right = [(task.data["gold"], other) for task, other in pairs if is_right(task, other)]
    assert [pair for pair in right if answers.normal(pair[0]) != answers.normal(pair[1])] == []


@needs_sets
def test_the_contract_is_kept_with_problems_from_a_file():
    report = check(MATH, {"source": "math", "data": str(SETS["math"])}, cycles=10, tasks=3)
    assert report.passed, [result for result in report.results if result.status == "failed"]
