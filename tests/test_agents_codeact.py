"""CodeAct: code runs in a sandbox, everything else answers the environment."""

from __future__ import annotations

import threading
import time

import pytest
from troubled_env import ID

from palaestra.agents import codeact as module
from palaestra.agents.codeact import codeact, describe, parse
from palaestra.agents.episode import sequences
from palaestra.agents.policies.core import Completion
from palaestra.agents.policies.scripted import ScriptedPolicy
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import PanelItem, make_panel
from palaestra.errors import OptionError, UnknownNameError
from palaestra.sandboxes.core import Ended, Limits, SandboxError
from palaestra.sandboxes.session import CellResult, Session

GUESS = "palaestra/GuessNumber-v0"
[ITEM] = make_panel(GUESS, 1, options={"highest": 10, "max_steps": 3}).items


def code(*lines):
    return "\n".join(["```python", *lines, "```"])


class Saying(ScriptedPolicy):
    """Says these messages in turn, the last one for ever; a message may be a function of what it sees."""

    def __init__(self, *messages):
        said = iter(range(10**6))

        def say(view):
            message = messages[min(next(said), len(messages) - 1)]
            return message(view.observation) if callable(message) else message

        super().__init__(say)


@pytest.fixture
def sessions(monkeypatch):
    """Every session that the agents open."""
    opened: list[Session] = []

    class Watched(Session):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            opened.append(self)

    monkeypatch.setattr(module, "Session", Watched)
    return opened


def play(policy, agent=None, **settings):
    settings = RolloutSettings(**{"max_failure_rate": 1.0, "gather_wait_s": 0.0, **settings})
    [episode] = rollout([Job(ITEM)], agent or codeact(), policy, settings)
    return episode


def closed(opened):
    """Wait until all sessions are closed: the agent does not wait for that."""
    until = time.monotonic() + 10
    while any(session._running is not None for session in opened):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def test_code_runs_in_an_interpreter_that_remembers_and_an_answer_steps_the_environment(sessions):
    policy = Saying(
        "Let me see.\n" + code("x = 20 + 1", "print('twice', 2 * x)", "x"),
        code("print(x // 21)"),
        lambda observation: observation,
    )
    episode = play(policy)
    assert [turn.observation for turn in episode.turns[1:4]] == [
        "twice 42\n21",
        "1",
        episode.turns[3].observation,
    ]
    assert episode.turns[0].observation == f"{episode.goal}\n\n{module.INSTRUCTIONS}"
    assert [turn.action for turn in episode.turns][2] == "1"
    assert episode.turns[0].action.startswith("Let me see.\n```python")
    assert episode.turns[1].tags == {"cell": "print(x // 21)", "cell_ok": True}
    assert "cell" not in episode.turns[2].tags
    assert not episode.failed
    [row] = sequences(episode)  # append: one growing row, the output of code is context
    assert sum(row.mask) == episode.sampled_tokens
    assert len(sessions) == 1
    assert closed(sessions)
    assert episode.agent == "codeact-append"


def test_an_episode_without_code_opens_no_session(sessions):
    episode = play(Saying("1", "2", "3"))
    assert [turn.action for turn in episode.turns] == ["1", "2", "3"][: len(episode.turns)]
    assert sessions == []


def test_errors_are_shown_and_a_session_that_ended_begins_anew(sessions):
    agent = codeact(limits=Limits(memory_bytes=256 << 20))
    policy = Saying(code("y = 1", "1 / 0"), code("import os", "os._exit(3)"), code("print(y)"), "1")
    episode = play(policy, agent)
    shown = [turn.observation for turn in episode.turns]
    assert "ZeroDivisionError" in shown[1]
    assert f"the session ended: {Ended.EXITED}" in shown[2]
    assert "NameError" in shown[3]
    assert [turn.tags.get("cell_ok") for turn in episode.turns[:4]] == [False, False, False, None]
    assert len(sessions) == 2
    assert closed(sessions)


def test_long_output_is_shown_without_its_middle():
    policy = Saying(code("print('a' * 3000 + 'b' * 3000)"), code("pass"), "1")
    episode = play(policy, codeact(max_output_chars=100))
    assert episode.turns[1].observation == "a" * 50 + "\n[... 5900 characters left out ...]\n" + "b" * 50
    assert episode.turns[2].observation == "(no output)"


def test_messages_are_limited_whether_code_or_answers():
    episode = play(Saying(code("1")), codeact(max_turns=4))
    assert (len(episode.turns), episode.outcome, episode.success) == (4, "truncated", False)
    assert episode.tags == {"turn_limit": True}
    assert episode.final_observation == "1"
    assert "turn_limit" not in play(Saying("0")).tags


