"""Send a text message to everybody of one relation who has not written for some time."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.phone_seed import add_message
from palaestra.envs.apps.skills import apis, every_page, login

_TEXTS = (
    "How are you? We have not spoken for ages!",
    "Let us have a coffee soon.",
    "Do you have time for a call this week?",
    "I was thinking of you today. All well?",
)
_WORDS = {"friend": "friends", "coworker": "coworkers"}


def prepare(draft: Draft) -> Plan:
    """Let some write on the day or later, others before it, and everybody get something from me."""
    relation, offset = draft.choose(list(_WORDS)), -draft.number(6, 20)
    day, before = draft.life.day(offset), draft.life.day(offset - 1)
    text = draft.choose(_TEXTS)
    people = draft.life.relations[relation]
    silent = draft.sample(people, draft.number(2, 4))
    for row in draft.rows(
        "SELECT id, person_id FROM phone_messages WHERE receiver_id = ? AND sent_at >= ?", draft.me.id, day
    ):
        if row["person_id"] in [person.id for person in people]:
            draft.update("phone_messages", row["id"], sent_at=f"{before}T10:{row['id'] % 60:02}:00")
    wrote = [person for person in people if person not in silent]
    for place, person in enumerate(wrote):
        moment = f"{day}T08:12:00" if place == 0 else draft.moment(offset, -1)
        add_message(draft, person, draft.me, "Did you see my email?", moment)
    add_message(draft, silent[0], draft.me, "See you!", f"{before}T21:48:00")
    late = datetime.datetime.fromisoformat(draft.life.day(-1)) + datetime.timedelta(hours=11)
    add_message(draft, draft.me, silent[1], "Are you there?", late.isoformat())
    return Plan(
        parameters={"relation": relation, "day": day, "text": text},
        words={"relation": _WORDS[relation]},
        must=[added("phone_messages", receiver_id=person.id, text=same_text(text)) for person in silent],
        near_misses=[
            NearMiss("everybody of the relation", edit=(" not in wrote:", " != '':")),
            NearMiss("of any relation", edit=(", relation=relation", "")),
            NearMiss(
                "the day itself is too early",
                edit=(
                    "for message in messages}",
                    "for message in messages if message['sent_at'][:10] > day}",
                ),
            ),
            NearMiss("own messages count", edit=("direction='incoming', ", "")),
            NearMiss("by voice", edit=("apis.phone.send_message", "apis.phone.send_voice_message")),
        ],
    )


def gold(relation: str, day: str, text: str) -> None:
    """Compare contacts with messages."""
    token = login("phone")
    contacts = every_page(apis.phone.search_contacts, access_token=token, relation=relation)
    messages = every_page(apis.phone.search_messages, access_token=token, direction="incoming", from_date=day)
    print(contacts, messages)

    wrote = {message["phone_number"] for message in messages}
    for contact in contacts:
        if contact["phone_number"] not in wrote:
            apis.phone.send_message(access_token=token, phone_number=contact["phone_number"], text=text)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="text_the_silent",
    split="train",
    phrasings=(
        'Send the text message "{text}" to each of my {relation} (as my phone\'s contacts say) from whom I '
        "have got no text message on {day} or later.",
        "Some of my {relation} have not sent me a single text message since {day} (that day included). Look "
        'the relation up in my contacts, and text each of them: "{text}"',
    ),
    prepare=prepare,
    gold=gold,
)
