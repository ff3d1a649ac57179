"""calendar: events with attendees and their answers, invitations, reminders, free time."""

from __future__ import annotations

import datetime
from typing import Literal

from palaestra.envs.apps.api import ApiError, App, api, not_found
from palaestra.envs.apps.services.calendar_seed import seed
from palaestra.envs.apps.values import Date, Json, Moment
from palaestra.envs.apps.world import Call

_LONGEST_TITLE = 200
_LONGEST_EVENT_DAYS = 60

_Reply = Literal["accepted", "declined", "tentative"]

CALENDAR = App(
    name="calendar",
    description="Calendars with events, invitations and their answers, reminders, and free time.",
    schema="""
    CREATE TABLE calendar_calendars (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, name TEXT NOT NULL,
        color TEXT NOT NULL DEFAULT 'blue', created_at TEXT NOT NULL, UNIQUE (person_id, name)
    );
    CREATE TABLE calendar_events (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, calendar_id INTEGER NOT NULL,
        title TEXT NOT NULL, starts_at TEXT NOT NULL, ends_at TEXT NOT NULL,
        place TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',
        cancelled INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE TABLE calendar_attendees (
        id INTEGER PRIMARY KEY, event_id INTEGER NOT NULL, person_id INTEGER NOT NULL,
        answer TEXT NOT NULL DEFAULT 'pending', message TEXT NOT NULL DEFAULT '',
        invited_at TEXT NOT NULL, UNIQUE (event_id, person_id)
    );
    CREATE TABLE calendar_reminders (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, event_id INTEGER NOT NULL,
        minutes_before INTEGER NOT NULL, UNIQUE (person_id, event_id, minutes_before)
    );
    CREATE INDEX calendar_events_person ON calendar_events (person_id);
    CREATE INDEX calendar_attendees_person ON calendar_attendees (person_id)
    """,
    seed=seed,
    automatic=("created_at", "updated_at", "invited_at"),
)


# ---- calendars ---------------------------------------------------------------------------------------


@api(CALENDAR, "GET")
def list_calendars(call: Call) -> Json:
    """Show all calendars, the oldest one first: events go there by default.

    Returns:
        A list of {calendar_id, name, color, events}, with the number of events in it.
    """
    return call.rows(
        "SELECT c.id AS calendar_id, c.name, c.color, count(e.id) AS events FROM calendar_calendars c "
        "LEFT JOIN calendar_events e ON e.calendar_id = c.id WHERE c.person_id = ? "
        "GROUP BY c.id ORDER BY c.id",
        call.person_id,
    )


@api(CALENDAR, "POST")
def create_calendar(call: Call, name: str, color: str = "blue") -> Json:
    """Create a calendar.

    Args:
        name: its name, which no other calendar may have.
        color: how its events are shown.

    Returns:
        {calendar_id, name, color}.
    """
    name, color = _free_name(call, name), _short(color, "color")
    calendar_id = call.insert(
        "calendar_calendars", person_id=call.person_id, name=name, color=color, created_at=call.now
    )
    return {"calendar_id": calendar_id, "name": name, "color": color}


@api(CALENDAR, "PATCH")
def update_calendar(call: Call, calendar_id: int, name: str | None = None, color: str | None = None) -> Json:
    """Change the name or the color of a calendar.

    Args:
        calendar_id: the calendar.
        name: its new name.
        color: its new color.

    Returns:
        {calendar_id, name, color}.
    """
    calendar = _calendar(call, calendar_id)
    if name is None and color is None:
        raise ApiError(422, "name something to change: name or color")
    if name is not None and name.strip() != calendar["name"]:
        call.update("calendar_calendars", calendar_id, name=_free_name(call, name))
    if color is not None:
        call.update("calendar_calendars", calendar_id, color=_short(color, "color"))
    calendar = _calendar(call, calendar_id)
    return {"calendar_id": calendar_id, "name": calendar["name"], "color": calendar["color"]}


