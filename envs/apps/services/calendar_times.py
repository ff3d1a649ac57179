"""calendar: reminders, and when people have time."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.calendar import CALENDAR, seconds, seen_event
from palaestra.envs.apps.values import Clock, Date, Json
from palaestra.envs.apps.world import MOST_PAGE_ROWS, Call

_MOST_SEARCHED_DAYS = 31
_MOST_MINUTES = 4 * 7 * 24 * 60
_MORNING, _EVENING = Clock("09:00"), Clock("18:00")
_BUSY = (
    "(e.person_id = ?1 OR EXISTS (SELECT 1 FROM calendar_attendees a WHERE a.event_id = e.id "
    "AND a.person_id = ?1 AND a.answer IN ('accepted', 'tentative'))) "
    "AND e.cancelled = 0 AND e.ends_at >= ?2 AND e.starts_at <= ?3"
)


# ---- reminders ---------------------------------------------------------------------------------------


@api(CALENDAR, "GET")
def list_reminders(
    call: Call,
    event_id: int | None = None,
    coming: bool | None = True,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show your reminders, by the time the events start.

    Args:
        event_id: only reminders of this event.
        coming: only of events that have not started (True), only of others (False), or both (None).
        page_index: which page, counted from 0.
        page_limit: reminders a page, at most 20.

    Returns:
        A list of {reminder_id, event_id, title, starts_at, minutes_before}.
    """
    conditions, values = ["r.person_id = ?"], [call.person_id]
    if event_id is not None:
        conditions.append("e.id = ?")
        values.append(seen_event(call, event_id)["id"])
    if coming is not None:
        conditions.append("(e.starts_at > ?) = ?")
        values += [call.now, int(coming)]
    return call.page(
        "SELECT r.id AS reminder_id, e.id AS event_id, e.title, e.starts_at, r.minutes_before "
        "FROM calendar_reminders r JOIN calendar_events e ON e.id = r.event_id "
        f"WHERE {' AND '.join(conditions)} ORDER BY e.starts_at, r.minutes_before DESC, r.id",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(CALENDAR, "POST")
def add_reminder(call: Call, event_id: int, minutes_before: int) -> Json:
    """Let yourself be reminded of an event.

    Args:
        event_id: the event, your own or one that you are invited to.
        minutes_before: how long before it starts, at most four weeks.

    Returns:
        {reminder_id, event_id, minutes_before}.
    """
    event = seen_event(call, event_id)
    if not 0 <= minutes_before <= _MOST_MINUTES:
        raise ApiError(422, f"minutes_before goes from 0 to {_MOST_MINUTES}")
    if event["starts_at"] < call.now:
        raise ApiError(409, "this event has begun already")
    known = "SELECT id FROM calendar_reminders WHERE person_id = ? AND event_id = ? AND minutes_before = ?"
    if call.value(known, call.person_id, event_id, minutes_before) is not None:
        raise ApiError(409, f"there is a reminder {minutes_before} minutes before this event already")
    reminder_id = call.insert(
        "calendar_reminders", person_id=call.person_id, event_id=event_id, minutes_before=minutes_before
    )
    return {"reminder_id": reminder_id, "event_id": event_id, "minutes_before": minutes_before}


@api(CALENDAR, "DELETE")
def remove_reminder(call: Call, reminder_id: int) -> Json:
    """Remove a reminder.

    Args:
        reminder_id: the reminder.

    Returns:
        {message}.
    """
    call.mine("calendar_reminders", reminder_id, "reminder", "list_reminders shows them")
    call.delete("calendar_reminders", reminder_id)
    return {"message": "the reminder is removed"}


# ---- free time ---------------------------------------------------------------------------------------


@api(CALENDAR, "GET")
def list_busy_times(
    call: Call, email: str, from_day: Date, to_day: Date, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Show when somebody is busy, without saying why: their own events, and those they have accepted or may
    come to. Cancelled events keep nobody busy.

    Args:
        email: the email address of the person; your own works too.
        from_day: the first day.
        to_day: the last day.
        page_index: which page, counted from 0.
        page_limit: times a page, at most 20.

    Returns:
        A list of {starts_at, ends_at}, by start.
    """
    if to_day < from_day:
        raise ApiError(422, "to_day must not lie before from_day")
    return call.page(
        f"SELECT DISTINCT e.starts_at, e.ends_at FROM calendar_events e WHERE {_BUSY} "
        "ORDER BY e.starts_at, e.ends_at",
        call.person(email)["id"],
        from_day,
        f"{to_day}T23:59:59",
        page_index=page_index,
        page_limit=page_limit,
    )


@api(CALENDAR, "GET")
def find_free_times(
    call: Call,
    from_day: Date,
    to_day: Date,
    minutes: int,
    earliest: Clock = _MORNING,
    latest: Clock = _EVENING,
    attendees: list[str] | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find times that are free for you and for others (see list_busy_times), on each day from the earliest
    to the latest hour, and not in the past.

    Args:
        from_day: the first day.
        to_day: the last day, at most 31 days in all.
        minutes: how long the time must be at least.
        earliest: when it may start on a day.
        latest: when it must have ended on a day.
        attendees: the email addresses of other people who must be free, too.
        page_index: which page, counted from 0.
        page_limit: times a page, at most 20.

    Returns:
        A list of {starts_at, ends_at}, each as long as nobody is busy, by start.
    """
    first, last = datetime.date.fromisoformat(from_day), datetime.date.fromisoformat(to_day)
    if not 0 <= (last - first).days < _MOST_SEARCHED_DAYS:
        raise ApiError(422, f"from from_day to to_day it must be 1 to {_MOST_SEARCHED_DAYS} days")
    if minutes < 1:
        raise ApiError(422, "minutes must be at least 1")
    if page_index < 0 or not 1 <= page_limit <= MOST_PAGE_ROWS:
        raise ApiError(422, f"page_index counts from 0, and page_limit goes from 1 to {MOST_PAGE_ROWS}")
    people = [call.person_id, *(call.person(email)["id"] for email in attendees or [])]
    busy = sorted(
        (row["starts_at"], row["ends_at"])
        for person_id in dict.fromkeys(people)
        for row in call.rows(
            f"SELECT e.starts_at, e.ends_at FROM calendar_events e WHERE {_BUSY}",
            person_id,
            from_day,
            f"{to_day}T23:59:59",
        )
    )
    found = []
    for number in range((last - first).days + 1):
        day = (first + datetime.timedelta(days=number)).isoformat()
        begin = max(f"{day}T{earliest}:00", call.now)
        found += _gaps(busy, begin, f"{day}T{latest}:00", minutes)
    return found[page_index * page_limit :][:page_limit]


def _gaps(busy: list[tuple[str, str]], begin: str, end: str, minutes: int) -> list[dict[str, Json]]:
    """Return the times between ``begin`` and ``end`` in which nothing is, ``busy`` being sorted by start."""
    found = []
    for starts_at, ends_at in [*busy, (end, end)]:
        until = min(starts_at, end)
        if seconds(begin, until) >= 60 * minutes:
            found.append({"starts_at": begin, "ends_at": until})
        begin = max(begin, ends_at)
    return found
