"""Move the events that the supervisor organizes on a day to a later one."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Haircut", "Car inspection", "Run in the park", "Bank", "Guitar lesson", "Pick up the parcel")


def prepare(draft: Draft) -> Plan:
    """Clear the day, then fill it with events of the supervisor and one of a friend."""
    offset, weeks = draft.number(2, 9), draft.number(1, 3)
    day = draft.life.day(offset)
    cancel_events(draft, day, day)
    titles = draft.sample(_TITLES, draft.number(3, 5))
    mine = [
        add_event(draft, draft.me, title, f"{day}T{9 + 2 * place:02}:00", 15 * draft.number(2, 5))
        for place, title in enumerate(titles)
    ]
    add_event(draft, draft.me, titles[0], f"{draft.life.day(offset + 1)}T09:00", 60)
    friend = draft.choose(draft.life.relations["friend"])
    add_event(draft, friend, "Lunch", f"{day}T12:00", 60, {draft.me: "accepted"})
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
