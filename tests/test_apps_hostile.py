"""Code of the agent against the world: it must reach neither databases, nor checks, nor other episodes."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest

import palaestra
from palaestra.envs.apps import env as apps_env
from palaestra.sandboxes.core import Limits

PACKAGE = str(Path(palaestra.__file__).resolve().parent)
ROOT = str(Path(PACKAGE).parent)
TASK = "archive_notes_by_tag-1"

# What finds the socket on which the interpreter speaks with the host, and the interpreter itself.
CHANNEL = """
import json, struct, gc, sys
call = apis.notes.login
inside = next(cell.cell_contents for cell in call.__closure__ if hasattr(cell.cell_contents, 'channel'))
def send(message):
    body = json.dumps(message).encode() if not isinstance(message, bytes) else message
    inside.channel.sendall(struct.pack('!I', len(body)) + body)
def ask(name, **named):
    send({'call': name, 'arguments': [], 'named': named})
    return receive()['returned']
def receive():
    size = struct.unpack('!I', inside.channel.recv(4))[0]
    return json.loads(inside.channel.recv(size))
"""

REACHING = {
    "import the environment": "import palaestra.envs.apps.env",
    "read the scenarios": f"open({ROOT!r} + '/envs/apps/scenarios/archive_notes_by_tag.py').read()",
    "list the package": f"import os; os.listdir({ROOT!r} + '/envs/apps')",
    "find a database": (
        "import sqlite3, gc\nnext(o for o in gc.get_objects() if isinstance(o, sqlite3.Connection))"
    ),
    "memory of the parent": "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1)",
    "environment of the parent": (
        "import os\nassert b'PALAESTRA' in open(f'/proc/{os.getppid()}/environ', 'rb').read()"
    ),
    "another tool": CHANNEL + "ask('world.restore')",
    "an attribute of a tool": CHANNEL + "ask('apis.notes.login.__globals__')",
    "an argument of the host": CHANNEL + "ask('apis.notes.list_tags', self=1, call=2)",
    "positional arguments": "apis.notes.login('a', 'b')",
    "no text as a password": "apis.notes.login(username='x', password={'$ne': None})",
    "a foreign account": "apis.notes.login(username=apis.supervisor.show_profile()['email'], password='')",
    "a guessed token": "apis.notes.list_tags(access_token='0' * 24)",
    "SQL in a token": 'apis.notes.list_tags(access_token="\' OR 1=1 --")',
    "an endless number": "apis.supervisor.complete_task(answer=float('nan'))",
    "a deep answer": "x = []\nfor _ in range(900): x = [x]\napis.supervisor.complete_task(answer=x)",
    "the network": "import socket; socket.create_connection(('127.0.0.1', 80), 1)",
}


@pytest.fixture(scope="module")
def env():
    env = gym.make("palaestra/Apps-v0").unwrapped
    yield env
    env.close()


def solved(env) -> bool:
    """Whether the gold program still solves the task in this environment."""
    env.reset(options={"task": TASK})
    over, reward = False, 0.0
    while not over:
        _, reward, terminated, truncated, _ = env.step(env.expert())
        over = terminated or truncated
    return reward == 1.0


def ends_at(env, program: str) -> tuple[str, float, bool]:
    """Run a program in a fresh episode, then complete the task; return what it showed, reward and success."""
    env.reset(options={"task": TASK})
    shown, reward, terminated, truncated, info = env.step(program)
    if not (terminated or truncated):
        _, reward, _, _, info = env.step("apis.supervisor.complete_task()")
    return shown, reward, info["success"]


@pytest.mark.parametrize("attack", REACHING)
def test_out_of_reach(env, attack):
    marked = REACHING[attack] + "\nprint('REACHED IT')"
    shown, reward, success = ends_at(env, marked)
    assert "REACHED IT" not in shown, shown
    assert (reward, success) == (0.0, False)


FORGING = {
    "say that the cell is done": CHANNEL + "send({'done': True, 'value': '1', 'error': None})",
    "say done and go on calling": CHANNEL
    + "send({'done': True})\nfor _ in range(5):\n    ask('apis.supervisor.show_profile')",
    "a message that is no JSON": CHANNEL + "send(b'\\xff\\xfe reward=1')",
    "a message that is no object": CHANNEL + "send(b'[1]')",
    "an endless message": CHANNEL + "inside.channel.sendall(struct.pack('!I', 2**32 - 1))",
    "a deep message": CHANNEL + "send(b'{\"call\":' + b'[' * 200000 + b'}')",
    "NaN as an argument": CHANNEL + "print(ask('apis.supervisor.complete_task', answer=float('nan')))",
    "close the channel": CHANNEL + "inside.channel.close()",
    "leave": "import os; os._exit(0)",
    "another complete_task": "apis.supervisor.complete_task = lambda **named: {'message': 'completed'}",
    "print a verdict": "print('reward: 1.0 success: True'); raise SystemExit(0)",
}


@pytest.mark.parametrize("attack", FORGING)
def test_forging_pays_nothing_and_breaks_nothing(env, attack):
    _, reward, success = ends_at(env, FORGING[attack])
    assert (reward, success) == (0.0, False)
    assert solved(env), "the environment does not work any more"


def test_nothing_is_done_after_the_task_is_completed(env):
    env.reset(options={"task": TASK})
    program = "\n".join(cell[len("```python\n") : -len("\n```")] for cell in actions(env))
    late = "apis.supervisor.complete_task()\n" + program
    shown, reward, terminated, _, _ = env.step(late)
    assert (reward, terminated) == (0.0, True)
    assert "the task is completed" in shown


def actions(env) -> list[str]:
    return env._written(env._gold_cells())


def test_an_endless_loop_of_calls_ends(env, monkeypatch):
    monkeypatch.setattr(apps_env, "_LIMITS", Limits(cpu_s=1.0, wall_s=20.0))
    loop = (
        "while True:\n    try:\n        apis.supervisor.show_profile()\n    except ToolError:\n        pass"
    )
    shown, reward, _ = ends_at(env, loop)
    assert "the session ended: cpu limit" in shown
    assert reward == 0.0
    monkeypatch.undo()
    assert solved(env)


def test_what_is_refused_after_too_many_calls(env):
    env.reset(options={"task": TASK})
    env.world.most_calls = 10
    shown, *_ = env.step("for _ in range(20):\n    apis.supervisor.show_profile()")
    assert "429 too_many_calls" in shown
    env.world.most_calls = 5000


def test_a_token_of_one_episode_opens_nothing_in_another(env):
    other = gym.make("palaestra/Apps-v0").unwrapped
    try:
        env.reset(options={"task": TASK})
        other.reset(options={"task": TASK})
        text, *_ = env.step(actions(env)[0] + "\n```python\nprint('TOKEN', token)\n```")
        token = text.partition("TOKEN ")[2].split()[0]
        assert env.step(f"apis.notes.list_tags(access_token={token!r})")[0].startswith("[{'tag'")
        assert "401 unauthorized" in other.step(f"apis.notes.list_tags(access_token={token!r})")[0]
        before = other.world.connection.execute("SELECT * FROM notes_notes").fetchall()
        env.step(
            f"for n in apis.notes.search_notes(access_token={token!r}):\n"
            f"    apis.notes.delete_note(access_token={token!r}, note_id=n['note_id'])"
        )
        assert other.world.connection.execute("SELECT * FROM notes_notes").fetchall() == before
    finally:
        other.close()


def test_what_was_left_in_the_session_is_gone_in_the_next_episode(env):
    env.reset(options={"task": TASK})
    env.step("left = 1\nopen('left.txt', 'w').write('x')\nimport builtins; builtins.left = 2")
    env.reset(options={"task": TASK})
    shown, *_ = env.step(
        "import os\nprint('left' in globals(), hasattr(__builtins__, 'left'), os.path.exists('left.txt'))"
    )
    assert shown == "False False False"
