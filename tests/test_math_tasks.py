"""The tasks of Math-v0: generated exercises and their judges, problem files, the data sets library."""

import json
import math
import re
import subprocess
import sys
import types
from fractions import Fraction

import pytest

from palaestra.envs.math.generated import GENERATORS, LEVELS, SPLITS, GeneratedExercises, exercise
from palaestra.envs.math.problems import _published, load
from palaestra.envs.math.verify import is_right
from palaestra.errors import DataError, MissingExtraError, OptionError, UnknownNameError

DIGEST = """
import hashlib, random, reasoning_gym  # whose own imports draw from the global generator
from palaestra.envs.math.generated import GENERATORS, LEVELS, SPLITS, exercise
random.seed({seed})
state, digest = random.getstate(), hashlib.sha256()
names = sorted(GENERATORS, reverse={reverse})
tasks = [exercise(split, level, name, 5) for name in names for level in LEVELS for split in SPLITS]
for task in sorted(tasks, key=lambda task: task.id):
    digest.update(repr((task.id, task.goal, task.data["gold"])).encode())
assert random.getstate() == state
print(digest.hexdigest())
"""


def test_an_exercise_depends_on_split_level_and_number_alone():
    running = []
    for seed, reverse in ((1, False), (2, True)):
        # The order of sets and the global generator differ between the two, and the order of making.
        program, variables = DIGEST.format(seed=seed, reverse=reverse), {"PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", program]
        running.append(subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True))
    first, second = (process.communicate(timeout=300)[0] for process in running)
    assert first == second
    assert re.fullmatch(r"[0-9a-f]{64}\n", first)


@pytest.mark.parametrize("name", ["gcd", "dice", "prime_factorization", "simple_geometry"])
def test_no_question_is_in_two_splits(name):
    questions = [{exercise(split, "easy", name, n).goal for n in range(150)} for split in SPLITS]
    assert all(len(one) > 50 for one in questions)
    assert not questions[0] & questions[1] | questions[1] & questions[2] | questions[0] & questions[2]


def test_ids_and_indices_go_round_the_generators():
    tasks = GeneratedExercises("valid", "medium", ["gcd", "lcm", "gcd"])
    assert tasks.names == ("gcd", "lcm")
    assert [tasks[index].id for index in (0, 1, 2, 9)] == [
        "valid-medium-gcd-0",
        "valid-medium-lcm-0",
        "valid-medium-gcd-1",
        "valid-medium-lcm-4",
    ]
    for index in (0, 7, 99_999):
        assert tasks.index_of(tasks[index].id) == index
    for wrong in ("valid-medium-gcd-50000", "train-medium-gcd-0", "valid-easy-gcd-0", "valid-medium-dice-0"):
        assert tasks.index_of(wrong) is None
    assert tasks.index_of("valid-medium-gcd-01") is None
    # The same exercise whatever else is in the set.
    assert GeneratedExercises("valid", "medium").find("valid-medium-gcd-1") == tasks[2]


@pytest.mark.parametrize("name", GENERATORS)
def test_gold_answers_are_right_and_their_neighbours_wrong(name):
    for level in LEVELS:
        task, other = exercise("train", level, name, 3), exercise("train", level, name, 4)
        assert is_right(task, task.data["gold"])
        if task.data["gold"] != other.data["gold"]:
            assert not is_right(task, other.data["gold"])
        for text in (
            "",
            "nan",
            "inf",
            "0x",
            task.goal,
            f"{task.data['gold']} or 7",
            f"{task.data['gold']}, 7.5",
        ):
            assert not is_right(task, text)


def value(expression):
    """Evaluate an arithmetic expression of the generators exactly."""
    return eval(re.sub(r"\d+(?:\.\d+)?", r"Fraction('\g<0>')", expression), {"Fraction": Fraction})


