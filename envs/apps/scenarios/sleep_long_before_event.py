"""Turn off the alarms of a weekday, and set one for the first event of a day."""

from __future__ import annotations

import datetime
import json

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Brunch", "Swimming", "Flea market", "Eye doctor", "Yoga", "Museum", "Driving lesson", "Tennis")


def prepare(draft: Draft) -> Plan:
    """Clear the day, then fill it: an event to come, earlier ones cancelled and declined, and a later one."""
    offset, minutes = draft.number(2, 9), draft.choose([30, 45, 60, 75, 90])
    day = draft.life.day(offset)
    cancel_events(draft, day, day)
    titles = draft.sample(_TITLES, 5)
    friends = draft.sample(draft.life.relations["friend"], 2)
    hour = draft.number(11, 14)
    owner = draft.choose([draft.me, friends[0]])
    _event(draft, owner, titles[0], f"{day}T{hour:02}:00:00", "accepted")
    _event(draft, draft.me, titles[1], f"{day}T{hour + 2:02}:15:00", "accepted")
    _event(draft, friends[1], titles[2], f"{day}T{hour - 1:02}:20:00", "declined")
    _event(draft, draft.me, titles[3], f"{day}T{hour - 2:02}:30:00", "accepted", cancelled=1)
    _event(draft, draft.me, titles[4], f"{draft.life.day(offset + 1)}T07:00:00", "accepted")
    weekday = datetime.date.fromisoformat(day).strftime("%A").lower()
    alarms = draft.rows("SELECT * FROM phone_alarms WHERE person_id = ? AND enabled", draft.me.id)
    begin = datetime.datetime.fromisoformat(f"{day}T{hour:02}:00:00") - datetime.timedelta(minutes=minutes)
    must: list[Expected] = [
        changed("phone_alarms", alarm["id"], enabled=0)
        for alarm in alarms
        if weekday in json.loads(alarm["days"])
    ]
    must.append(added("phone_alarms", time=f"{begin:%H:%M}", label=titles[0]))
    return Plan(
        parameters={"day": day, "minutes": minutes},
        must=must,
        near_misses=[
            NearMiss("a cancelled event", edit=("to_day=day", "to_day=day, cancelled=None")),
            NearMiss("a declined event", edit=("to_day=day", "to_day=day, declined=None")),
            NearMiss("all alarms off", edit=(", day=weekday", "")),
            NearMiss("when the event starts", edit=("timedelta(minutes=minutes)", "timedelta(0)")),
            NearMiss("every week", edit=(", label=event['title']", ", label=event['title'], days=[weekday]")),
            NearMiss(
                "deletes the alarms",
                edit=(
                    "apis.phone.update_alarm(access_token=token, alarm_id=alarm['alarm_id'], enabled=False)",
                    "apis.phone.delete_alarm(access_token=token, alarm_id=alarm['alarm_id'])",
                ),
            ),
        ],
    )


def _event(draft: Draft, owner: Person, title: str, begin: str, answer: str, cancelled: int = 0) -> None:
    answers = {} if owner == draft.me else {draft.me: answer}
    add_event(draft, owner, title, begin, 10 * draft.number(3, 6), answers, cancelled=cancelled)


def gold(day: str, minutes: int) -> None:
    """Find the first event, then see to the alarms."""
    import datetime

    token = login("calendar")
    events = every_page(apis.calendar.search_events, access_token=token, from_day=day, to_day=day)
    event = events[0]
    print(events)

    begin = datetime.datetime.fromisoformat(event["starts_at"])
    time = (begin - datetime.timedelta(minutes=minutes)).strftime("%H:%M")
    weekday = begin.strftime("%A").lower()
    token = login("phone")
    alarms = every_page(apis.phone.list_alarms, access_token=token, enabled=True, day=weekday)
    for alarm in alarms:
        apis.phone.update_alarm(access_token=token, alarm_id=alarm["alarm_id"], enabled=False)

    apis.phone.create_alarm(access_token=token, time=time, label=event["title"])
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="sleep_long_before_event",
    split="test_normal",
    phrasings=(
        "I want to sleep long on {day}. Turn off (but do not delete) all alarms of my phone that ring on "
        "that day of the week, and set a new one that rings once, {minutes} minutes before my first event "
        "of that day in the calendar, with the event's title as its label. Cancelled and declined events "
        "do not count.",
        "Set my phone for {day}: look up which event that I organize or have accepted, and that is not "
        "cancelled, starts first on that day, and set a one-time alarm {minutes} minutes before it, labelled "
        "with its title. Switch off, without deleting them, the alarms that ring on this weekday.",
    ),
    prepare=prepare,
    gold=gold,
)
