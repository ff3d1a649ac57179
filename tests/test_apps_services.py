"""What every API of every app keeps: documentation, typed refusals, and that reading writes nothing."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from palaestra.envs.apps import catalogue
from palaestra.envs.apps.api import TOKEN, Api, ApiError
from palaestra.envs.apps.changes import Ledger
from palaestra.envs.apps.values import Answer, Clock, Date, Moment, Money
from palaestra.envs.apps.world import World

CATALOGUE = catalogue.load()
apis = pytest.mark.parametrize("name", CATALOGUE.apis)
apps = pytest.mark.parametrize("app", CATALOGUE.apps)


def login(world: World, app: str) -> str:
    email = world.call("supervisor.show_profile", {})["email"]
    accounts = world.call("supervisor.show_account_passwords", {})
    password = next(one["password"] for one in accounts if one["app"] == app)
    return world.call(f"{app}.login", {"username": email, "password": password})[TOKEN]


@apps
def test_every_app_holds_something_of_this_life(app, world):
    tables = [
        row[0] for row in world.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    own = [table for table in tables if table.startswith(f"{app}_")]
    filled = [t for t in own if world.connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0]]
    assert filled or not CATALOGUE.apps[app].accounts
    prefixes = tuple(f"{name}_" for name in (*CATALOGUE.apps, "world", "sqlite"))
    assert all(table.startswith(prefixes) for table in tables)


def test_a_new_row_never_takes_the_id_of_a_removed_one(world):
    token = login(world, "music")
    old = {row["queue_id"] for row in world.call("music.show_queue", {TOKEN: token})}
    world.call("music.clear_queue", {TOKEN: token})
    added = world.call("music.add_to_queue", {TOKEN: token, "song_id": 1})
    assert old
    assert added["queue_id"] > max(old)


def test_automatic_columns_hide_nothing_that_is_judged():
    automatic = {column for app in CATALOGUE.apps.values() for column in app.automatic}
    assert not automatic & {"status", "amount", "title", "name", "body", "text", "done", "person_id", "id"}


@apis
def test_a_call_without_what_it_needs_is_refused(name, world):
    one = CATALOGUE.apis[name]
    if one.login:
        with pytest.raises(ApiError) as refused:
            world.call(name, {})
        assert refused.value.status == 401
        with pytest.raises(ApiError) as refused:
            world.call(name, {TOKEN: "0" * 24, **sample(one, np.random.default_rng(0), world)})
        assert refused.value.status == 401
    with pytest.raises(ApiError) as refused:
        world.call(name, {TOKEN: "x", "no_such_argument": 1})
    assert refused.value.status == 422


@apis
def test_whatever_it_is_given_it_answers_or_refuses(name, world):
    """A hundred calls with arguments of the right kinds, likely and unlikely ones."""
    one = CATALOGUE.apis[name]
    generator = np.random.default_rng(7)
    token = login(world, one.app.name) if one.login else None
    before = World(CATALOGUE, world.image())
    answered = 0
    for _ in range(100):
        arguments = sample(one, generator, world)
        try:
            answer = world.call(name, {**arguments, TOKEN: token} if token else arguments)
            answered += 1
        except ApiError:
            continue
        assert finite(answer), arguments
        if name in ("supervisor.complete_task",) or one.name in ("logout", "change_password"):
            return
    if one.method == "GET":
        assert not Ledger(before.image(), world.connection, ()).changes, f"{name} is a GET and writes"
    before.close()


def finite(value: Any) -> bool:
    """Whether a value is what JSON can hold."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and finite(item) for key, item in value.items())
    if isinstance(value, list):
        return all(finite(item) for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int)


def sample(one: Api, generator: np.random.Generator, world: World) -> dict[str, Any]:
    """Return arguments for a call: all that are required, and some others."""
    hints = get_type_hints(one.function)
    return {
        parameter.name: drawn(hints[parameter.name], generator, world)
        for parameter in one.parameters
        if parameter.name != TOKEN and (parameter.required or generator.random() < 0.4)
    }


def drawn(annotation: Any, generator: np.random.Generator, world: World) -> Any:
    inside = get_args(annotation)
    if get_origin(annotation) is list:
        return [drawn(inside[0], generator, world) for _ in range(int(generator.integers(0, 4)))]
    if get_origin(annotation) is Literal:
        return inside[int(generator.integers(len(inside)))]
    if inside:
        chosen = inside[int(generator.integers(len(inside)))]
        return None if chosen is type(None) else drawn(chosen, generator, world)
    choices = _CHOICES[annotation]
    if annotation is str and generator.random() < 0.4:
        person = int(generator.integers(1, 12))
        return world.connection.execute("SELECT email FROM world_people WHERE id = ?", (person,)).fetchone()[
            0
        ]
    return choices[int(generator.integers(len(choices)))]


_CHOICES: dict[Any, list[Any]] = {
    str: [
        "",
        " ",
        "a",
        "work",
        "Inbox",
        "%",
        "'; DROP TABLE world_people; --",
        "é" * 300,
        "/",
        "/a/../b",
        "x.txt",
    ],
    int: [*range(-1, 30), 10**6, -(2**53), 2**53],
    float: [0.0, 1.0, 2.5, -3.0, 1e9],
    bool: [True, False],
    Money: [0, 0.01, 5, 12.34, 100, 999999.99],
    Date: ["2031-05-04", "2030-12-31", "1900-01-01", "9999-12-31"],
    Moment: ["2031-05-04T09:30:00", "2030-01-01 00:00", "9999-12-31T23:59:59", "0001-01-01T00:00:00"],
    Clock: ["00:00", "09:30", "23:59"],
    Answer: ["yes", 1, 2.5, None, ["a", 1]],
}