def holds(name, gold, data):
    """Say whether a gold answer is right, by a calculation of our own."""
    match name:
        case "basic_arithmetic" | "chain_sum" | "decimal_chain_sum" | "products":
            return value(data["expression"]) == Fraction(gold)
        case "gcd" | "lcm":
            return getattr(math, name)(*data["numbers"]) == int(gold)
        case "prime_factorization":
            factors = [int(factor) for factor in gold.split("×")]
            primes = all(factor % d for factor in factors for d in range(2, math.isqrt(factor) + 1))
            return primes and math.prod(factors) == data["number"]
        case "base_conversion":
            return int(gold, data["target_base"]) == int(data["source_repr"], data["source_base"])
        case "simple_equations":
            left, right = data["equation"].split("=")
            at = [eval(f"({left}) - ({right})", {data["variable"]: int(gold) + step}) for step in (0, 1)]
            return at[0] == 0 != at[1]
        case "polynomial_equations":
            roots = [float(root) for root in gold.split(",")]
            slope = max(abs(eval(data["polynomial_expr"], {data["variable"]: root + 1})) for root in roots)
            at = [eval(data["polynomial_expr"], {data["variable"]: root}) for root in roots]
            return all(abs(y) < 0.02 * (1 + slope) for y in at)
        case "simple_integration":
            step = 1e-6
            low, high = (eval(gold, {data["variable"]: 0.7 + d, "C": 0}) for d in (-step, step))
            slope = eval(data["integrand"], {data["variable"]: 0.7})
            return math.isclose((high - low) / (2 * step), slope, rel_tol=1e-4, abs_tol=1e-4)
        case "countdown":
            numbers = sorted(int(number) for number in re.findall(r"\d+", gold))
            return value(gold) == data["target"] and numbers == sorted(data["numbers"])
        case "simple_geometry":
            angles = [*data["known_angles"], float(gold)]
            return all(0 < a < 180 for a in angles) and sum(angles) == 180 * (data["n_sides"] - 2)


CALCULATED = [
    *("basic_arithmetic", "chain_sum", "decimal_chain_sum", "products", "gcd", "lcm", "prime_factorization"),
    *("base_conversion", "simple_equations", "polynomial_equations", "simple_integration", "countdown"),
    "simple_geometry",
]


@pytest.mark.parametrize("name", CALCULATED)
def test_gold_answers_hold_by_a_calculation_of_our_own(name):
    for level in LEVELS:
        for number in range(5):
            task = exercise("test", level, name, number)
            assert holds(name, task.data["gold"], task.data["entry"]["metadata"]), (task.id, task.goal)


def find(name, level="easy", **metadata):
    """Return an exercise whose metadata are as asked."""
    for number in range(200):
        task = exercise("train", level, name, number)
        if all(task.data["entry"]["metadata"][key] == wanted for key, wanted in metadata.items()):
            return task
    raise AssertionError(f"{name} made nothing of {metadata}")


def test_several_ways_to_write_a_right_answer_are_right():
    task = find("prime_factorization")
    factors = task.data["entry"]["metadata"]["factors"]
    assert is_right(task, r" \times ".join(map(str, reversed(factors))))
    task = find("simple_integration")
    assert is_right(task, task.data["gold"].removesuffix(" + C"))
    assert is_right(task, "C + 7 + " + task.data["gold"].removesuffix(" + C").replace("**", "^"))
    task = find("countdown")
    assert is_right(task, f"({task.data['gold']})".replace("*", r" \times "))
    task = find("complex_arithmetic")
    assert is_right(task, task.data["gold"].replace(".0", ""))
    task = find("bitwise_arithmetic")
    assert is_right(task, str(int(task.data["gold"], 16)))
    task = find("base_conversion", "hard")
    assert is_right(task, task.data["gold"].upper())
    task = find("calendar_arithmetic")
    assert is_right(task, task.data["gold"].lower())
    task = find("fraction_simplification")
    numbers = task.data["entry"]["metadata"]
    assert is_right(task, f"{numbers['simplified_numerator']}/{numbers['simplified_denominator']}")
    assert not is_right(task, f"{numbers['numerator']}/{numbers['denominator']}")


@pytest.mark.parametrize(
    ("name", "cheat"),
    [
        # each of these gets all points of the generator's own scorer, or runs code in it
        ("complex_arithmetic", "nan"),
        ("simple_integration", "Integral({integrand}, {variable})"),
        ("polynomial_equations", "0.25 or 4, {real_solutions[0]}"),
        ("time_intervals", "{gold} or more"),
        ("countdown", "{target}"),
        ("countdown", "exit()"),
        ("countdown", "__import__('os').system('true')"),
        ("countdown", "({gold}) * 1"),
        ("simple_integration", "exit()"),
    ],
)
def test_what_scorers_let_pass_is_wrong(name, cheat):
    task = find(name)
    data = task.data["entry"]["metadata"]
    assert not is_right(task, cheat.format(gold=task.data["gold"], **data))


def test_an_endless_expression_is_wrong():
    assert not is_right(find("simple_integration"), "9**99**99**99**9")


# ---- problem files -----------------------------------------------------------------------------------


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


GSM8K = [
    {"question": f"What is {n} + 1000?", "answer": f"It is <<{n}+1000>>\n#### 1,{n:03d}"} for n in range(300)
]
HENDRYCKS = [
    {
        "problem": f"Say ${n}$.",
        "solution": f"So $\\boxed{{{n}}}$.",
        "level": f"Level {1 + n % 5}",
        "type": "Algebra",
    }
    for n in range(300)
]


