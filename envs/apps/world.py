"""The world of one episode: a database in memory, a clock, and the calls that are made."""

from __future__ import annotations

import datetime
import json
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from palaestra.envs.apps.api import TOKEN, ApiError, nearest, not_found
from palaestra.envs.apps.life import Life
from palaestra.envs.apps.values import Json
from palaestra.errors import OptionError

if TYPE_CHECKING:
    from palaestra.envs.apps.catalogue import Catalogue

MOST_PAGE_ROWS = 20
_CORE_SCHEMA = """
CREATE TABLE world_clock (id INTEGER PRIMARY KEY, now TEXT NOT NULL, calls INTEGER NOT NULL);
CREATE TABLE world_people (
    id INTEGER PRIMARY KEY, first_name TEXT NOT NULL, last_name TEXT NOT NULL, email TEXT NOT NULL UNIQUE,
    phone_number TEXT NOT NULL UNIQUE, birthday TEXT NOT NULL, street TEXT NOT NULL, city TEXT NOT NULL,
    zip_code TEXT NOT NULL
);
CREATE TABLE world_accounts (
    id INTEGER PRIMARY KEY, app TEXT NOT NULL, person_id INTEGER NOT NULL, password TEXT NOT NULL,
    created_at TEXT NOT NULL, UNIQUE (app, person_id)
);
CREATE TABLE world_tokens (
    id INTEGER PRIMARY KEY, token TEXT NOT NULL UNIQUE, app TEXT NOT NULL, person_id INTEGER NOT NULL,
    expires_at TEXT NOT NULL
);
CREATE TABLE world_submissions (id INTEGER PRIMARY KEY, answer TEXT);
"""
_PRIMARY_KEY = "id INTEGER PRIMARY KEY"


