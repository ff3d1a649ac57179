"""Say who paid most in a group, and how much."""

from __future__ import annotations

from collections import Counter

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense, add_group
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Rowing weekend", "Choir trip", "Flat party", "Cooking class", "Mountain hut", "Harvest festival")
_THINGS = ("Food", "Petrol", "Drinks", "Tickets", "Rental", "Breakfast", "Parking", "Decoration", "Ice cream")


def prepare(draft: Draft) -> Plan:
    """Found a group in which one member pays often, and another most of all at once but less in sum."""
    name = draft.choose(_NAMES)
    members = [draft.me, *draft.sample(draft.life.relations["friend"], 4)]
    group = add_group(draft, draft.me, name, members, draft.moment(-60, -50), kind="trip")
    often, once = draft.sample(members[1:], 2)
    # The largest single expense is half of what the other one pays in three.
    unit = draft.number(10, 20) * 100
    paid = [(often, unit + 11), (often, unit + 7), (often, unit + 3), (once, 2 * unit), (draft.me, unit // 2)]
    paid += [(person, draft.number(3, 9) * 100) for person in members[1:] if person not in (often, once)]
    total: Counter[str] = Counter()
    for (payer, amount), description in zip(
        draft.sample(paid, len(paid)), draft.sample(_THINGS, len(paid)), strict=True
    ):
        total[payer.name] += amount
        add_expense(draft, group, payer, description, amount, members, draft.moment(-40, -20))
    best = total.most_common(1)[0][0]
    return Plan(
        parameters={"name": name},
        answer=f"{best}: {total[best] / 100:.2f}",
        near_misses=[
            NearMiss("counts expenses", edit=("+ expense['amount']", "+ 1")),
            NearMiss(
                "the single largest",
                edit=(
                    "paid[payer] = paid.get(payer, 0) + expense['amount']",
                    "paid[payer] = max(paid.get(payer, 0), expense['amount'])",
                ),
            ),
            NearMiss("who paid least", edit=("max(paid", "min(paid")),
            NearMiss("the name alone", edit=(": {paid[best]:.2f}", "")),
        ],
    )


def gold(name: str) -> None:
    """Add up by payer."""
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    expenses = every_page(apis.expenses.list_expenses, access_token=token, group_id=group_id)
    print(expenses)

    paid = {}
    for expense in expenses:
        payer = expense["payer"]["name"]
        paid[payer] = paid.get(payer, 0) + expense["amount"]
    best = max(paid, key=lambda payer: paid[payer])
    apis.supervisor.complete_task(answer=f"{best}: {paid[best]:.2f}")


SCENARIO = Scenario(
    name="who_paid_most",
    split="dev",
    phrasings=(
        'Who has paid most in total in the expenses group "{name}", and how much? Answer with the full '
        'name and the dollars, as "Ada Stone: 12.50".',
        'Add up what each member of the group "{name}" in the expenses app has paid. Tell me the full name '
        'of the one with the largest sum and the sum in dollars, in this form: "Ada Stone: 12.50".',
    ),
    prepare=prepare,
    gold=gold,
)