@api(CALENDAR, "DELETE")
def delete_calendar(call: Call, calendar_id: int) -> Json:
    """Delete a calendar that is empty. The last calendar stays.

    Args:
        calendar_id: the calendar.

    Returns:
        {message}.
    """
    _calendar(call, calendar_id)
    if call.value("SELECT count(*) FROM calendar_events WHERE calendar_id = ?", calendar_id):
        raise ApiError(409, "there are events in this calendar; move them with update_event first")
    if call.value("SELECT count(*) FROM calendar_calendars WHERE person_id = ?", call.person_id) == 1:
        raise ApiError(409, "this is the only calendar; create another one first")
    call.delete("calendar_calendars", calendar_id)
    return {"message": "the calendar is deleted"}


# ---- events ------------------------------------------------------------------------------------------


@api(CALENDAR, "POST")
def create_event(
    call: Call,
    title: str,
    starts_at: Moment,
    ends_at: Moment,
    calendar_id: int | None = None,
    place: str = "",
    description: str = "",
    attendees: list[str] | None = None,
) -> Json:
    """Create an event, and invite people to it.

    Args:
        title: its title.
        starts_at: when it starts.
        ends_at: when it ends.
        calendar_id: the calendar to put it in; by default your oldest one.
        place: where it is.
        description: more about it.
        attendees: the email addresses of people to invite, without your own.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    _check_time(starts_at, ends_at)
    if calendar_id is None:
        calendar_id = call.value("SELECT min(id) FROM calendar_calendars WHERE person_id = ?", call.person_id)
        if calendar_id is None:
            raise ApiError(409, "you have no calendar yet; create_calendar makes one")
    else:
        _calendar(call, calendar_id)
    event_id = call.insert(
        "calendar_events",
        person_id=call.person_id,
        calendar_id=calendar_id,
        title=_short(title, "title"),
        starts_at=starts_at,
        ends_at=ends_at,
        place=place.strip(),
        description=description.strip(),
        created_at=call.now,
        updated_at=call.now,
    )
    _invite(call, event_id, attendees or [])
    return _shown(call, event_id)


@api(CALENDAR, "GET")
def show_event(call: Call, event_id: int) -> Json:
    """Show an event that you organize or are invited to.

    Args:
        event_id: the event.

    Returns:
        {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer, my_answer,
        cancelled, attendees, reminders, created_at, updated_at}. The calendar is None for an event of
        somebody else. organizer: {name, email}. my_answer: pending, accepted, declined or tentative, None
        for your own event. attendees: a list of {name, email, answer, message}, without the organizer.
        reminders: a list of your {reminder_id, minutes_before}.
    """
    return _shown(call, event_id)


@api(CALENDAR, "GET")
def search_events(
    call: Call,
    query: str = "",
    from_day: Date | None = None,
    to_day: Date | None = None,
    calendar_id: int | None = None,
    with_person: str | None = None,
    organized_by_me: bool | None = None,
    cancelled: bool | None = False,
    declined: bool | None = False,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find events that you organize or are invited to, by the time they start.

    Args:
        query: a text that must occur in the title, the place or the description, in any case.
        from_day: only events that end on this day or later.
        to_day: only events that start on this day or earlier.
        calendar_id: only events in this calendar of yours.
        with_person: the email address of somebody who organizes them or is invited.
        organized_by_me: only your own ones (True), or only those of others (False).
        cancelled: only cancelled ones (True), only others (False), or both (None).
        declined: only those that you have declined (True), only others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: events a page, at most 20.

    Returns:
        A list of {event_id, calendar_id, title, starts_at, ends_at, place, organizer, my_answer,
        cancelled}; organizer: the email address.
    """
    conditions = ["(e.person_id = ? OR a.id IS NOT NULL)"]
    values: list[Json] = [call.person_id]
    if query:
        text = "instr(lower(e.title || char(10) || e.place || char(10) || e.description), ?)"
        conditions.append(text)
        values.append(query.lower())
    if from_day is not None:
        conditions.append("e.ends_at >= ?")
        values.append(from_day)
    if to_day is not None:
        conditions.append("e.starts_at <= ?")
        values.append(f"{to_day}T23:59:59")
    if calendar_id is not None:
        conditions.append("e.calendar_id = ?")
        values.append(_calendar(call, calendar_id)["id"])
    if with_person is not None:
        person_id = call.person(with_person)["id"]
        conditions.append(
            "(e.person_id = ? OR EXISTS (SELECT 1 FROM calendar_attendees w WHERE w.event_id = e.id "
            "AND w.person_id = ?))"
        )
        values += [person_id, person_id]
    if organized_by_me is not None:
        conditions.append("e.person_id = ?" if organized_by_me else "e.person_id != ?")
        values.append(call.person_id)
    if cancelled is not None:
        conditions.append("e.cancelled = ?")
        values.append(int(cancelled))
    if declined is not None:
        conditions.append("(ifnull(a.answer, '') = 'declined') = ?")
        values.append(int(declined))
    return _listed(call, conditions, values, page_index, page_limit)


