"""Public tests: run a program on the examples that it was shown, and say what came out.

Nothing here decides a reward. The report comes from the program's own process, which may forge it; it would
fool nobody but the agent that wrote it.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass

from palaestra.envs.code.problem import Problem
from palaestra.sandboxes.core import Ended, Limits, Program, Sandbox

_LONGEST = 600
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")
_LIMITS = {
    Ended.CPU_LIMIT: "used more than {0.cpu_s:g} s of processor time",
    Ended.WALL_LIMIT: "still ran after {0.wall_s:g} s",
    Ended.MEMORY_LIMIT: "needed too much memory",
    Ended.OUTPUT_LIMIT: "wrote too much output",
    Ended.SIGNALLED: "crashed",
    Ended.KILLED: "was stopped",
}

# Runs in the sandbox, with REQUEST put in front of it. It keeps the real output to itself and writes the
# report there after the mark; what the program prints is caught, and told as well.
_RUNNER = """
import io, json, linecache, pprint, sys, traceback, types


def told(error):
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename == "solution.py"][-4:]
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return "".join(lines).replace('File "solution.py", ', "").rstrip()


def shown(value):
    try:
        return pprint.pformat(value, width=10**9, sort_dicts=False)
    except BaseException as error:
        return "a value that cannot be shown (" + type(error).__name__ + ")"


def main():
    real, printed, report = sys.stdout, io.StringIO(), []
    sys.stdout = sys.stderr = printed
    mark, code, examples = json.loads(REQUEST)
    module = sys.modules["solution"] = types.ModuleType("solution")
    linecache.cache["solution.py"] = (len(code), None, code.splitlines(True), "solution.py")
    try:
        exec(compile(code, "solution.py", "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        report.append(["broken", "", told(error)])
        examples = []
    for expression, wanted in examples:
        try:
            value = eval(expression, module.__dict__)
            right = bool(value == eval(wanted, {}))
            report.append(["passed" if right else "failed", expression, "" if right else shown(value)])
        except BaseException as error:
            report.append(["raised", expression, told(error)])
    real.write("\\n" + mark + json.dumps([report, printed.getvalue()[:5000]]))
    real.flush()


main()
"""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the public tests said: the text for the agent, and how many of them passed."""

    text: str
    passed: int
    total: int


def run_public_tests(sandbox: Sandbox, problem: Problem, program: str, limits: Limits) -> Feedback:
    """Run ``program`` on the public tests. Raises ``InfrastructureError`` when the sandbox fails."""
    mark = secrets.token_hex(8)
    examples = [(one.expression, one.expected) for one in problem.public]
    request = json.dumps([mark, f"{program}\n", examples])
    result = sandbox.run(Program(source=f"REQUEST = {request!r}\n{_RUNNER}"), limits)
    total = len(examples)
    _, found, report = result.output.rpartition("\n" + mark)
    if not found:
        why = _LIMITS.get(result.ended, "ended itself before the tests were over").format(limits)
        return Feedback(f"The program {why}.", 0, total)
    try:
        outcomes, printed = json.loads(report)
        passed = sum(kind == "passed" for kind, _, _ in outcomes)
        lines = [_line(kind, expression, text, problem) for kind, expression, text in outcomes]
    except (ValueError, TypeError):
        return Feedback("The program spoilt the report of the tests.", 0, total)
    if outcomes and outcomes[0][0] == "broken":
        head = "The program cannot be loaded:"
    elif total:
        head = f"{passed} of {total} public tests passed."
    else:
        head = "The program was loaded without an error. There are no public tests."
    told = [f"It printed: {_shorten(printed.strip())}"] if printed.strip() else []
    return Feedback("\n".join([head, *filter(None, lines), *told]), passed, total)


def _line(kind: str, expression: str, text: str, problem: Problem) -> str:
    text = _shorten(_ADDRESS.sub("at 0x...", text))
    if kind == "failed":
        wanted = next(one.expected for one in problem.public if one.expression == expression)
        return f"{expression} gave {text}, expected {_shorten(wanted)}"
    if kind == "raised":
        return f"{expression} raised:\n{text}"
    return text if kind == "broken" else ""


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