class Database:
    """A SQLite connection with the few things that apps do with it. Names of tables and columns are code."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        cursor = self.connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def row(self, sql: str, *values: Any) -> dict[str, Any] | None:
        """Return the first row of a query, or None."""
        found = self.connection.execute(sql, values)
        names = [column[0] for column in found.description]
        row = found.fetchone()
        return None if row is None else dict(zip(names, row, strict=True))

    def value(self, sql: str, *values: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = self.connection.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def insert(self, table: str, **columns: Any) -> int:
        """Add a row; return its id."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        cursor = self.connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", list(columns.values())
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def insert_all(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows that all have the same columns, quickly."""
        if not rows:
            return
        names = list(rows[0])
        sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        self.connection.executemany(sql, [[row[name] for name in names] for row in rows])

    def update(self, table: str, row_id: int, **columns: Any) -> None:
        """Change columns of a row."""
        names = ", ".join(f"{name} = ?" for name in columns)
        self.connection.execute(f"UPDATE {table} SET {names} WHERE id = ?", [*columns.values(), row_id])

    def delete(self, table: str, row_id: int) -> None:
        """Remove a row."""
        self.connection.execute(f"DELETE FROM {table} WHERE id = ?", [row_id])


class Call(Database):
    """One call as an API sees it: the database, who calls, and when."""

    def __init__(self, world: World, app: str, person_id: int) -> None:
        super().__init__(world.connection)
        self.world, self.app, self.person_id = world, app, person_id

    @property
    def now(self) -> str:
        """The moment of the call."""
        return self.world.now

    @property
    def today(self) -> str:
        """The day of the call."""
        return self.world.now[:10]

    def mine(self, table: str, row_id: int, what: str, hint: str = "") -> dict[str, Any]:
        """Return a row whose ``person_id`` is the caller. Raises ``ApiError`` 404 for any other."""
        row = self.row(f"SELECT * FROM {table} WHERE id = ? AND person_id = ?", row_id, self.person_id)
        if row is None:
            raise not_found(what, row_id, hint)
        return row

    def page(self, sql: str, *values: Any, page_index: int, page_limit: int) -> list[dict[str, Any]]:
        """Return one page of the rows of a query. Raises ``ApiError`` 422 for a page that cannot be."""
        if page_index < 0:
            raise ApiError(422, "page_index counts from 0")
        if not 1 <= page_limit <= MOST_PAGE_ROWS:
            raise ApiError(422, f"page_limit goes from 1 to {MOST_PAGE_ROWS}")
        return self.rows(f"{sql} LIMIT ? OFFSET ?", *values, page_limit, page_index * page_limit)

    def person(self, email: str, app: str = "") -> dict[str, Any]:
        """Return the person with an email address who has an account in this (or another) app.

        Raises ``ApiError`` 404.
        """
        found = self.row(
            "SELECT world_people.* FROM world_people JOIN world_accounts ON person_id = world_people.id "
            "WHERE email = ? AND app = ?",
            email.strip().lower(),
            app or self.app,
        )
        if found is None:
            raise ApiError(404, f"nobody with the email address {email!r} uses {app or self.app}")
        return found


class World:
    """A database in memory, restored from an image; calls go through ``call``.

    Two calls of one world must not overlap. ``most_calls`` refuses whatever comes after so many.
    """

    def __init__(self, catalogue: Catalogue, image: bytes, most_calls: int = 5000) -> None:
        self.catalogue, self.most_calls = catalogue, most_calls
        self.connection = _opened(image)
        self._read_clock()

    def restore(self, image: bytes) -> None:
        """Begin again from an image."""
        # A connection whose kept statements saw the old database can crash in the new one.
        self.connection.close()
        self.connection = _opened(image)
        self._read_clock()

    def _read_clock(self) -> None:
        now, self.calls = self.connection.execute("SELECT now, calls FROM world_clock").fetchone()
        self._now = datetime.datetime.fromisoformat(now)

    def image(self) -> bytes:
        """Return all of the world as bytes, for ``restore``."""
        self.connection.execute("UPDATE world_clock SET now = ?, calls = ?", (self.now, self.calls))
        return self.connection.serialize()

    def close(self) -> None:
        """Free the database."""
        self.connection.close()

    @property
    def now(self) -> str:
        """The time on the virtual clock."""
        return self._now.isoformat(timespec="seconds")

    @property
    def weekday(self) -> str:
        """The day of the week on the virtual clock."""
        return self._now.strftime("%A")

    @property
    def submission(self) -> tuple[str | None] | None:
        """What the task was completed with: the answer as JSON, or None for no answer; None before that."""
        return self.connection.execute("SELECT answer FROM world_submissions").fetchone()

    @property
    def answer(self) -> Json:
        """The answer that the task was completed with; None where there is none."""
        submission = self.submission
        return None if submission is None or submission[0] is None else json.loads(submission[0])

    def call(self, name: str, arguments: Mapping[str, Json]) -> Json:
        """Answer a call. Every call takes a second on the virtual clock, and is done wholly or not at all.

        Raises ``ApiError`` for what is refused.
        """
        self.calls += 1
        self._now += datetime.timedelta(seconds=1)
        if self.calls > self.most_calls:
            raise ApiError(429, f"more than {self.most_calls} calls; nothing is answered any more")
        if self.submission is not None:
            raise ApiError(403, "the task is completed; nothing can be done any more")
        api = self.catalogue.apis.get(name)
        if api is None:
            raise ApiError(404, f"there is no API {name!r}; {self._nearest(name)}")
        if api.login and arguments.get(TOKEN) is None:
            raise ApiError(401, f"{name} needs an {TOKEN}, which {api.app.name}.login gives")
        bound = api.bind(dict(arguments))
        person_id = self._who(api.app.name, bound.pop(TOKEN)) if api.login else 0
        self.connection.execute("BEGIN")
        try:
            answer = api.function(Call(self, api.app.name, person_id), **bound)
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")
        return answer

    def _who(self, app: str, token: str) -> int:
        found = self.connection.execute(
            "SELECT app, person_id, expires_at FROM world_tokens WHERE token = ?", (token,)
        ).fetchone()
        if found is None:
            raise ApiError(401, f"this access token is not valid; {app}.login gives one")
        if found[0] != app:
            raise ApiError(401, f"this access token is for {found[0]}; {app}.login gives one for {app}")
        if found[2] < self.now:
            raise ApiError(401, f"this access token has expired; {app}.login gives a new one")
        return int(found[1])

    def _nearest(self, name: str) -> str:
        app = name.partition(".")[0]
        if app not in self.catalogue.apps:
            return nearest(app, self.catalogue.apps)
        return nearest(name, (known for known in self.catalogue.apis if known.startswith(f"{app}.")))


def _opened(image: bytes) -> sqlite3.Connection:
    # Calls come from whichever thread steps the environment, one at a time.
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.deserialize(image)
    return connection


@lru_cache(maxsize=64)
def base_image(catalogue: Catalogue, number: int) -> bytes:
    """Return the image of world ``number``: its people, and what all their apps hold."""
    life = Life.generate(number)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    database = Database(connection)
    connection.execute("BEGIN")
    for statement in _CORE_SCHEMA.split(";"):
        connection.execute(statement)
    _fill_core(database, life, catalogue)
    for app in catalogue.in_seed_order():
        for statement in app.schema.split(";"):
            # Else the next row takes the id of a removed one and is judged as the old row, changed.
            connection.execute(statement.replace(_PRIMARY_KEY, f"{_PRIMARY_KEY} AUTOINCREMENT"))
        if app.seed is not None:
            app.seed(life, database)
    connection.execute("COMMIT")
    _check_tables(database)
    image = connection.serialize()
    connection.close()
    return image


def _fill_core(database: Database, life: Life, catalogue: Catalogue) -> None:
    database.insert("world_clock", now=life.now.isoformat(timespec="seconds"), calls=0)
    database.insert_all("world_people", [person.row() for person in life.people])
    for app in catalogue.apps.values():
        if app.accounts:
            # Of its own for each app: another app must not change the passwords of this one.
            generator = life.generator(f"accounts of {app.name}")
            database.insert_all(
                "world_accounts", [_account(app.name, person.id, life, generator) for person in life.people]
            )


def _account(app: str, person_id: int, life: Life, generator: np.random.Generator) -> dict[str, Any]:
    registered = life.moment(generator, -2000, -300)
    return {
        "app": app,
        "person_id": person_id,
        "password": password(generator),
        "created_at": registered,
    }


def password(generator: np.random.Generator) -> str:
    """Return a password."""
    return "".join(generator.choice(list("abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789+!#"), 10))


def _check_tables(database: Database) -> None:
    """Raise ``OptionError`` for a table whose rows could not be told apart when changes are looked for."""
    for row in database.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ):
        columns = database.rows(f"PRAGMA table_info({row['name']})")
        if not any(c["name"] == "id" and c["type"] == "INTEGER" and c["pk"] for c in columns):
            raise OptionError(f"the table {row['name']} needs a column: {_PRIMARY_KEY}")
