"""Say how much was paid to others for one kind of thing since a day."""

from __future__ import annotations

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_payment
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Put payments for the thing on both sides of the day, sent and received."""
    thing = draft.choose(["coffee", "taxi", "groceries", "pizza", "lunch"])
    day = draft.life.day(-draft.number(30, 90))
    friends = draft.life.relations["friend"]
    # As many cents as no other sum of them has, so that a payment left out shows.
    sent = [draft.number(3, 30) * 100 + 2**place for place in range(draft.number(5, 6))]
    for amount in sent:
        add_payment(draft, draft.me, draft.choose(friends), amount, thing, draft.moment(-29, -1))
    for _ in range(draft.number(2, 4)):
        add_payment(
            draft, draft.me, draft.choose(friends), draft.number(300, 2900), thing, draft.moment(-200, -95)
        )
        add_payment(
            draft, draft.choose(friends), draft.me, draft.number(300, 2900), thing, draft.moment(-29, -1)
        )
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
