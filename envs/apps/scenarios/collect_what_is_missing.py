"""Record who has paid a debt of a group already, and ask the others for it, with a text message."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_debt, add_group
from palaestra.envs.apps.services.payments_seed import add_payment
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Glider flight", "Mushroom walk", "Ice rink", "Drum course", "Vineyard tour", "Ceramics course")
_TEXTS = (
    "I have just sent you a request, please have a look.",
    "Could you please pay your share this week?",
    "A small request for money is on its way to you.",
)


def prepare(draft: Draft) -> Plan:
    """Let some debtors have paid with the note, one with another note, and somebody who owes nothing."""
    name, text = draft.choose(_NAMES), draft.choose(_TEXTS)
    friends = draft.sample(draft.life.relations["friend"], 7)
    paid, unpaid = friends[: draft.number(1, 2)], friends[2 : 2 + draft.number(2, 3)]
    group = add_group(draft, draft.me, name, (draft.me, *friends[:6]), draft.moment(-60, -50))
    # No two debts are alike: an amount alone must not tell whose it is.
    base = draft.number(6, 30) * 100
    debts = {person: base + 137 * place for place, person in enumerate([*paid, *unpaid])}
    for person, cents in debts.items():
        add_debt(draft, group, person, draft.me, cents, draft.moment(-40, -20))
    add_debt(draft, group, draft.me, friends[5], 2140, draft.moment(-40, -20))
    for person in paid:
        add_payment(draft, person, draft.me, debts[person], name, draft.moment(-8, -1))
    add_payment(
        draft,
        unpaid[0],
        draft.me,
        debts[unpaid[0]],
        draft.choose(["taxi", "lunch", "book"]),
        draft.moment(-8, -1),
    )
    add_payment(draft, friends[6], draft.me, base, name, draft.moment(-8, -1))
    must: list[Expected] = [
        added(
            "expenses_settlements",
            group_id=group,
            person_id=person.id,
            receiver_id=draft.me.id,
            amount=debts[person],
            settled_on=draft.life.day(0),
        )
        for person in paid
    ]
    for person in unpaid:
        must.append(added("payments_requests", payer_id=person.id, amount=debts[person], note=name))
        must.append(added("phone_messages", receiver_id=person.id, text=same_text(text)))
    return Plan(
        parameters={"group": name, "text": text},
        must=must,
        near_misses=[
            NearMiss(
                "any payment counts", edit=("query=group, direction='received'", "direction='received'")
            ),
            NearMiss("nothing counts as paid", edit=("if debt['email'] in paid:", "if False:")),
            NearMiss("everybody gets the text", edit=("    else:\n", "    if True:\n")),
            NearMiss("requests without a note", edit=(", note=group)", ")")),
            NearMiss("nothing recorded", edit=("apis.expenses.record_settlement(", "dict(")),
            NearMiss("one debtor less", edit=("for debt in debts:", "for debt in debts[1:]:")),
        ],
    )


def gold(group: str, text: str) -> None:
    """Compare debts with payments, then record or ask."""
    me = apis.supervisor.show_profile()["email"]
    expenses_token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=expenses_token, query=group)
    group_id = next(one["group_id"] for one in groups if one["name"] == group)
    balances = every_page(apis.expenses.list_balances, access_token=expenses_token, group_id=group_id)
    debts = [one for one in balances if one["balance"] > 0]
    print(debts)

    payments_token = login("payments")
    payments = every_page(
        apis.payments.list_payments, access_token=payments_token, query=group, direction="received"
    )
    paid = {payment["sender"]["email"] for payment in payments}
    print(paid)

    phone_token = login("phone")
    for debt in debts:
        email, amount = debt["email"], debt["balance"]
        if debt["email"] in paid:
            apis.expenses.record_settlement(
                access_token=expenses_token,
                group_id=group_id,
                payer_email=email,
                receiver_email=me,
                amount=amount,
            )
        else:
            apis.payments.request_money(access_token=payments_token, email=email, amount=amount, note=group)
            contact = apis.phone.search_contacts(access_token=phone_token, query=email)[0]
            number = contact["phone_number"]
            apis.phone.send_message(access_token=phone_token, phone_number=number, text=text)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="collect_what_is_missing",
    split="test_challenge",
    phrasings=(
        'Some people owe me money in the expenses group "{group}". Whoever of them has paid me in the '
        'payments app with the note "{group}" has paid exactly that: record it in the group as settled '
        "today. Of each of the others request what they owe there in the payments app, with the note "
        '"{group}", and send them the text message "{text}"',
        'Go through what I am owed in the group "{group}" of the expenses app. If a debtor has sent me a '
        'payment noted "{group}" in the payments app, it was for the whole debt; enter it as a settlement '
        "from them to me, with today's date. If not, send them a request for the debt by the payments app, "
        'noted "{group}", and text them: "{text}"',
    ),
    prepare=prepare,
    gold=gold,
)
