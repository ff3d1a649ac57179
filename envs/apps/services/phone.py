"""phone: the contacts of a person. Messages, calls and alarms have files of their own."""

from __future__ import annotations

import datetime
import json
import re
from typing import Any

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services.phone_seed import seed
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_NAME = 80
_MOST_DAYS = 366

PHONE = App(
    name="phone",
    description="Contacts with their relations, text and voice messages, the log of calls, and alarms.",
    schema="""
    CREATE TABLE phone_contacts (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL, phone_number TEXT NOT NULL,
        email TEXT NOT NULL DEFAULT '', relations TEXT NOT NULL DEFAULT '[]', birthday TEXT,
        address TEXT NOT NULL DEFAULT '', favorite INTEGER NOT NULL DEFAULT 0,
        blocked INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
        UNIQUE (person_id, phone_number)
    );
    CREATE TABLE phone_messages (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, receiver_id INTEGER NOT NULL, text TEXT NOT NULL,
        read INTEGER NOT NULL DEFAULT 0, deleted_by_sender INTEGER NOT NULL DEFAULT 0,
        deleted_by_receiver INTEGER NOT NULL DEFAULT 0, sent_at TEXT NOT NULL
    );
    CREATE TABLE phone_voice_messages (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, receiver_id INTEGER NOT NULL, text TEXT NOT NULL,
        seconds INTEGER NOT NULL, read INTEGER NOT NULL DEFAULT 0,
        deleted_by_sender INTEGER NOT NULL DEFAULT 0, deleted_by_receiver INTEGER NOT NULL DEFAULT 0,
        sent_at TEXT NOT NULL
    );
    CREATE TABLE phone_calls (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, other_id INTEGER NOT NULL,
        direction TEXT NOT NULL, answered INTEGER NOT NULL, seconds INTEGER NOT NULL DEFAULT 0,
        started_at TEXT NOT NULL
    );
    CREATE TABLE phone_alarms (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, time TEXT NOT NULL,
        label TEXT NOT NULL DEFAULT '', days TEXT NOT NULL DEFAULT '[]', enabled INTEGER NOT NULL DEFAULT 1,
        snooze_minutes INTEGER NOT NULL DEFAULT 10, created_at TEXT NOT NULL
    );
    CREATE INDEX phone_messages_sender ON phone_messages (person_id);
    CREATE INDEX phone_messages_receiver ON phone_messages (receiver_id)
    """,
    seed=seed,
    automatic=("created_at", "updated_at", "sent_at", "seconds"),
)