@api(CALENDAR, "PATCH")
def update_event(
    call: Call,
    event_id: int,
    title: str | None = None,
    starts_at: Moment | None = None,
    ends_at: Moment | None = None,
    place: str | None = None,
    description: str | None = None,
    calendar_id: int | None = None,
) -> Json:
    """Change parts of an event that you organize; what is left out stays.

    Args:
        event_id: the event.
        title: its new title.
        starts_at: when it starts now; give ends_at as well, unless the old end still fits.
        ends_at: when it ends now.
        place: where it is now.
        description: the new description.
        calendar_id: another calendar of yours to put it in.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    event = _own_event(call, event_id)
    if calendar_id is not None:
        _calendar(call, calendar_id)
    changes: dict[str, Json] = {
        "title": None if title is None else _short(title, "title"),
        "starts_at": starts_at,
        "ends_at": ends_at,
        "place": None if place is None else place.strip(),
        "description": None if description is None else description.strip(),
        "calendar_id": calendar_id,
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, f"name something to change: {', '.join(_CHANGEABLE)}")
    _check_time(changes.get("starts_at", event["starts_at"]), changes.get("ends_at", event["ends_at"]))
    call.update("calendar_events", event_id, **changes, updated_at=call.now)
    return _shown(call, event_id)


@api(CALENDAR, "POST")
def cancel_event(call: Call, event_id: int) -> Json:
    """Cancel an event that you organize. It stays in the calendars of all who are invited, as cancelled.

    Args:
        event_id: the event.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    event = _own_event(call, event_id)
    if event["ends_at"] < call.now:
        raise ApiError(409, "this event is over and can't be cancelled")
    call.update("calendar_events", event_id, cancelled=1, updated_at=call.now)
    return _shown(call, event_id)


@api(CALENDAR, "DELETE")
def delete_event(call: Call, event_id: int) -> Json:
    """Delete an event of yours that nobody else is invited to, with its reminders.

    Args:
        event_id: the event.

    Returns:
        {message}.
    """
    event = seen_event(call, event_id)
    if event["person_id"] != call.person_id:
        raise ApiError(403, "somebody else organizes this event; answer_invitation declines it")
    if call.value("SELECT count(*) FROM calendar_attendees WHERE event_id = ?", event_id):
        raise ApiError(409, "people are invited to this event; use cancel_event, so that they know")
    call.connection.execute("DELETE FROM calendar_reminders WHERE event_id = ?", (event_id,))
    call.delete("calendar_events", event_id)
    return {"message": "the event is deleted"}


# ---- people and their answers ------------------------------------------------------------------------