def test_gsm8k_and_both_forms_of_math_are_read(tmp_path):
    (task,) = load("gsm8k", "all", write(tmp_path / "a.jsonl", GSM8K[:1]))
    assert (task.goal, task.data["gold"], task.scenario) == ("What is 0 + 1000?", "1,000", "gsm8k")
    (task,) = load("math", "all", write(tmp_path / "b.jsonl", HENDRYCKS[:1]))
    assert (task.data["gold"], task.scenario, task.data["level"]) == ("0", "Algebra", "Level 1")
    row = {"problem": "p", "solution": r"\boxed{9}", "answer": "x=1", "subject": "Geometry", "level": 4}
    (task,) = load("math", "all", write(tmp_path / "c.jsonl", [row]), "hard")
    assert (task.data["gold"], task.scenario) == ("x=1", "Geometry")


def test_one_file_is_split_by_the_questions_alone(tmp_path):
    file, turned = write(tmp_path / "a.jsonl", GSM8K), write(tmp_path / "b.jsonl", GSM8K[::-1] + GSM8K[:5])
    splits = {split: {task.id for task in load("gsm8k", split, file)} for split in SPLITS}
    assert splits == {split: {task.id for task in load("gsm8k", split, turned)} for split in SPLITS}
    assert (
        sum(map(len, splits.values()))
        == len(set.union(*splits.values()))
        == len(load("gsm8k", "all", file))
        == 300
    )
    assert 10 < len(splits["valid"]) < 50 > len(splits["test"]) > 10


def test_a_folder_is_taken_as_published_with_valid_from_train(tmp_path):
    write(tmp_path / "train.jsonl", GSM8K[:200])
    write(tmp_path / "test.jsonl", GSM8K[200:])
    train, valid, test = (load("gsm8k", split, tmp_path) for split in SPLITS)
    assert len(test) == 100
    assert len(train) + len(valid) == 200
    assert 5 < len(valid) < 40
    write(tmp_path / "valid.jsonl", GSM8K[:3])
    assert len(load("gsm8k", "valid", tmp_path)) == 3
    assert len(load("gsm8k", "train", tmp_path)) == 200
    with pytest.raises(UnknownNameError, match="train"):
        load("gsm8k", "all", tmp_path)


def test_difficulty_chooses_levels_of_math(tmp_path):
    file = write(tmp_path / "a.jsonl", HENDRYCKS)
    assert [len(load("math", "all", file, level)) for level in (None, *LEVELS)] == [300, 120, 60, 120]
    with pytest.raises(OptionError, match="GSM8K"):
        load("gsm8k", "all", file, "easy")
    with pytest.raises(UnknownNameError, match="medium"):
        load("math", "all", file, "middle")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no problems"),
        ('{"question": "a", "answer": "1"}\n{"question": ', "line 2, is not JSON"),
        ("[1]", "line 1, holds a list"),
        ('{"prompt": "a", "answer": "1"}', "has the fields prompt, answer"),
        ('{"question": " ", "answer": "1"}', "needs"),
        ('{"question": "a", "answer": "so it is\\n####"}', "no answer"),
        ('{"problem": "a", "solution": "no box"}', "no answer"),
    ],
)
def test_files_of_another_form_are_errors(tmp_path, text, said):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(DataError, match=said):
        load("math", "all", tmp_path / "a.jsonl")


def test_files_that_are_not_there_or_not_text_are_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load("math", "test", tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"has no file train\.jsonl"):
        load("math", "valid", tmp_path)
    (tmp_path / "test.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        load("math", "test", tmp_path)


def test_a_changed_file_is_read_again(tmp_path):
    file = write(tmp_path / "a.jsonl", GSM8K[:1])
    assert load("gsm8k", "all", file) is load("gsm8k", "all", file)
    assert len(load("gsm8k", "all", write(file, GSM8K[:2]))) == 2


def test_the_data_sets_library_loads_what_is_published(monkeypatch):
    asked = []

    def load_dataset(repository, configuration, split):
        asked.append((repository, configuration, split))
        return HENDRYCKS if configuration == "algebra" else []

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    _published.cache_clear()
    try:
        train, valid = load("math", "train"), load("math", "valid", level="easy")
    finally:
        _published.cache_clear()
    assert len(train) > 200
    assert all(task.data["level"] in ("Level 1", "Level 2") for task in valid)
    assert not {task.id for task in train} & {task.id for task in valid}
    assert asked[0] == ("EleutherAI/hendrycks_math", "algebra", "train")
    assert len(asked) == 14


def test_without_the_library_or_the_network_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"palaestra\[data\]"):
        load("gsm8k", "test")

    def load_dataset(*args, **kwargs):
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(DataError, match="data=PATH"):
        load("gsm8k", "test")


def test_without_reasoning_gym_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym", None)
    with pytest.raises(MissingExtraError, match=r"palaestra\[math\]"):
        GeneratedExercises("train", "easy")
