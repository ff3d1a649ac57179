"""Split the expenses of a day anew, without somebody who was not there."""

from __future__ import annotations

from palaestra.envs.apps.changes import Expected, changed, removed
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense, add_group, equal_shares
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Ski hut", "Sailing camp", "Film festival", "House boat", "Cycling tour", "Island week")
_THINGS = (
    "Lift passes",
    "Supper",
    "Boat hire",
    "Ice cream",
    "Bus tickets",
    "Breakfast",
    "Museum",
    "Firewood",
)


def prepare(draft: Draft) -> Plan:
    """Found a group, and let the supervisor pay on the day: with the absent person, and without."""
    name, day = draft.choose(_NAMES), draft.life.day(-draft.number(3, 25))
    friends = draft.sample(draft.life.relations["friend"], 5)
    absent, rest = friends[0], friends[1:]
    group = add_group(draft, draft.me, name, (draft.me, *friends), draft.moment(-60, -50), kind="trip")
    things = draft.sample(_THINGS, len(_THINGS))
    must = _expense(draft, group, draft.me, things[0], day, [draft.me, *friends], absent)
    must += _expense(draft, group, draft.me, things[1], day, [draft.me, absent, *rest[:2]], absent)
    if draft.number(0, 1):
        must += _expense(draft, group, draft.me, things[2], day, [absent, *rest[1:]], absent)
    _expense(draft, group, draft.me, things[3], day, [draft.me, *rest], absent)
    _expense(draft, group, rest[0], things[4], day, [draft.me, *friends], absent)
    for offset in (-26, -2):
        _expense(draft, group, draft.me, things[5], draft.life.day(offset), [draft.me, *friends], absent)
    other = add_group(draft, draft.me, f"{name} 2", (draft.me, absent), draft.moment(-60, -50))
    _expense(draft, other, draft.me, things[6], day, [draft.me, absent], absent)
    return Plan(
        parameters={"name": name, "day": day, "email": absent.email},
        words={"person": absent.name},
        must=must,
        near_misses=[
            NearMiss("all days", edit=(", from_date=day, to_date=day", "")),
            NearMiss("all groups", edit=("group_id=group_id, ", "")),
            NearMiss(
                "the payer pays for the absent one",
                edit=("participant_emails=others", "participant_emails=[me]"),
            ),
            NearMiss("one less", edit=("for expense in expenses:", "for expense in expenses[1:]:")),
            NearMiss(
                "deletes them",
                edit=(
                    "resplit_equally(access_token=token, expense_id=expense['expense_id'], "
                    "participant_emails=others)",
                    "delete_expense(access_token=token, expense_id=expense['expense_id'])",
                ),
            ),
        ],
    )


def _expense(
    draft: Draft, group: int, payer: Person, thing: str, day: str, people: list[Person], absent: Person
) -> list[Expected]:
    """Write an expense; return what changes when the absent person no longer has a share in it."""
    amount = draft.number(900, 9000)
    expense = add_expense(draft, group, payer, thing, amount, people, f"{day}T21:00:00")
    new = equal_shares(amount, [person for person in people if person is not absent])
    amounts = {person.id: share for person, share in new.items()}
    return [
        changed("expenses_shares", row["id"], amount=amounts[row["person_id"]])
        if row["person_id"] in amounts
        else removed("expenses_shares", row["id"])
        for row in draft.rows("SELECT id, person_id FROM expenses_shares WHERE expense_id = ?", expense)
    ]


def gold(name: str, day: str, email: str) -> None:
    """Find the expenses, then split each between those who remain."""
    me = apis.supervisor.show_profile()["email"]
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    print(group_id)

    expenses = every_page(
        apis.expenses.list_expenses,
        access_token=token,
        group_id=group_id,
        payer_email=me,
        participant_email=email,
        from_date=day,
        to_date=day,
    )
    for expense in expenses:
        shown = apis.expenses.show_expense(access_token=token, expense_id=expense["expense_id"])
        others = [share["email"] for share in shown["shares"] if share["email"] != email]
        apis.expenses.resplit_equally(
            access_token=token, expense_id=expense["expense_id"], participant_emails=others
        )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="split_without_absent",
    split="train",
    phrasings=(
        '{person} ({email}) was not with us on {day}. In the expenses group "{name}", take every expense of '
        "that day which I paid and in which they have a share, and split it anew, equally between the others "
        "who share it. Leave all other expenses.",
        'On {day} {person} ({email}) stayed at home. Correct the expenses of that day in the group "{name}", '
        "those that I paid: where that person has a share, split the amount equally between the other "
        "participants of that same expense. Nothing else changes.",
    ),
    prepare=prepare,
    gold=gold,
)
