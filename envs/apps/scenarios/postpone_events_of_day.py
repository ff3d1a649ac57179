"""Move the events that the supervisor organizes on a day to a later one."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Haircut", "Car inspection", "Run in the park", "Bank", "Guitar lesson", "Pick up the parcel")


def prepare(draft: Draft) -> Plan:
    """Clear the day, then fill it with events of the supervisor and one of a friend."""
    offset, weeks = draft.number(2, 9), draft.number(1, 3)
    day = draft.life.day(offset)
    for row in draft.rows("SELECT id FROM calendar_events WHERE substr(starts_at, 1, 10) = ?", day):
        draft.update("calendar_events", row["id"], cancelled=1)
    titles = draft.sample(_TITLES, draft.number(3, 5))
    mine = [_event(draft, draft.me.id, title, day, 9 + 2 * place) for place, title in enumerate(titles)]
    _event(draft, draft.me.id, titles[0], draft.life.day(offset + 1), 9)
    friend = draft.choose(draft.life.relations["friend"])
    theirs = _event(draft, friend.id, "Lunch", day, 12)
    draft.insert(
        "calendar_attendees",
        event_id=theirs,
        person_id=draft.me.id,
        answer="accepted",
        invited_at=draft.moment(-6, -2),
    )
    later = draft.life.day(offset + 7 * weeks)
    return Plan(
        parameters={"day": day, "weeks": weeks},
        words={"weeks": "one week" if weeks == 1 else f"{weeks} weeks"},
        must=[
            changed(
                "calendar_events",
                event,
                starts_at=draft.value("SELECT starts_at FROM calendar_events WHERE id = ?", event).replace(
                    day, later
                ),
                ends_at=draft.value("SELECT ends_at FROM calendar_events WHERE id = ?", event).replace(
                    day, later
                ),
            )
            for event in mine
        ],
        near_misses=[
            NearMiss("a day too far", edit=("days=7 * weeks", "days=7 * weeks + 1")),
            NearMiss("all later ones as well", edit=(", to_day=day", "")),
            NearMiss("one less", edit=("for event in events:", "for event in events[:-1]:")),
            NearMiss(
                "cancels them",
                edit=(
                    "for event in events:",
                    "for event in events:\n    apis.calendar.cancel_event(access_token=token, "
                    "event_id=event['event_id'])\nfor event in []:",
                ),
            ),
        ],
    )


def _event(draft: Draft, person: int, title: str, day: str, hour: int) -> int:
    start = datetime.datetime.fromisoformat(day) + datetime.timedelta(hours=hour)
    return draft.insert(
        "calendar_events",
        person_id=person,
        calendar_id=draft.value("SELECT id FROM calendar_calendars WHERE person_id = ? ORDER BY id", person),
        title=title,
        starts_at=start.isoformat(),
        ends_at=(start + datetime.timedelta(minutes=draft.number(2, 5) * 15)).isoformat(),
        created_at=draft.moment(-20, -8),
        updated_at=draft.moment(-7, -7),
    )


def gold(day: str, weeks: int) -> None:
    """Look them up, then move them one by one."""
    import datetime

    token = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=token, from_day=day, to_day=day, organized_by_me=True
    )
    print(events)

    shift = datetime.timedelta(days=7 * weeks)
    for event in events:
        starts_at = datetime.datetime.fromisoformat(event["starts_at"]) + shift
        ends_at = datetime.datetime.fromisoformat(event["ends_at"]) + shift
        apis.calendar.update_event(
            access_token=token,
            event_id=event["event_id"],
            starts_at=starts_at.isoformat(),
            ends_at=ends_at.isoformat(),
        )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="postpone_events_of_day",
    split="train",
    phrasings=(
        "I am ill on {day}. Move all events that I organize on that day by {weeks}, to the same times of "
        "day. Leave the events of other people alone.",
        "Postpone everything of my own in the calendar on {day} by exactly {weeks}; same times, same "
        "lengths. What others have invited me to stays as it is.",
    ),
    prepare=prepare,
    gold=gold,
)
