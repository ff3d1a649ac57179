"""Meet two colleagues at the first time at which all three are free."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Plan the offsite",
    "Talk about the budget",
    "Prepare the fair",
    "Look at the survey",
    "Choose a venue",
)


def prepare(draft: Draft) -> Plan:
    """Clear the first day, then let each of the three keep the others from meeting in a part of it."""
    offset, minutes = draft.number(1, 9), draft.choose([40, 45, 50, 60, 75, 90])
    people = [draft.me, *draft.sample(draft.life.relations["coworker"], 2)]
    first, last = draft.life.day(offset), draft.life.day(offset + 6)
    cancel_events(draft, first, first)
    late = draft.number(0, 2) * 15
    begin = datetime.datetime.fromisoformat(f"{first}T09:00:00")

    def busy(host: Person, start: int, end: int, guest: Person | None = None, answer: str = "") -> None:
        since = begin + datetime.timedelta(minutes=start)
        add_event(draft, host, "Busy", since, end - start, {guest: answer} if guest else {})

    manager = draft.life.relations["manager"][0]
    busy(draft.me, 0, 120 + late)
    busy(people[1], 120 + late, 220 + late)
    # Half an hour is free for all, which is too short; what somebody declined keeps nobody busy.
    busy(people[2], 250 + late, 350 + late)
    busy(manager, 340 + late, 450, people[1], "declined")
    if draft.number(0, 1):
        busy(manager, 350 + late, 540, people[2], "tentative")
    start = _first_common(draft, [person.id for person in people], offset, minutes)
    title = draft.choose(_TITLES)
    event = added(
        "calendar_events",
        calendar_id=draft.value("SELECT min(id) FROM calendar_calendars WHERE person_id = ?", draft.me.id),
        title=title,
        starts_at=start.isoformat(),
        ends_at=(start + datetime.timedelta(minutes=minutes)).isoformat(),
    )
    return Plan(
        parameters={
            "title": title,
            "emails": [person.email for person in people[1:]],
            "minutes": minutes,
            "first": first,
            "last": last,
        },
        words={"emails": " and ".join(f"{person.name} ({person.email})" for person in people[1:])},
        must=[
            event,
            *(added("calendar_attendees", event_id=event, person_id=person.id) for person in people[1:]),
        ],
        near_misses=[
            NearMiss(
                "when the supervisor is free", edit=("minutes=minutes, attendees=emails", "minutes=minutes")
            ),
            NearMiss(
                "when one of them is not",
                edit=("minutes=minutes, attendees=emails", "minutes=minutes, attendees=emails[:1]"),
            ),
            NearMiss("for too short a time", edit=("minutes=minutes, att", "minutes=25, att")),
            NearMiss("without them", edit=("isoformat(), attendees=emails", "isoformat()")),
            NearMiss("a later time", edit=("times[0]", "times[1]")),
            NearMiss(
                "all of the free time", edit=("ends_at=ends_at.isoformat()", "ends_at=times[0]['ends_at']")
            ),
        ],
    )


def _first_common(draft: Draft, people: list[int], offset: int, minutes: int) -> datetime.datetime:
    """Try minute after minute, from 9:00 to 18:00 of each day."""
    busy = [
        (row["starts_at"], row["ends_at"])
        for person in people
        for row in draft.rows(
            "SELECT starts_at, ends_at FROM calendar_events e LEFT JOIN calendar_attendees a "
            "ON a.event_id = e.id AND a.person_id = ?1 AND a.answer IN ('accepted', 'tentative') "
            "WHERE NOT e.cancelled AND (e.person_id = ?1 OR a.id IS NOT NULL)",
            person,
        )
    ]
    for day in range(offset, offset + 7):
        morning = datetime.datetime.fromisoformat(f"{draft.life.day(day)}T09:00:00")
        for minute in range(540 - minutes + 1):
            start = morning + datetime.timedelta(minutes=minute)
            begin, end = start.isoformat(), (start + datetime.timedelta(minutes=minutes)).isoformat()
            if not any(begin < until and since < end for since, until in busy):
                return start
    raise AssertionError("nobody is busy for a whole week")


def gold(title: str, emails: list[str], minutes: int, first: str, last: str) -> None:
    """Ask the calendar for free times, and take the first one."""
    import datetime

    token = login("calendar")
    times = every_page(
        apis.calendar.find_free_times,
        access_token=token,
        from_day=first,
        to_day=last,
        minutes=minutes,
        attendees=emails,
    )
    print(times)

    starts_at = datetime.datetime.fromisoformat(times[0]["starts_at"])
    ends_at = starts_at + datetime.timedelta(minutes=minutes)
    apis.calendar.create_event(
        access_token=token,
        title=title,
        starts_at=starts_at.isoformat(),
        ends_at=ends_at.isoformat(),
        attendees=emails,
    )
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="meet_when_all_are_free",
    split="test_normal",
    phrasings=(
        "Find the earliest time from {first} to {last}, between 9:00 and 18:00, at which {emails} and I are "
        'all free for {minutes} minutes. Create an event "{title}" of that length there in my oldest '
        "calendar "
        "and invite them.",
        'I need to meet {emails} for {minutes} minutes: "{title}". Take the first time that suits all three '
        "of us, not before {first}, not after {last}, and within 9:00 to 18:00 of a day. Put it into my "
        "calendar (the default, oldest one) and invite both.",
    ),
    prepare=prepare,
    gold=gold,
)
