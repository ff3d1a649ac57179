"""Pay those who asked by text message for a share, unless they took it back."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_transfer
from palaestra.envs.apps.services.phone_seed import add_message
from palaestra.envs.apps.skills import apis, every_page, login

_THINGS = ("the museum", "the boat", "the theater", "the karting", "the brewery tour", "the fireworks")
_NOTES = ("my share", "as you asked", "thank you", "we are even")


def prepare(draft: Draft) -> Plan:
    """Let friends ask for money, for this thing and others, and one take it back."""
    thing, note = draft.choose(_THINGS), draft.choose(_NOTES)
    friends = draft.sample(draft.life.relations["friend"], 6)
    owed = {person: draft.number(310, 4900) for person in friends[: draft.number(2, 4)]}
    for person, cents in owed.items():
        _ask(draft, person, draft.me, thing, cents)
    _ask(draft, friends[0], draft.me, f"{thing} cafe", draft.number(310, 900))
    _ask(draft, friends[4], draft.me, f"{thing} cafe", draft.number(310, 900))
    _ask(draft, friends[5], draft.me, thing, draft.number(310, 4900))
    _say(draft, friends[5], draft.me, f"Never mind {thing}, you paid for the drinks.", -1)
    _say(draft, friends[0], draft.me, f"Never mind {thing} cafe, it was my turn.", -1)
    _ask(draft, draft.me, friends[4], thing, draft.number(310, 4900))
    add_transfer(draft, draft.me, 40_000, draft.moment(-3, -2))
    return Plan(
        parameters={"thing": thing, "note": note},
        must=[
            added("payments_payments", receiver_id=person.id, amount=cents, note=note)
            for person, cents in owed.items()
        ],
        near_misses=[
            NearMiss("what was taken back as well", edit=(" not in settled", " != ''")),
            NearMiss("without a note", edit=(", note=note", "")),
            NearMiss(
                "the last one alone",
                edit=(
                    "for message in asked:",
                    "asked = [one for one in asked if one['phone_number'] not in "
                    "settled]\nfor message in asked[:1]:",
                ),
            ),
            NearMiss("for similar things as well", edit=("f'Your share of {thing} is $'", "thing")),
            NearMiss("a dollar too much", edit=("amount = float(", "amount = 1 + float(")),
            NearMiss("asks for it", edit=("apis.payments.send_payment", "apis.payments.request_money")),
        ],
    )


def _ask(draft: Draft, sender: Person, receiver: Person, thing: str, cents: int) -> None:
    _say(draft, sender, receiver, f"Your share of {thing} is ${cents / 100:.2f}", -draft.number(3, 9))


def _say(draft: Draft, sender: Person, receiver: Person, text: str, day: int) -> None:
    add_message(draft, sender, receiver, text, draft.moment(day, day), read=draft.number(0, 1))


def gold(thing: str, note: str) -> None:
    """Read who asked and who took it back, then pay."""
    token = login("phone")
    asked = every_page(
        apis.phone.search_messages,
        access_token=token,
        query=f"Your share of {thing} is $",
        direction="incoming",
    )
    back = every_page(
        apis.phone.search_messages, access_token=token, query=f"Never mind {thing},", direction="incoming"
    )
    contacts = every_page(apis.phone.search_contacts, access_token=token, relation="friend")
    print(asked, back)

    settled = {message["phone_number"] for message in back}
    emails = {contact["phone_number"]: contact["email"] for contact in contacts}
    token = login("payments")
    for message in asked:
        amount = float(message["text"].split("$")[1])
        if message["phone_number"] not in settled:
            email = emails[message["phone_number"]]
            apis.payments.send_payment(access_token=token, email=email, amount=amount, note=note)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="pay_shares_asked_by_text",
    split="train",
    phrasings=(
        'Friends have texted me "Your share of {thing} is $..." lately. Pay each of them that amount in the '
        'payments app, with the note "{note}", except those who have texted me "Never mind {thing}, ..." '
        "since. My contacts know their email addresses.",
        'Look through my text messages for friends who wrote to me "Your share of {thing} is $...", and send '
        'each of them exactly that by the payments app, with the note "{note}". Leave out whoever wrote '
        '"Never mind {thing}, ..." to me later. You find email addresses in my contacts.',
    ),
    prepare=prepare,
    gold=gold,
)