@api(CALENDAR, "GET")
def list_attendees(
    call: Call,
    event_id: int,
    answer: Literal["pending", "accepted", "declined", "tentative"] | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show who is invited to an event, by name. The organizer is not among them.

    Args:
        event_id: the event.
        answer: only people with this answer.
        page_index: which page, counted from 0.
        page_limit: people a page, at most 20.

    Returns:
        A list of {name, email, answer, message}.
    """
    seen_event(call, event_id)
    return call.page(
        f"{_ATTENDEES} AND (?2 IS NULL OR a.answer = ?2) {_BY_NAME}",
        event_id,
        answer,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(CALENDAR, "POST")
def invite_people(call: Call, event_id: int, emails: list[str]) -> Json:
    """Invite more people to an event that you organize.

    Args:
        event_id: the event.
        emails: their email addresses.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    event = _own_event(call, event_id)
    if not emails:
        raise ApiError(422, "emails must name somebody to invite")
    if event["ends_at"] < call.now:
        raise ApiError(409, "this event is over; nobody can be invited any more")
    _invite(call, event_id, emails)
    return _shown(call, event_id)


@api(CALENDAR, "DELETE")
def remove_attendee(call: Call, event_id: int, email: str) -> Json:
    """Take somebody off an event that you organize.

    Args:
        event_id: the event.
        email: the email address of the person.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    _own_event(call, event_id)
    person = call.person(email)
    row_id = call.value(
        "SELECT id FROM calendar_attendees WHERE event_id = ? AND person_id = ?", event_id, person["id"]
    )
    if row_id is None:
        raise ApiError(404, f"{email!r} is not invited to this event")
    call.delete("calendar_attendees", row_id)
    call.connection.execute(
        "DELETE FROM calendar_reminders WHERE event_id = ? AND person_id = ?", (event_id, person["id"])
    )
    return _shown(call, event_id)


@api(CALENDAR, "GET")
def list_invitations(
    call: Call,
    answer: Literal["pending", "accepted", "declined", "tentative"] | None = "pending",
    coming: bool | None = True,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show invitations to events of other people, by the time the events start. Cancelled ones are left out.

    Args:
        answer: what you have answered so far; None shows all.
        coming: only events that have not started (True), only others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: invitations a page, at most 20.

    Returns:
        A list of {event_id, calendar_id, title, starts_at, ends_at, place, organizer, my_answer,
        cancelled}; organizer: the email address.
    """
    conditions = ["a.id IS NOT NULL", "e.cancelled = 0"]
    values: list[Json] = []
    if answer is not None:
        conditions.append("a.answer = ?")
        values.append(answer)
    if coming is not None:
        conditions.append("(e.starts_at > ?) = ?")
        values += [call.now, int(coming)]
    return _listed(call, conditions, values, page_index, page_limit)


@api(CALENDAR, "POST")
def answer_invitation(call: Call, event_id: int, answer: _Reply, message: str = "") -> Json:
    """Answer an invitation, or change the answer.

    Args:
        event_id: the event.
        answer: whether you come.
        message: a few words to the organizer; replaces those of an earlier answer.

    Returns:
        The event: {event_id, calendar_id, title, starts_at, ends_at, place, description, organizer,
        my_answer, cancelled, attendees, reminders, created_at, updated_at}.
    """
    event = seen_event(call, event_id)
    if event["person_id"] == call.person_id:
        raise ApiError(409, "you organize this event; nobody waits for your answer")
    if event["cancelled"]:
        raise ApiError(409, "this event is cancelled; no answer is needed")
    if event["ends_at"] < call.now:
        raise ApiError(409, "this event is over; it can't be answered any more")
    row_id = call.value(
        "SELECT id FROM calendar_attendees WHERE event_id = ? AND person_id = ?", event_id, call.person_id
    )
    call.update("calendar_attendees", row_id, answer=answer, message=message.strip())
    return _shown(call, event_id)


# ---- what they share ---------------------------------------------------------------------------------

_CHANGEABLE = ("title", "starts_at", "ends_at", "place", "description", "calendar_id")
_ATTENDEES = (
    "SELECT p.first_name || ' ' || p.last_name AS name, p.email, a.answer, a.message "
    "FROM calendar_attendees a JOIN world_people p ON p.id = a.person_id WHERE a.event_id = ?1"
)
_BY_NAME = "ORDER BY p.first_name, p.last_name, a.id"


def _calendar(call: Call, calendar_id: int) -> dict[str, Json]:
    return call.mine("calendar_calendars", calendar_id, "calendar", "list_calendars shows them")


def seen_event(call: Call, event_id: int) -> dict[str, Json]:
    """Return an event that the caller may see. Raises ``ApiError`` 404."""
    event = call.row(
        "SELECT e.*, a.answer AS my_answer, p.email AS organizer, "
        "p.first_name || ' ' || p.last_name AS organizer_name "
        "FROM calendar_events e JOIN world_people p ON p.id = e.person_id "
        "LEFT JOIN calendar_attendees a ON a.event_id = e.id AND a.person_id = ?1 "
        "WHERE e.id = ?2 AND (e.person_id = ?1 OR a.id IS NOT NULL)",
        call.person_id,
        event_id,
    )
    if event is None:
        raise not_found("event", event_id, "search_events finds events")
    return event


def _own_event(call: Call, event_id: int) -> dict[str, Json]:
    """Return an event that the caller may change. Raises ``ApiError`` 404, 403 or 409."""
    event = seen_event(call, event_id)
    if event["person_id"] != call.person_id:
        raise ApiError(403, f"{event['organizer']} organizes this event; only they can change it")
    if event["cancelled"]:
        raise ApiError(409, "this event is cancelled and can't be changed; create another one")
    return event


def _summary(event: dict[str, Json], person_id: int) -> dict[str, Json]:
    own = event["person_id"] == person_id
    return {
        "event_id": event["id"],
        "calendar_id": event["calendar_id"] if own else None,
        **{name: event[name] for name in ("title", "starts_at", "ends_at", "place", "organizer")},
        "my_answer": None if own else event["my_answer"],
        "cancelled": bool(event["cancelled"]),
    }


def _shown(call: Call, event_id: int) -> dict[str, Json]:
    event = seen_event(call, event_id)
    return {
        **_summary(event, call.person_id),
        "description": event["description"],
        "organizer": {"name": event["organizer_name"], "email": event["organizer"]},
        "attendees": call.rows(f"{_ATTENDEES} {_BY_NAME}", event_id),
        "reminders": call.rows(
            "SELECT id AS reminder_id, minutes_before FROM calendar_reminders "
            "WHERE person_id = ? AND event_id = ? ORDER BY minutes_before, id",
            call.person_id,
            event_id,
        ),
        "created_at": event["created_at"],
        "updated_at": event["updated_at"],
    }


def _listed(
    call: Call, conditions: list[str], values: list[Json], page_index: int, page_limit: int
) -> list[dict[str, Json]]:
    """Return a page of events; ``conditions`` are on the event ``e`` and on the own invitation ``a``."""
    rows = call.page(
        "SELECT e.*, a.answer AS my_answer, p.email AS organizer FROM calendar_events e "
        "JOIN world_people p ON p.id = e.person_id "
        "LEFT JOIN calendar_attendees a ON a.event_id = e.id AND a.person_id = ? "
        f"WHERE {' AND '.join(conditions)} ORDER BY e.starts_at, e.id",
        call.person_id,
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_summary(row, call.person_id) for row in rows]


def _invite(call: Call, event_id: int, emails: list[str]) -> None:
    known = "SELECT id FROM calendar_attendees WHERE event_id = ? AND person_id = ?"
    for email in emails:
        person = call.person(email)
        if person["id"] == call.person_id:
            raise ApiError(422, "you organize the event yourself; leave your own address out")
        if call.value(known, event_id, person["id"]) is not None:
            raise ApiError(409, f"{email!r} is invited already")
        call.insert("calendar_attendees", event_id=event_id, person_id=person["id"], invited_at=call.now)


def seconds(begin: str, end: str) -> float:
    """Return how long it is from one moment to another."""
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(begin)).total_seconds()


def _check_time(starts_at: str, ends_at: str) -> None:
    if not "2000" < starts_at < "2100":
        raise ApiError(422, "starts_at must lie between the years 2000 and 2100")
    if ends_at <= starts_at:
        raise ApiError(422, f"ends_at must lie after starts_at, which is {starts_at}")
    if seconds(starts_at, ends_at) > _LONGEST_EVENT_DAYS * 24 * 60 * 60:
        raise ApiError(422, f"an event lasts at most {_LONGEST_EVENT_DAYS} days")


def _short(text: str, what: str) -> str:
    if not text.strip() or len(text) > _LONGEST_TITLE:
        raise ApiError(422, f"{what} must have 1 to {_LONGEST_TITLE} characters")
    return text.strip()


def _free_name(call: Call, name: str) -> str:
    name = _short(name, "name")
    known = "SELECT id FROM calendar_calendars WHERE person_id = ? AND name = ?"
    if call.value(known, call.person_id, name) is not None:
        raise ApiError(409, f"there is a calendar {name!r} already")
    return name
