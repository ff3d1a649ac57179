"""After a trip: collect the debts, put the receipts away, and write down what it cost."""

from __future__ import annotations

import json

from palaestra.envs.apps.changes import Match, added, changed, same_text
from palaestra.envs.apps.prepared_files import clear, file, folder
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense, add_group, add_settlement
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Canal boat", "Ghost tour", "Wine road", "Salt mine", "Pilgrim path", "Dune camp", "Steam train")
_THINGS = ("Fuel", "Lodge", "Food", "Guide", "Train", "Museum", "Drinks", "Rental")


def prepare(draft: Draft) -> Plan:
    """Let the supervisor have paid, others as well; some are even. The receipts lie in a folder."""
    name, tag = draft.choose(_NAMES), draft.choose(["travel", "money", "memories"])
    people = [draft.me, *draft.sample(draft.life.relations["friend"], draft.number(4, 5))]
    group = add_group(draft, draft.me, name, people, draft.moment(-60, -50), kind="trip")
    clear(draft, "/receipts")
    owed, total, names = dict.fromkeys((one.id for one in people), 0), 0, []
    # One other person has paid as well, but less than the supervisor.
    for place, thing in enumerate(draft.sample(_THINGS, 5)):
        payer, share = people[1] if place == 4 else draft.me, draft.number(6, 30) * 50
        share = 100 if place == 4 else share
        add_expense(draft, group, payer, thing, share * len(people), people, draft.moment(-40, -20))
        total += share * len(people)
        if payer is draft.me:
            names.append(f"{thing.lower()}.txt")
            file(draft, f"/receipts/{name}/{names[-1]}", f"{thing}: ${share * len(people) / 100:.2f}")
        for person in people:
            owed[person.id] += share if payer is draft.me else 0
        if payer is not draft.me:
            owed[payer.id] -= share
    file(draft, "/receipts/shoes.txt", "Shoes: $80.00")
    even = people[-1]
    add_settlement(draft, group, even, draft.me, owed[even.id], draft.moment(-9, -9))
    size = draft.value(
        "SELECT sum(length(content)) FROM files_entries WHERE parent_id = ?",
        folder(draft, f"/receipts/{name}"),
    )
    members = {f"{name}/", *(f"{name}/{one}" for one in names)}
    return Plan(
        parameters={"name": name, "tag": tag},
        must=[
            *(
                added("payments_requests", payer_id=one.id, amount=owed[one.id], note=name)
                for one in people[1:-1]
            ),
            added(
                "files_entries",
                parent_id=folder(draft, "/receipts"),
                name=f"{name}.zip",
                content=Match(
                    f"an archive of {sorted(members)}",
                    lambda text: {one["path"] for one in json.loads(text)} == members,
                ),
                bytes=size * 9 // 10 + 22,
            ),
            changed("files_entries", folder(draft, f"/receipts/{name}"), trashed=1),
            added(
                "notes_notes",
                title=f"{name}: done",
                body=same_text(f"Total: {total / 100:.2f}"),
                tags=json.dumps([tag]),
            ),
            changed("expenses_groups", group, archived=1),
        ],
        near_misses=[
            NearMiss(
                "only what oneself paid",
                edit=("for one in spent", "for one in spent if one['payer']['email'] == me"),
            ),
            NearMiss("all receipts", edit=("paths=[folder]", "paths=['/receipts']")),
            NearMiss(
                "the folder stays", edit=("apis.files.move_to_trash(access_token=files, path=folder)", "pass")
            ),
            NearMiss("without the tag", edit=(", tags=[tag]", "")),
            NearMiss("the group stays", edit=("archived=True", "archived=False")),
            NearMiss("one request less", edit=("for one in debts:", "for one in debts[1:]:")),
        ],
    )


def gold(name: str, tag: str) -> None:
    """Do it app by app."""
    me = apis.supervisor.show_profile()["email"]
    expenses = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=expenses, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    balances = every_page(apis.expenses.list_balances, access_token=expenses, group_id=group_id)
    debts = [one for one in balances if one["balance"] > 0]
    spent = every_page(apis.expenses.list_expenses, access_token=expenses, group_id=group_id)
    total = sum(one["amount"] for one in spent)
    print(me, debts, total)

    payments = login("payments")
    for one in debts:
        apis.payments.request_money(
            access_token=payments, email=one["email"], amount=one["balance"], note=name
        )

    files = login("files")
    folder = f"/receipts/{name}"
    apis.files.compress(access_token=files, paths=[folder], to_path=f"/receipts/{name}.zip")
    apis.files.move_to_trash(access_token=files, path=folder)

    notes = login("notes")
    apis.notes.create_note(access_token=notes, title=f"{name}: done", body=f"Total: {total:.2f}", tags=[tag])
    apis.expenses.update_group(access_token=expenses, group_id=group_id, archived=True)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="wrap_up_trip",
    split="test_challenge",
    phrasings=(
        'Let us wrap up "{name}". Request from everybody who owes me money in the expenses group of that '
        'name exactly what they owe me there, in the payments app and with the note "{name}". Compress the '
        'folder "/receipts/{name}" of my files into "/receipts/{name}.zip", and put the folder into the '
        'trash. Create a note with the title "{name}: done", the tag "{tag}" and the text "Total: " '
        "followed by the sum of all expenses of the group, whoever paid them, in dollars with two "
        'decimals, such as "Total: 412.50". Finally archive the expenses group.',
        '"{name}" is over. First, in the payments app, ask each person who still owes me something in the '
        'expenses group "{name}" for that amount (note: "{name}"). Second, make an archive '
        '"/receipts/{name}.zip" of my folder "/receipts/{name}" and move the folder to the trash. Third, '
        'write a note "{name}: done" with the single tag "{tag}", which says what all expenses of the '
        'group cost together, by all payers, as in "Total: 412.50", and nothing else. Last, put the '
        "expenses group into the archive.",
    ),
    prepare=prepare,
    gold=gold,
)
