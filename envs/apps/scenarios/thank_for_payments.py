"""Like the payments that were received for something, and thank for those that are large."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.payments_seed import add_payment
from palaestra.envs.apps.skills import apis, every_page, login

_NOTES = ("birthday", "moving help", "theater", "camping", "wedding present", "market stall")
_THANKS = ("Thank you so much!", "That was kind of you.", "Many thanks!", "You are the best.")


def prepare(draft: Draft) -> Plan:
    """Receive payments for it before and after the day, one liked already, and send one oneself."""
    note, thanks = draft.choose(_NOTES), draft.choose(_THANKS)
    days, limit = draft.number(15, 40), draft.number(20, 50)
    friends = draft.sample(draft.life.relations["friend"], 6)
    kinds = [(True, True), (True, False), (True, draft.number(0, 1) == 1), (False, True), (True, False)]
    must = []
    for place, (friend, (recent, large)) in enumerate(zip(friends, draft.sample(kinds, 5), strict=False)):
        cents = limit * 100 + draft.number(0, 4000) if large else draft.number(500, limit * 100 - 1)
        payment = add_payment(
            draft,
            friend,
            draft.me,
            cents,
            note,
            draft.moment(1 - days, -1) if recent else draft.moment(-days - 30, -days - 1),
        )
        if recent:
            must.append(added("payments_likes", payment_id=payment))
        if recent and large:
            must.append(added("payments_comments", payment_id=payment, text=thanks))
        # Somebody else likes it, which does not count.
        if place == 0:
            draft.insert(
                "payments_likes", person_id=friends[1].id, payment_id=payment, created_at=draft.moment(-1, -1)
            )
    for sender, receiver, other in ((draft.me, friends[5], note), (friends[5], draft.me, "other things")):
        add_payment(draft, sender, receiver, limit * 100 + 100, other, draft.moment(1 - days, -1))
    return Plan(
        parameters={"note": note, "day": draft.life.day(-days), "limit": limit, "thanks": thanks},
        must=must,
        near_misses=[
            NearMiss("older ones too", edit=(", from_date=day", "")),
            NearMiss("the own one too", edit=("direction='received', ", "")),
            NearMiss("thanks for all", edit=("if payment['amount'] >= limit:", "if True:")),
            NearMiss("thanks for none", edit=("if payment['amount'] >= limit:", "if False:")),
            NearMiss("whatever it was for", edit=("query=note, ", "")),
        ],
    )


def gold(note: str, day: str, limit: int, thanks: str) -> None:
    """Look them up, then like and thank."""
    token = login("payments")
    payments = every_page(
        apis.payments.list_payments, access_token=token, direction="received", query=note, from_date=day
    )
    print(payments)

    for payment in payments:
        apis.payments.like_payment(access_token=token, payment_id=payment["payment_id"])
        if payment["amount"] >= limit:
            apis.payments.add_comment(access_token=token, payment_id=payment["payment_id"], text=thanks)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="thank_for_payments",
    split="dev",
    phrasings=(
        'Like all payments that I received for "{note}" since {day}, and write the comment "{thanks}" on '
        "each of "
        "those of ${limit} or more.",
        'Since {day} people have sent me money with the note "{note}". Please like each of these payments; '
        "where "
        'it was at least ${limit}, also comment: "{thanks}"',
    ),
    prepare=prepare,
    gold=gold,
)