@api(PHONE, "GET")
def search_contacts(
    call: Call,
    query: str = "",
    relation: str | None = None,
    favorite: bool | None = None,
    blocked: bool | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find contacts, by name; without conditions, all.

    Args:
        query: a text that must occur in the name, the phone number or the email address, in any case.
        relation: a relation that they must have, such as friend; list_relations shows them.
        favorite: only favorites (True), or only others (False).
        blocked: only blocked ones (True), or only others (False).
        page_index: which page, counted from 0.
        page_limit: contacts a page, at most 20.

    Returns:
        A list of {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    conditions = ["person_id = ?"]
    values: list[Json] = [call.person_id]
    if query:
        conditions.append("instr(lower(name || char(10) || phone_number || char(10) || email), ?)")
        values.append(query.strip().lower())
    if relation is not None:
        conditions.append("EXISTS (SELECT 1 FROM json_each(relations) WHERE value = ?)")
        values.append(relation.strip().lower())
    for name, wanted in (("favorite", favorite), ("blocked", blocked)):
        if wanted is not None:
            conditions.append(f"{name} = ?")
            values.append(int(wanted))
    rows = call.page(
        f"SELECT * FROM phone_contacts WHERE {' AND '.join(conditions)} ORDER BY name, id",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(row) for row in rows]


@api(PHONE, "GET")
def show_contact(call: Call, contact_id: int) -> Json:
    """Show a contact.

    Args:
        contact_id: the contact.

    Returns:
        {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    return _shown(_contact(call, contact_id))


@api(PHONE, "GET")
def list_relations(call: Call) -> Json:
    """Show the relations that contacts have, by name.

    Returns:
        A list of {relation, contacts}, with the number of contacts that have it.
    """
    return call.rows(
        "SELECT value AS relation, count(*) AS contacts FROM phone_contacts, json_each(relations) "
        "WHERE person_id = ? GROUP BY value ORDER BY value",
        call.person_id,
    )


@api(PHONE, "GET")
def list_birthdays(call: Call, days: int = 30, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show which contacts have their birthday soon, the next one first.

    Args:
        days: within how many days, today (0) included; at most 366.
        page_index: which page, counted from 0.
        page_limit: contacts a page, at most 20.

    Returns:
        A list of {contact_id, name, birthday, next_birthday, in_days}; birthday: the day of birth.
    """
    if not 0 <= days <= _MOST_DAYS:
        raise ApiError(422, f"days goes from 0 to {_MOST_DAYS}")
    call.page("SELECT 1", page_index=page_index, page_limit=page_limit)  # refuses impossible pages
    today = datetime.date.fromisoformat(call.today)
    sql = "SELECT * FROM phone_contacts WHERE person_id = ? AND birthday IS NOT NULL ORDER BY name, id"
    found = []
    for row in call.rows(sql, call.person_id):
        coming = _next_birthday(datetime.date.fromisoformat(row["birthday"]), today)
        found.append(
            {
                "contact_id": row["id"],
                "name": row["name"],
                "birthday": row["birthday"],
                "next_birthday": coming.isoformat(),
                "in_days": (coming - today).days,
            }
        )
    near = sorted((one for one in found if one["in_days"] <= days), key=lambda one: one["in_days"])
    return near[page_index * page_limit : (page_index + 1) * page_limit]


@api(PHONE, "POST")
def add_contact(
    call: Call,
    name: str,
    phone_number: str,
    email: str = "",
    relations: list[str] | None = None,
    birthday: Date | None = None,
    address: str = "",
) -> Json:
    """Add a contact.

    Args:
        name: how to call them.
        phone_number: their number, which no other contact of yours has.
        email: their email address.
        relations: what they are to you, such as friend or coworker.
        birthday: the day they were born.
        address: where they live.

    Returns:
        {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    contact_id = call.insert(
        "phone_contacts",
        person_id=call.person_id,
        name=_name(name),
        phone_number=_free_number(call, phone_number),
        email=email.strip().lower(),
        relations=_relations(relations or []),
        birthday=_past(call, birthday),
        address=address.strip(),
        created_at=call.now,
        updated_at=call.now,
    )
    return _shown(_contact(call, contact_id))


@api(PHONE, "PATCH")
def update_contact(
    call: Call,
    contact_id: int,
    name: str | None = None,
    phone_number: str | None = None,
    email: str | None = None,
    relations: list[str] | None = None,
    birthday: Date | None = None,
    address: str | None = None,
    favorite: bool | None = None,
) -> Json:
    """Change parts of a contact; what is left out stays.

    Args:
        contact_id: the contact.
        name: the new name.
        phone_number: the new number, which no other contact of yours has.
        email: the new email address.
        relations: the new relations, which replace the old ones.
        birthday: the day they were born.
        address: where they live now.
        favorite: whether it is a favorite.

    Returns:
        {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    known = _contact(call, contact_id)
    changes: dict[str, Any] = {
        "name": None if name is None else _name(name),
        "email": None if email is None else email.strip().lower(),
        "relations": None if relations is None else _relations(relations),
        "birthday": _past(call, birthday),
        "address": None if address is None else address.strip(),
        "favorite": None if favorite is None else int(favorite),
    }
    if phone_number is not None and number(phone_number) != known["phone_number"]:
        changes["phone_number"] = _free_number(call, phone_number)
    changes = {column: value for column, value in changes.items() if value is not None}
    if not changes and phone_number is None:
        raise ApiError(422, "name something to change, such as name, phone_number or relations")
    call.update("phone_contacts", contact_id, **changes, updated_at=call.now)
    return _shown(_contact(call, contact_id))


@api(PHONE, "POST")
def block_contact(call: Call, contact_id: int) -> Json:
    """Block a contact: no messages go to them, and they cannot be a favorite.

    Args:
        contact_id: the contact.

    Returns:
        {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    if _contact(call, contact_id)["blocked"]:
        raise ApiError(409, "this contact is blocked already")
    call.update("phone_contacts", contact_id, blocked=1, favorite=0, updated_at=call.now)
    return _shown(_contact(call, contact_id))


@api(PHONE, "POST")
def unblock_contact(call: Call, contact_id: int) -> Json:
    """Lift the block of a contact.

    Args:
        contact_id: the contact.

    Returns:
        {contact_id, name, phone_number, email, relations, birthday, address, favorite, blocked}.
    """
    if not _contact(call, contact_id)["blocked"]:
        raise ApiError(409, "this contact is not blocked")
    call.update("phone_contacts", contact_id, blocked=0, updated_at=call.now)
    return _shown(_contact(call, contact_id))


@api(PHONE, "DELETE")
def delete_contact(call: Call, contact_id: int) -> Json:
    """Delete a contact; messages and calls stay.

    Args:
        contact_id: the contact.

    Returns:
        {message}.
    """
    call.delete("phone_contacts", _contact(call, contact_id)["id"])
    return {"message": "the contact is deleted"}


# ---- what they share ---------------------------------------------------------------------------------


def number(text: str) -> str:
    """Return a phone number without the white space around it. Raises ``ApiError`` 422."""
    if re.fullmatch(r"\+?[0-9][0-9 -]{2,24}", text.strip(), re.ASCII) is None:
        raise ApiError(422, f"phone_number must be a number such as '555-0142-2345', not {text[:40]!r}")
    return text.strip()


def other_person(call: Call, phone_number: str) -> int:
    """Return the id of who has a number. Raises ``ApiError`` 404 for nobody, 422 for one's own number."""
    found = call.value("SELECT id FROM world_people WHERE phone_number = ?", number(phone_number))
    if found is None:
        raise ApiError(404, f"no phone has the number {phone_number!r}; search_contacts finds numbers")
    if found == call.person_id:
        raise ApiError(422, "this is your own number")
    return found


def receiver(call: Call, phone_number: str) -> int:
    """Return the id of whom a message goes to. Raises ``ApiError`` 409 where their contact is blocked."""
    person_id = other_person(call, phone_number)
    blocked = "SELECT 1 FROM phone_contacts WHERE person_id = ? AND phone_number = ? AND blocked"
    if call.value(blocked, call.person_id, number(phone_number)):
        raise ApiError(409, "this contact is blocked; unblock_contact lifts that")
    return person_id


def _contact(call: Call, contact_id: int) -> dict[str, Json]:
    return call.mine("phone_contacts", contact_id, "contact", "search_contacts finds contacts")


def _shown(row: dict[str, Json]) -> dict[str, Json]:
    names = ("name", "phone_number", "email", "birthday", "address")
    return {
        "contact_id": row["id"],
        **{name: row[name] for name in names},
        "relations": json.loads(row["relations"]),
        "favorite": bool(row["favorite"]),
        "blocked": bool(row["blocked"]),
    }


def _name(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise ApiError(422, f"name must have 1 to {_LONGEST_NAME} characters")
    return name.strip()


def _relations(relations: list[str]) -> str:
    return json.dumps(sorted({one.strip().lower() for one in relations if one.strip()}))


def _past(call: Call, birthday: str | None) -> str | None:
    if birthday is not None and birthday > call.today:
        raise ApiError(422, "birthday lies in the future; give the day of birth")
    return birthday


def _free_number(call: Call, text: str) -> str:
    wanted = number(text)
    known = call.row(
        "SELECT name FROM phone_contacts WHERE person_id = ? AND phone_number = ?", call.person_id, wanted
    )
    if known is not None:
        raise ApiError(409, f"the contact {known['name']!r} has this number already")
    return wanted


def _next_birthday(born: datetime.date, today: datetime.date) -> datetime.date:
    for year in (today.year, today.year + 1):
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        # Who was born on February 29 celebrates on the 28th in other years.
        day = 28 if (born.month, born.day) == (2, 29) and not leap else born.day
        if (coming := datetime.date(year, born.month, day)) >= today:
            return coming
    raise AssertionError("a birthday comes every year")
