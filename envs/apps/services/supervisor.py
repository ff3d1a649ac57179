"""supervisor: the person whose life it is; passwords, addresses, and completing the task."""

from __future__ import annotations

import json

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.life import Life
from palaestra.envs.apps.values import Answer, Json
from palaestra.envs.apps.world import Call, Database

_LONGEST_ANSWER = 10_000


def _seed(life: Life, database: Database) -> None:
    me, parents = life.supervisor, life.relations["mother"]
    generator = life.generator("supervisor")
    number = int(generator.integers(1, 90))
    rows = [
        {"name": "home", "street": me.street, "city": me.city, "zip_code": me.zip_code},
        {
            "name": "work",
            "street": f"{number} Harbor Avenue",
            "city": me.city,
            "zip_code": me.zip_code,
        },
        {
            "name": "parents",
            "street": parents[0].street,
            "city": parents[0].city,
            "zip_code": parents[0].zip_code,
        },
    ]
    database.insert_all("supervisor_addresses", [{"person_id": me.id, **row} for row in rows])


SUPERVISOR = App(
    name="supervisor",
    description="Who you act for: their profile, passwords and addresses; and the end of the task.",
    schema="""
    CREATE TABLE supervisor_addresses (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL, street TEXT NOT NULL,
        city TEXT NOT NULL, zip_code TEXT NOT NULL
    )
    """,
    seed=_seed,
    accounts=False,
)


@api(SUPERVISOR, "GET", login=False)
def show_profile(call: Call) -> Json:
    """Show the person you act for.

    Returns:
        {first_name, last_name, email, phone_number, birthday}.
    """
    return call.row(
        "SELECT first_name, last_name, email, phone_number, birthday FROM world_people WHERE id = 1"
    )


@api(SUPERVISOR, "GET", login=False)
def show_account_passwords(call: Call) -> Json:
    """Show the passwords of the person's accounts in all apps. The username is always their email address.

    Returns:
        A list of {app, password}.
    """
    return call.rows("SELECT app, password FROM world_accounts WHERE person_id = 1 ORDER BY app")


@api(SUPERVISOR, "GET", login=False)
def show_addresses(call: Call) -> Json:
    """Show the person's addresses.

    Returns:
        A list of {name, street, city, zip_code}; the name is home, work or parents.
    """
    return call.rows(
        "SELECT name, street, city, zip_code FROM supervisor_addresses WHERE person_id = 1 ORDER BY id"
    )


@api(SUPERVISOR, "GET", login=False)
def show_current_time(call: Call) -> Json:
    """Show the present day and time.

    Returns:
        {now, weekday}.
    """
    return {"now": call.now, "weekday": call.world.weekday}


@api(SUPERVISOR, "POST", login=False)
def complete_task(call: Call, answer: Answer | None = None) -> Json:
    """Say that the task is done. Nothing can be done afterwards.

    Args:
        answer: what the task asks for: a number, a text, or a list of them. Leave it out where the task asks
            no question.

    Returns:
        {message}.
    """
    text = None if answer is None else json.dumps(answer)
    if text is not None and len(text) > _LONGEST_ANSWER:
        raise ApiError(422, f"an answer has at most {_LONGEST_ANSWER} characters")
    call.insert("world_submissions", answer=text)
    return {"message": "the task is completed"}
