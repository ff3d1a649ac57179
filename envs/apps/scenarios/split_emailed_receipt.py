"""Enter the receipt of an email as a shared expense, and text everybody what they carry."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, added, same_text
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.email_seed import deliver
from palaestra.envs.apps.services.expenses_seed import add_group
from palaestra.envs.apps.skills import apis, every_page, login

_GROUPS = ("Canal boat", "Allotment", "Poker round", "Choir", "Five-a-side", "Wine club")
_THINGS = ("Spring dinner", "Barbecue", "Anniversary", "Season opening", "Harvest lunch", "Closing night")
_ITEMS = ("Bread", "Cheese", "Drinks", "Fish", "Salad", "Cake", "Candles", "Ice", "Coffee", "Fruit")


def prepare(draft: Draft) -> Plan:
    """Found the group, and let one member email the receipt and another an older one."""
    name, thing = draft.choose(_GROUPS), draft.choose(_THINGS)
    friends = draft.sample(draft.life.relations["friend"], 5)
    members = friends[: draft.number(3, 4)]
    payer, people = members[0], [draft.me, *members]
    group = add_group(draft, payer, name, people, draft.moment(-90, -80))
    add_group(draft, friends[0], f"{name} 2", [draft.me, *friends], draft.moment(-90, -80))
    day = draft.life.day(-draft.number(3, 12))
    share = draft.number(320, 1900)
    costs = _parts(draft, share * len(people), draft.number(3, 5))
    _receipt(draft, payer, people, thing, day, costs)
    _receipt(draft, members[1], people, thing, draft.life.day(-40), _parts(draft, 8000, 3))
    expense = added(
        "expenses_expenses",
        group_id=group,
        payer_id=payer.id,
        description=thing,
        amount=share * len(people),
        spent_on=day,
    )
    must: list[Expected] = [expense]
    must += [added("expenses_shares", expense_id=expense, person_id=one.id, amount=share) for one in people]
    text = f"Your share of {thing} is ${share / 100:.2f}"
    must += [
        added("phone_messages", receiver_id=one.id, text=same_text(text)) for one in members if one != payer
    ]
    return Plan(
        parameters={"payer": payer.name, "thing": thing, "group": name},
        must=must,
        near_misses=[
            NearMiss("I paid", edit=(", payer_email=email['sender_email']", "")),
            NearMiss("spent today", edit=(", spent_on=day", "")),
            NearMiss("the older receipt", edit=("one['sender'] == payer", "one['sender'] != payer")),
            NearMiss("without the first item", edit=("total = 0", "total = -100")),
            NearMiss(
                "texts the payer as well",
                edit=("(me, email['sender_email'])", "(me, '')"),
            ),
            NearMiss("texts the total", edit=("is ${share['amount']:.2f}", "is ${total / 100:.2f}")),
        ],
    )


def _parts(draft: Draft, total: int, count: int) -> list[int]:
    """Return ``count`` amounts that sum to ``total``."""
    parts = [draft.number(100, total // count) for _ in range(count - 1)]
    return [*parts, total - sum(parts)]


def _receipt(
    draft: Draft, payer: Person, people: list[Person], thing: str, day: str, costs: list[int]
) -> None:
    items = draft.sample(_ITEMS, len(costs))
    lines = [f"{item}: ${cents / 100:.2f}" for item, cents in zip(items, costs, strict=True)]
    body = "\n".join(["Hi all, this is what I paid.", f"Day: {day}", *lines])
    recipients = [one for one in people if one != payer]
    deliver(draft, payer, recipients, f"Receipt: {thing}", body, f"{day}T21:55:00")


def gold(payer: str, thing: str, group: str) -> None:
    """Read the receipt, enter it, then write to the others."""
    me = apis.supervisor.show_profile()["email"]
    token = login("email")
    emails = every_page(apis.email.search_emails, access_token=token, query=f"Receipt: {thing}")
    email_id = next(one["email_id"] for one in emails if one["sender"] == payer)
    email = apis.email.show_email(access_token=token, email_id=email_id)
    print(email["body"])

    total = 0
    day = ""
    for line in email["body"].split("\n"):
        if ": $" in line:
            total += round(float(line.split("$")[1]) * 100)
        if line.startswith("Day: "):
            day = line[5:]
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=group)
    group_id = next(one["group_id"] for one in groups if one["name"] == group)
    expense = apis.expenses.add_expense(
        access_token=token,
        group_id=group_id,
        description=thing,
        amount=total / 100,
        payer_email=email["sender_email"],
        spent_on=day,
    )
    print(expense)

    token = login("phone")
    for share in expense["shares"]:
        if share["email"] not in (me, email["sender_email"]):
            contact = apis.phone.search_contacts(access_token=token, query=share["email"])[0]
            text = f"Your share of {thing} is ${share['amount']:.2f}"
            apis.phone.send_message(access_token=token, phone_number=contact["phone_number"], text=text)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="split_emailed_receipt",
    split="test_normal",
    phrasings=(
        '{payer} has emailed me "Receipt: {thing}". Add its total as one expense "{thing}" to the group '
        '"{group}" of the expenses app: paid by {payer} on the day that the receipt tells, split equally '
        "between all members. Then send every other member, but not {payer}, the text message "
        '"Your share of {thing} is $AMOUNT", with the amount in dollars and two decimals, as $12.50.',
        'Enter the receipt that {payer} sent in the email "Receipt: {thing}" into the expenses app: in the '
        'group "{group}", one expense called "{thing}", its amount the sum of the items, {payer} as the '
        "payer, the day from the receipt, shared equally by everybody in the group. Afterwards text each "
        'member except {payer} and me "Your share of {thing} is $AMOUNT" (two decimals, such as $12.50).',
    ),
    prepare=prepare,
    gold=gold,
)
