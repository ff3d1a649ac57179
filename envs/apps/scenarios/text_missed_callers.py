"""Text the contacts whose calls were missed and to whom nobody has spoken since."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_TEXTS = (
    "Sorry, I missed your call. I will call you tonight.",
    "I saw that you called. Is it urgent?",
    "I could not answer. Please write to me instead.",
    "You called? I am free after six.",
)


def prepare(draft: Draft) -> Plan:
    """Clear the log of the last days, then let people call: in vain, twice, again later, or from nowhere."""
    offset = -draft.number(2, 8)
    day = draft.life.day(offset)
    text = draft.choose(_TEXTS)
    for row in draft.rows(
        "SELECT id FROM phone_calls WHERE person_id = ? AND started_at >= ?", draft.me.id, day
    ):
        draft.delete("phone_calls", row["id"])
    people = draft.sample(draft.life.known, 10)
    missed = people[: draft.number(2, 4)]
    for hour, person in enumerate(missed, start=9):
        _call(draft, person, "incoming", f"{day}T{hour:02}:10:00")
    _call(draft, missed[0], "incoming", f"{day}T17:30:00")
    _call(draft, missed[1], "outgoing", f"{day}T18:30:00")
    _call(draft, missed[1], "outgoing", f"{day}T08:00:00", seconds=90)
    _call(draft, people[5], "incoming", f"{day}T11:45:00")
    _call(draft, people[5], "outgoing", f"{day}T19:05:00", seconds=draft.number(30, 900))
    _call(draft, people[6], "incoming", f"{day}T12:50:00")
    _call(draft, people[6], "incoming", f"{draft.life.day(-1)}T20:15:00", seconds=draft.number(30, 900))
    _call(draft, people[7], "outgoing", f"{day}T14:20:00")
    _call(draft, people[8], "incoming", f"{draft.life.day(offset - 1)}T22:10:00")
    _call(draft, draft.life.strangers[-1], "incoming", f"{day}T15:15:00")
    return Plan(
        parameters={"day": day, "text": text},
        must=[added("phone_messages", receiver_id=person.id, text=same_text(text)) for person in missed],
        near_misses=[
            NearMiss("everybody who called in vain", edit=("if call['answered']:", "if False:")),
            NearMiss("who was called in vain", edit=("elif call['direction'] == 'incoming':", "else:")),
            NearMiss("strangers as well", edit=("if call['name'] is not None", "if True")),
            NearMiss("twice where there were two", edit=("if number in seen:", "if number == '':")),
            NearMiss("from an earlier day on", edit=(", from_date=day", "")),
        ],
    )


def _call(draft: Draft, other: Person, direction: str, moment: str, seconds: int = 0) -> None:
    draft.insert(
        "phone_calls",
        person_id=draft.me.id,
        other_id=other.id,
        direction=direction,
        answered=int(seconds > 0),
        seconds=seconds,
        started_at=moment,
    )


def gold(day: str, text: str) -> None:
    """Go through the log, the latest call first."""
    token = login("phone")
    calls = every_page(apis.phone.list_calls, access_token=token, from_date=day)
    print(calls)

    seen = set()
    waiting = []
    for call in [call for call in calls if call["name"] is not None]:
        number = call["phone_number"]
        if number in seen:
            continue
        if call["answered"]:
            seen.add(number)
        elif call["direction"] == "incoming":
            seen.add(number)
            waiting.append(number)
    for number in waiting:
        apis.phone.send_message(access_token=token, phone_number=number, text=text)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="text_missed_callers",
    split="dev",
    phrasings=(
        "Look at the calls in my phone since {day} (that day included). To every contact of mine whose call "
        "I missed and with whom I have not had an answered call after that, in either direction, send one "
        'text message: "{text}"',
        "Which of my contacts have tried to call me on {day} or later without getting me, and have not "
        'spoken to me on the phone since their attempt? Text each of them once "{text}" - nobody who is not '
        "among my contacts.",
    ),
    prepare=prepare,
    gold=gold,
)
