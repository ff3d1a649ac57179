"""Ask everybody who owes the supervisor in a group for that much, by a request for money."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense, add_group, add_settlement
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Kayak tour", "Sauna evening", "Museum weekend", "Wine tasting", "Climbing course", "Lake house")


def prepare(draft: Draft) -> Plan:
    """Found a group in which the supervisor paid, and one member has paid back already."""
    name = draft.choose(_NAMES)
    members = draft.sample(draft.life.relations["friend"], draft.number(4, 5))
    group = add_group(draft, draft.me, name, (draft.me, *members), draft.moment(-60, -50), kind="trip")
    owed = dict.fromkeys((person.id for person in members), 0)
    for what in draft.sample(["Tickets", "Food", "Petrol", "Rental", "Drinks"], 3):
        share = draft.number(5, 40) * 50
        cents = share * (1 + len(members))
        add_expense(draft, group, draft.me, what, cents, [draft.me, *members], draft.moment(-40, -20))
        owed = {person: so_far + share for person, so_far in owed.items()}
    paid = members[0]
    add_settlement(draft, group, paid, draft.me, owed.pop(paid.id), draft.moment(-9, -9))
    note = f"Your share of {name}"
    request = (
        "apis.payments.request_money(access_token=token, email=one['email'], amount=one['balance'], "
        "note=note)"
    )
    return Plan(
        parameters={"name": name, "note": note},
        must=[
            added("payments_requests", payer_id=person, amount=amount, note=note)
            for person, amount in owed.items()
        ],
        near_misses=[
            NearMiss("one person less", edit=("for one in debts:", "for one in debts[1:]:")),
            NearMiss("without the note", edit=(", note=note", "")),
            NearMiss("a cent too much", edit=("amount=one['balance']", "amount=one['balance'] + 0.01")),
            NearMiss("asks twice", edit=(request, f"{request}\n    {request}")),
            NearMiss("pays them instead", edit=("apis.payments.request_money", "apis.payments.send_payment")),
        ],
    )


def gold(name: str, note: str) -> None:
    """Look up the debts, then ask for them."""
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    balances = every_page(apis.expenses.list_balances, access_token=token, group_id=group_id)
    debts = [one for one in balances if one["balance"] > 0]
    print(debts)

    token = login("payments")
    for one in debts:
        apis.payments.request_money(access_token=token, email=one["email"], amount=one["balance"], note=note)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="request_shares_of_group",
    split="train",
    phrasings=(
        'Some people still owe me money in the expenses group "{name}". Send each of them a request in the '
        'payments app for exactly what they owe me there, with the note "{note}".',
        'Collect my money for "{name}": look in that group of the expenses app who owes me how much, and '
        'request that amount from each by the payments app. The note should be "{note}".',
    ),
    prepare=prepare,
    gold=gold,
)
