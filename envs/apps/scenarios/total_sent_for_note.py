"""Say how much was paid to others for one kind of thing since a day."""

from __future__ import annotations

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Put payments for the thing on both sides of the day, sent and received."""
    thing = draft.choose(["coffee", "taxi", "groceries", "pizza", "lunch"])
    day = draft.life.day(-draft.number(30, 90))
    friends = draft.life.relations["friend"]
    # As many cents as no other sum of them has, so that a payment left out shows.
    sent = [draft.number(3, 30) * 100 + 2**place for place in range(draft.number(5, 6))]
    for amount in sent:
        _pay(draft, draft.me.id, draft.choose(friends).id, amount, thing, (-29, -1))
    for _ in range(draft.number(2, 4)):
        _pay(draft, draft.me.id, draft.choose(friends).id, draft.number(300, 2900), thing, (-200, -95))
        _pay(draft, draft.choose(friends).id, draft.me.id, draft.number(300, 2900), thing, (-29, -1))
    total = draft.value(
        "SELECT sum(amount) FROM payments_payments "
        "WHERE person_id = ? AND instr(note, ?) AND created_at >= ?",
        draft.me.id,
        thing,
        day,
    )
    return Plan(
        parameters={"thing": thing, "day": day},
        answer=total / 100,
        near_misses=[
            NearMiss("what came in as well", edit=("direction='sent', ", "")),
            NearMiss("whatever the day", edit=(", from_date=day", "")),
            NearMiss(
                "without the last payment", edit=("for payment in payments", "for payment in payments[1:]")
            ),
            NearMiss(
                "tells somebody, too",
                extra=(
                    "apis.payments.add_comment(access_token=token, payment_id=payments[0]['payment_id'], "
                    "text='ok')"
                ),
            ),
        ],
    )


def _pay(draft: Draft, sender: int, receiver: int, amount: int, note: str, days: tuple[int, int]) -> None:
    draft.insert(
        "payments_payments",
        person_id=sender,
        receiver_id=receiver,
        amount=amount,
        note=note,
        created_at=draft.moment(*days),
    )


def gold(thing: str, day: str) -> None:
    """Add them up."""
    token = login("payments")
    payments = every_page(
        apis.payments.list_payments, access_token=token, direction="sent", query=thing, from_date=day
    )
    print(payments)

    total = sum(payment["amount"] for payment in payments)
    apis.supervisor.complete_task(answer=round(total, 2))


SCENARIO = Scenario(
    name="total_sent_for_note",
    split="train",
    phrasings=(
        "How much money have I sent to others in the payments app for {thing} since {day}, that day "
        "included? Count the payments that have it in the note, and answer with the amount in dollars.",
        "I want to know what {thing} cost me: add up all payments that I sent with that word in the note "
        "from {day} (included) until now, and give me the sum in dollars.",
    ),
    prepare=prepare,
    gold=gold,
)
