"""Cancel what falls into a journey that was booked by email, tell the guests, and write a task."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import Expected, added, changed, same_text
from palaestra.envs.apps.life import CITIES
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.services.email_seed import deliver
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Book club",
    "Bike repair",
    "Cooking together",
    "Chess",
    "Run by the river",
    "Language exchange",
    "Quiz evening",
    "Plant swap",
)


def prepare(draft: Draft) -> Plan:
    """Book a flight and rebook it; let events lie in, around and outside of the journey."""
    offset = draft.number(4, 12)
    begin = _moment(draft, offset, draft.number(11, 14))
    end = _moment(draft, offset + draft.number(3, 5), draft.number(11, 15))
    city, other = draft.sample(CITIES, 2)
    list_name = draft.choose(["Errands", "Home", "Work"])
    _book(draft, city, begin - datetime.timedelta(days=1), end + datetime.timedelta(days=1), -6)
    _book(draft, city, begin, end, -2)
    _book(draft, other, begin + datetime.timedelta(days=30), end + datetime.timedelta(days=30), -1)
    around = datetime.timedelta(days=2)
    cancel_events(draft, (begin - around).date().isoformat(), (end + around).date().isoformat())
    friends = draft.sample(draft.life.relations["friend"], 6)
    titles = draft.sample(_TITLES, len(_TITLES))
    hour = datetime.timedelta(hours=1)
    inside = [begin - hour, begin + 30 * hour, end - hour][: draft.number(2, 3)]
    must: list[Expected] = []
    for place, start in enumerate(inside):
        guests = friends[place : place + draft.number(1, 2)]
        answers = {**dict.fromkeys(guests, "accepted"), friends[5]: "declined"}
        event = add_event(draft, draft.me, titles[place], start, 120, answers)
        must.append(changed("calendar_events", event, cancelled=1))
        text = f"{titles[place]} on {start:%Y-%m-%d} is off, sorry!"
        must += [added("phone_messages", receiver_id=one.id, text=same_text(text)) for one in guests]
    add_event(draft, draft.me, titles[3], begin - 4 * hour, 120, {friends[0]: "accepted"})
    add_event(draft, draft.me, titles[4], end + hour, 120, {friends[1]: "pending"})
    add_event(
        draft, friends[4], titles[5], begin + 26 * hour, 120, {draft.me: "accepted", friends[3]: "accepted"}
    )
    add_event(draft, draft.me, titles[6], begin + 50 * hour, 120, {friends[2]: "accepted"}, cancelled=1)
    must.append(
        added(
            "todo_tasks",
            list_id=draft.value(
                "SELECT id FROM todo_lists WHERE person_id = ? AND name = ?", draft.me.id, list_name
            ),
            title=f"Check in for {city}",
            due_date=draft.life.day(offset - 1),
            created_by=draft.me.id,
        )
    )
    return Plan(
        parameters={"city": city, "list_name": list_name},
        must=must,
        near_misses=[
            NearMiss("the first booking", edit=("emails[0]", "emails[-1]")),
            NearMiss(
                "whole days",
                edit=("if event['starts_at'] < end and event['ends_at'] > begin:", "if True:"),
            ),
            NearMiss("those who declined as well", edit=("if guest['answer'] != 'declined'", "if True")),
            NearMiss("events of others", edit=(", organized_by_me=True", "")),
            NearMiss("due on the day itself", edit=("timedelta(days=1)", "timedelta(0)")),
            NearMiss("no event is cancelled", edit=("apis.calendar.cancel_event(", "dict(")),
        ],
    )


def _moment(draft: Draft, offset: int, hour: int) -> datetime.datetime:
    return datetime.datetime.fromisoformat(draft.life.day(offset)) + datetime.timedelta(hours=hour)


def _book(draft: Draft, city: str, begin: datetime.datetime, end: datetime.datetime, day: int) -> None:
    body = f"Dear guest,\n\nDeparture: {begin.isoformat()}\nReturn: {end.isoformat()}\n\nEnjoy your flight!"
    moment = draft.moment(day, day)
    deliver(draft, "Skylark Airways", [draft.me], f"Your flight to {city}", body, moment, read=day < -3)


def gold(city: str, list_name: str) -> None:
    """Read the latest booking, then go through the events and write the task."""
    import datetime

    token = login("email")
    emails = every_page(apis.email.search_emails, access_token=token, query=f"Your flight to {city}")
    body = apis.email.show_email(access_token=token, email_id=emails[0]["email_id"])["body"]
    details = dict(line.split(": ") for line in body.split("\n") if ": " in line)
    begin, end = details["Departure"], details["Return"]
    print(begin, end)

    calendar_token = login("calendar")
    events = every_page(
        apis.calendar.search_events,
        access_token=calendar_token,
        from_day=begin[:10],
        to_day=end[:10],
        organized_by_me=True,
    )
    print(events)

    phone_token = login("phone")
    for event in events:
        if event["starts_at"] < end and event["ends_at"] > begin:
            text = f"{event['title']} on {event['starts_at'][:10]} is off, sorry!"
            event_id = event["event_id"]
            guests = apis.calendar.show_event(access_token=calendar_token, event_id=event_id)["attendees"]
            apis.calendar.cancel_event(access_token=calendar_token, event_id=event_id)
            for guest in [guest for guest in guests if guest["answer"] != "declined"]:
                contact = apis.phone.search_contacts(access_token=phone_token, query=guest["email"])[0]
                number = contact["phone_number"]
                apis.phone.send_message(access_token=phone_token, phone_number=number, text=text)

    token = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=token)
    list_id = next(one["list_id"] for one in lists if one["name"] == list_name)
    due = datetime.date.fromisoformat(begin[:10]) - datetime.timedelta(days=1)
    apis.todo.create_task(
        access_token=token, list_id=list_id, title=f"Check in for {city}", due_date=due.isoformat()
    )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="away_for_a_flight",
    split="test_challenge",
    phrasings=(
        'Skylark Airways has emailed me about my flight: "Your flight to {city}". The latest of these emails '
        "counts. Cancel every event that I organize and that overlaps the time between departure and return; "
        'for each of them, text all who are invited and have not declined: "TITLE on YYYY-MM-DD is off, '
        'sorry!", with its title and the day on which it starts. Then add the task "Check in for {city}" to '
        'my todo list "{list_name}", due on the day before the departure.',
        'I am away, see the newest email "Your flight to {city}" from Skylark Airways. Whatever event of my '
        "own overlaps the journey, from its departure to its return, must be cancelled, and each of its "
        "guests, except those who declined, gets the text message "
        '"TITLE on YYYY-MM-DD is off, sorry!" (the event\'s title, and the day on which it was to start). I '
        'also need a task "Check in for {city}" in the todo list "{list_name}", due one day before I leave.',
    ),
    prepare=prepare,
    gold=gold,
)
