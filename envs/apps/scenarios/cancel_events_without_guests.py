"""Cancel the events of some days to which everybody who was invited has said no."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
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
    cancel_events(draft, draft.life.day(first - 1), draft.life.day(last + 1))
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
        event = _event(draft, title, offset, answers)
        if answers and set(answers) == {no} and offset <= last:
            must.append(changed("calendar_events", event, cancelled=1))
    # The same of a friend, where the supervisor alone was invited and has declined.
    friend = draft.choose(draft.life.relations["friend"])
    add_event(draft, friend, _TITLES[0], f"{draft.life.day(first + 1)}T15:00", 120, {draft.me: no})
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


def _event(draft: Draft, title: str, offset: int, answers: list[str]) -> int:
    guests = draft.sample(draft.life.known, len(answers))
    start = f"{draft.life.day(offset)}T{draft.number(9, 19):02}:00"
    return add_event(draft, draft.me, title, start, 120, dict(zip(guests, answers, strict=True)))


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
