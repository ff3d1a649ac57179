"""Add reminders to the events of some days that have a place and no reminder yet."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_PLACES = ("Old Mill", "Town Hall", "Harbor Street 4", "Station café", "West Park", "Library, room 3")
_TITLES = (
    "Parents' evening",
    "Flea market",
    "Interview",
    "Tax advice",
    "Exhibition",
    "Blood donation",
    "Sewing course",
    "Debate",
    "Allotment meeting",
    "Guided tour",
)


def prepare(draft: Draft) -> Plan:
    """Cancel what is there, then write events of all kinds."""
    first, minutes = draft.number(2, 8), draft.choose([20, 40, 45, 90, 120, 150])
    last = first + draft.number(3, 7)
    cancel_events(draft, draft.life.day(first - 1), draft.life.day(last + 1))
    titles, places = draft.sample(_TITLES, len(_TITLES)), draft.sample(_PLACES, len(_PLACES))
    middle = draft.number(first, last)
    wanted = [
        _event(draft, titles[0], first, places[0]),
        _event(draft, titles[1], last, places[1]),
        _event(draft, titles[2], middle, places[2], answer="accepted"),
    ]
    if draft.number(0, 1):
        wanted.append(_event(draft, titles[3], middle, places[3]))
    _event(draft, titles[4], middle, "")
    _event(draft, titles[5], middle, places[4], answer="pending")
    _event(draft, titles[6], last + 1, places[5])
    # It still goes on when the first day begins.
    _event(draft, titles[7], first - 1, places[0], long=True)
    reminded = _event(draft, titles[8], middle, places[1])
    draft.insert("calendar_reminders", person_id=draft.me.id, event_id=reminded, minutes_before=30)
    _event(draft, titles[9], middle, places[2], answer="declined")
    return Plan(
        parameters={"first": draft.life.day(first), "last": draft.life.day(last), "minutes": minutes},
        must=[added("calendar_reminders", event_id=event, minutes_before=minutes) for event in wanted],
        near_misses=[
            NearMiss("without a place as well", edit=("and event['place'] ", "")),
            NearMiss("pending ones as well", edit=("(None, 'accepted')", "(None, 'accepted', 'pending')")),
            NearMiss("own ones alone", edit=("(None, 'accepted')", "(None,)")),
            NearMiss("what began before", edit=("event['starts_at'] >= first", "True")),
            NearMiss("a second reminder", edit=("event['event_id'] not in reminded", "True")),
            NearMiss("a minute off", edit=("minutes_before=minutes", "minutes_before=minutes + 1")),
        ],
    )


def _event(draft: Draft, title: str, offset: int, place: str, answer: str = "", long: bool = False) -> int:
    """Write an event of the supervisor, or one of a friend with the supervisor's answer to it."""
    friend = draft.choose(draft.life.relations["friend"])
    owner, answers = (friend, {draft.me: answer}) if answer else (draft.me, {})
    start = f"{draft.life.day(offset)}T{draft.number(7, 18):02}:00"
    return add_event(draft, owner, title, start, 25 * 60 if long else 60, answers, place=place)


def gold(first: str, last: str, minutes: int) -> None:
    """Look at the events one by one."""
    token = login("calendar")
    events = every_page(apis.calendar.search_events, access_token=token, from_day=first, to_day=last)
    reminders = every_page(apis.calendar.list_reminders, access_token=token)
    reminded = [reminder["event_id"] for reminder in reminders]
    print(events, reminded)

    for event in events:
        mine = event["my_answer"] in (None, "accepted")
        if mine and event["place"] and event["starts_at"] >= first and event["event_id"] not in reminded:
            apis.calendar.add_reminder(access_token=token, event_id=event["event_id"], minutes_before=minutes)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="remind_of_events_outside",
    split="test_normal",
    phrasings=(
        "From {first} to {last} (both included) I am on the way a lot. For each event that starts on one of "
        "these days, is not cancelled, has a place, and is my own or one whose invitation I have accepted, "
        "add a reminder {minutes} minutes before; but none where I have a reminder already.",
        "Look through my calendar: events that start from {first} up to and including {last}, that name a "
        "place, and that I organize or have accepted. Those without any reminder of mine get one, {minutes} "
        "minutes before they start. Leave out cancelled events.",
    ),
    prepare=prepare,
    gold=gold,
)