def test_tools_of_the_host_can_be_called_and_are_described():
    calls = []

    def tools(actor):
        def double(number: int) -> int:
            """Return twice a number.

            More about it.
            """
            calls.append((actor.episode.task_id, number))
            return 2 * number

        return {"math.double": double}

    policy = Saying(code("math.double(21)"), code("math.double()"), "1")
    episode = play(policy, codeact(tools=tools))
    assert episode.turns[1].observation == "42"
    # What the code does wrong is shown to it, and is no failure of the host.
    assert "ToolError: missing a required argument: 'number'" in episode.turns[2].observation
    assert not episode.failed
    assert calls == [(ITEM.task_id, 21)]
    assert episode.turns[0].observation.endswith("\nmath.double(number: int) -> int: Return twice a number.")
    assert (
        describe({"f": min})
        == "\nIt may call these functions:\nf(...): min(iterable, *[, default=obj, key=func]) -> value"
    )


def test_a_failing_sandbox_is_a_typed_failure_that_is_tried_again_and_never_shown(monkeypatch):
    class Broken:
        opened = closed = 0

        def __init__(self, *arguments):
            Broken.opened += 1

        def run(self, source):
            raise SandboxError("the slot died")

        def close(self):
            Broken.closed += 1

    monkeypatch.setattr(module, "Session", Broken)
    episode = play(Saying(code("1")), retries=2)
    assert (episode.failed, episode.failure, episode.tags["retries"]) == (True, "the slot died", 2)
    assert Broken.opened == 3
    for _ in range(1000):
        if Broken.closed == 3:
            break
        time.sleep(0.01)
    assert Broken.closed == 3


def test_an_episode_waiting_for_code_does_not_hold_up_the_others(monkeypatch):
    ended, order = threading.Event(), []

    class Slow:
        def __init__(self, *arguments):
            pass

        def run(self, source):
            assert ended.wait(10)
            return CellResult("", "", "slow", None, None, 0.0)

        def close(self):
            pass

    class Watch:
        def update(self, episode):
            order.append(episode.task_id)
            ended.set()

    monkeypatch.setattr(module, "Session", Slow)
    items = [PanelItem(ID, f"task-{n}", n) for n in (1, 2)]
    waiting = items[0]

    def say(view):
        first = view.info["task_id"] == waiting.task_id and view.info["steps"] == 0
        return code("1") if first and "slow" not in view.observation else "go"

    rollout([Job(item) for item in items], codeact(), ScriptedPolicy(say), progress=Watch())
    assert order == ["task-2", "task-1"]


def test_sessions_are_closed_when_the_rollout_is_cut_short(sessions):
    class Stop:
        def update(self, episode):
            raise KeyboardInterrupt

    items = make_panel(GUESS, 2, options={"max_steps": 1}).items

    def say(view):
        return "1" if view.info["task_id"] == items[0].task_id and sessions else code("1")

    with pytest.raises(KeyboardInterrupt):
        rollout([Job(item) for item in items], codeact(), ScriptedPolicy(say), progress=Stop())
    assert sessions
    assert closed(sessions)


def test_a_window_context_works_too():
    agent = codeact("window", window_turns=1)
    episode = play(Saying(code("print('kept')"), code("2"), "1"), agent)
    assert len(sequences(episode)) == len(episode.turns)
    assert all(turn.kept == 0 for turn in episode.turns)


def test_a_completion_is_read_as_code_or_as_an_answer():
    assert parse("42").code == ""
    assert parse(" ```python\nx = 1\n```").code == "x = 1"
    both = parse("First\n```python\nif True:\n    x = 1\n```\nthen\n```py\n\nx\n```\ndone")
    assert both.code == "if True:\n    x = 1\n\nx"
    assert both.text.endswith("done")
    assert parse("```json\n{}\n```").code == ""
    assert parse("```python\n```").code == ""
    # Some models stop at the closing mark; one that ran out of tokens did not finish.
    assert parse("```python\nx = 1").code == "x = 1"
    assert not parse("```python\nx = 1").cut_off
    assert parse("```python\nx = 1", ran_out=True).cut_off
    assert not parse("```python\nx = 1\n```\nand so", ran_out=True).cut_off


def test_code_that_ran_out_of_tokens_is_not_run():
    class Short(ScriptedPolicy):
        async def generate(self, requests):
            [completion] = await super().generate(requests)
            return [Completion(completion.ids[:-1], completion.logprobs[:-1], "length")]

    policy = Short(lambda view: "1" if "cut off" in view.observation else "```python\nprint('ran')")
    episode = play(policy)
    assert episode.turns[0].valid is False
    assert "nothing was run" in episode.turns[1].observation
    assert episode.turns[1].action == "1"


def test_settings_that_cannot_be_used_are_refused():
    with pytest.raises(OptionError):
        codeact(max_turns=0)
    with pytest.raises(UnknownNameError, match="fork"):
        codeact(sandbox="frok")
    with pytest.raises(UnknownNameError):
        rollout([Job(ITEM)], codeact("apend"), ScriptedPolicy(lambda view: "1"))  # pyright: ignore
