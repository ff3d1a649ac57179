"""Cancel the events of some days to which everybody who was invited has said no."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Bowling",
    "Brunch at my place",
    "Museum visit",
    "Bike ride",
    "Card games",
    "Cooking together",
    "Sauna",
    "Badminton",
    "Walk by the lake",
)


def prepare(draft: Draft) -> Plan:
    """Cancel what is there, then write events with all kinds of answers."""
    first = draft.number(2, 7)
    last = first + draft.number(4, 8)
    for row in draft.rows(
        "SELECT id FROM calendar_events WHERE ends_at >= ? AND starts_at < ?",
        draft.life.day(first - 1),
        draft.life.day(last + 2),
    ):
        draft.update("calendar_events", row["id"], cancelled=1)
    no, yes, open_, perhaps = "declined", "accepted", "pending", "tentative"
    kinds = [
        (first, [no, no, no]),
        (last, [no]),
        (draft.number(first, last), [no, no, open_]),
        (draft.number(first, last), [no, yes, no]),
        (draft.number(first, last), [perhaps, no]),
        (draft.number(first, last), []),
        (last + 1, [no, no]),
    ]
    if draft.number(0, 1):
        kinds.append((draft.number(first, last), [no, no]))
    must = []
    for title, (offset, answers) in zip(draft.sample(_TITLES, len(kinds)), kinds, strict=True):
        event = _event(draft, draft.me.id, title, offset, answers)
        if answers and set(answers) == {no} and offset <= last:
            must.append(changed("calendar_events", event, cancelled=1))
    # The same of a friend, where the supervisor alone was invited and has declined.
    friend = draft.choose(draft.life.relations["friend"])
    theirs = _event(draft, friend.id, _TITLES[0], first + 1, [])
    draft.insert(
        "calendar_attendees",
        event_id=theirs,
        person_id=draft.me.id,
        answer=no,
        invited_at=draft.moment(-4, -1),
    )
    return Plan(
        parameters={"first": draft.life.day(first), "last": draft.life.day(last)},
        must=must,
        near_misses=[
            NearMiss("those without an invitation, too", edit=("answers and ", "")),
            NearMiss("as soon as one declines", edit=("all((", "any((")),
            NearMiss("whoever has not accepted", edit=("answer == 'declined'", "answer != 'accepted'")),
            NearMiss("later ones as well", edit=(", to_day=last", "")),
            NearMiss(
                "deletes the guests instead",
                edit=(
                    "apis.calendar.cancel_event(access_token=token, event_id=event['event_id'])",
                    "apis.calendar.remove_attendee(access_token=token, event_id=event['event_id'], "
                    "email=shown['attendees'][0]['email'])",
                ),
            ),
        ],
    )


def _event(draft: Draft, person: int, title: str, offset: int, answers: list[str]) -> int:
    day, hour = draft.life.day(offset), draft.number(9, 19)
    event = draft.insert(
        "calendar_events",
        person_id=person,
        calendar_id=draft.value("SELECT min(id) FROM calendar_calendars WHERE person_id = ?", person),
        title=title,
        starts_at=f"{day}T{hour:02}:00:00",
        ends_at=f"{day}T{hour + 2:02}:00:00",
        created_at=draft.moment(-20, -8),
        updated_at=draft.moment(-7, -5),
    )
    for guest, answer in zip(draft.sample(draft.life.known, len(answers)), answers, strict=True):
        draft.insert(
            "calendar_attendees",
            event_id=event,
            person_id=guest.id,
            answer=answer,
            invited_at=draft.moment(-4, -1),
        )
    return event


def gold(first: str, last: str) -> None:
    """Look at the answers to each event."""
    token = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=token, from_day=first, to_day=last, organized_by_me=True
    )
    print(events)

    for event in events:
        shown = apis.calendar.show_event(access_token=token, event_id=event["event_id"])
        answers = [guest["answer"] for guest in shown["attendees"]]
        print(event["title"], answers)
        if answers and all(answer == "declined" for answer in answers):
            apis.calendar.cancel_event(access_token=token, event_id=event["event_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="cancel_events_without_guests",
    split="dev",
    phrasings=(
        "Cancel those of my own events from {first} to {last} (both included) to which I have invited people "
        "and all of them have declined. If anybody has not answered yet, is unsure or comes, the event "
        "stays; "
        "so do events without invitations.",
        "Nobody wants to come? Go through the events that I organize from {first} up to and including "
        "{last}. "
        "Where somebody is invited and every single person has declined, cancel the event. Leave the rest: "
        "events with other answers, events to which nobody is invited, events of others.",
    ),
    prepare=prepare,
    gold=gold,
)
