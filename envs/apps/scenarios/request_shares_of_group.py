"""Ask everybody who owes the supervisor in a group for that much, by a request for money."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Kayak tour", "Sauna evening", "Museum weekend", "Wine tasting", "Climbing course", "Lake house")


def prepare(draft: Draft) -> Plan:
    """Found a group in which the supervisor paid, and one member has paid back already."""
    name = draft.choose(_NAMES)
    members = draft.sample(draft.life.relations["friend"], draft.number(4, 5))
    group = draft.insert(
        "expenses_groups", person_id=draft.me.id, name=name, kind="trip", created_at=draft.moment(-60, -50)
    )
    for person in (draft.me, *members):
        draft.insert("expenses_members", group_id=group, person_id=person.id)
    owed = dict.fromkeys((person.id for person in members), 0)
    for description in draft.sample(["Tickets", "Food", "Petrol", "Rental", "Drinks"], 3):
        for person, share in _expense(draft, group, description, [draft.me, *members]).items():
            if person in owed:
                owed[person] += share
    paid = members[0]
    draft.insert(
        "expenses_settlements",
        group_id=group,
        person_id=paid.id,
        receiver_id=draft.me.id,
        amount=owed.pop(paid.id),
        settled_on=draft.life.day(-9),
        created_at=draft.moment(-9, -9),
    )
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


def _expense(draft: Draft, group: int, description: str, people: list) -> dict[int, int]:
    share = draft.number(5, 40) * 50
    expense = draft.insert(
        "expenses_expenses",
        group_id=group,
        person_id=draft.me.id,
        payer_id=draft.me.id,
        description=description,
        amount=share * len(people),
        spent_on=draft.life.day(-draft.number(20, 40)),
        created_at=draft.moment(-19, -12),
        updated_at=draft.moment(-11, -10),
    )
    for person in people:
        draft.insert("expenses_shares", expense_id=expense, person_id=person.id, amount=share)
    return {person.id: share for person in people}


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
