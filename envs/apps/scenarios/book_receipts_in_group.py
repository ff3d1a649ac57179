"""Enter receipts from a folder as expenses of a group, and tag them."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.prepared_files import clear, file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_expense, add_group
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = (
    "Sailing week",
    "Farm stay",
    "Glacier hike",
    "Choir weekend",
    "Old town days",
    "Lake house",
    "Marathon",
)
_THINGS = (
    "Bakery",
    "Petrol",
    "Ferry tickets",
    "Museum",
    "Rental bikes",
    "Supermarket",
    "Ice cream",
    "Sun cream",
    "Parking",
    "Newspaper",
)


def prepare(draft: Draft) -> Plan:
    """Write receipts of a trip: shared ones, private ones, and one that is in the group already."""
    name, first = draft.choose(_NAMES), draft.number(8, 20)
    path = f"/receipts/{name}"
    clear(draft, path)
    people = [draft.me, *draft.sample(draft.life.relations["friend"], draft.number(3, 4))]
    group = add_group(draft, draft.me, name, people, draft.moment(-60, -50), kind="trip")
    kinds = ["yes"] * draft.number(3, 4) + ["no", "no", "booked"]
    must = []
    for place, (thing, kind) in enumerate(
        zip(draft.sample(_THINGS, len(kinds)), draft.sample(kinds, len(kinds)), strict=True)
    ):
        share, day = draft.number(3, 30) * 50 + place, draft.life.day(place // 2 - first)
        amount = share * len(people)
        text = (
            f"Receipt no. {draft.number(100, 999)}\nFor: {thing}\nDate: {day}\nTotal: ${amount / 100:.2f}\n"
            f"Shared: {'no' if kind == 'no' else 'yes'}"
        )
        receipt = file(draft, f"{path}/{thing.lower()}.txt", text, day=-draft.number(2, 5))
        columns = {"payer_id": draft.me.id, "description": thing, "amount": amount, "spent_on": day}
        if kind == "booked":
            draft.insert("files_tags", entry_id=receipt, tag="booked")
            add_expense(draft, group, draft.me, thing, amount, people, f"{day}T22:00:00")
        if kind == "yes":
            expense = added("expenses_expenses", group_id=group, **columns)
            must += [expense, added("files_tags", entry_id=receipt, tag="booked")]
            must += [
                added("expenses_shares", expense_id=expense, person_id=person.id, amount=share)
                for person in people
            ]
    return Plan(
        parameters={"name": name, "path": path},
        must=must,
        near_misses=[
            NearMiss("private ones, too", edit=("if receipt['Shared'] == 'yes'", "if True")),
            NearMiss("what is booked once more", edit=("if 'booked' not in entry['tags']", "if True")),
            NearMiss("spent today", edit=(", spent_on=receipt['Date']", "")),
            NearMiss("another tag", edit=("tag='booked'", "tag='paid'")),
            NearMiss("one less", edit=("for receipt in shared:", "for receipt in shared[1:]:")),
        ],
    )


def gold(name: str, path: str) -> None:
    """Read the receipts, then enter and tag those that are to be shared."""
    files = login("files")
    entries = every_page(apis.files.list_folder, access_token=files, path=path)
    receipts = []
    for entry in entries:
        if "booked" not in entry["tags"]:
            text = apis.files.read_file(access_token=files, path=entry["path"])["text"]
            receipt = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
            receipts.append({**receipt, "path": entry["path"]})
    shared = [receipt for receipt in receipts if receipt["Shared"] == "yes"]
    print(shared)

    expenses = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=expenses, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    for receipt in shared:
        amount = float(receipt["Total"].removeprefix("$"))
        apis.expenses.add_expense(
            access_token=expenses,
            group_id=group_id,
            description=receipt["For"],
            amount=amount,
            spent_on=receipt["Date"],
        )
        apis.files.add_tag(access_token=files, path=receipt["path"], tag="booked")

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="book_receipts_in_group",
    split="test_challenge",
    phrasings=(
        'The folder "{path}" of my files holds receipts of what I paid on our trip. Enter each one that '
        'says "Shared: yes" in the expenses group "{name}": paid by me, split equally between all members, '
        'category general; the description is what stands behind "For:", the amount is the total, and the '
        'day is that of the receipt. Then put the tag "booked" on the receipt. Receipts that have this tag '
        "already are in the group; leave these and the private ones alone.",
        'Please book my receipts for "{name}". They are text files in "{path}". Those with the tag '
        '"booked" are done, and those with "Shared: no" are nobody else\'s business. All others go into '
        'the expenses group "{name}" as general expenses that I paid, on the day of the receipt, with its '
        'total and with the words behind "For:" as the description, in equal shares for the whole group. '
        'Tag each with "booked" when it is entered.',
    ),
    prepare=prepare,
    gold=gold,
)
