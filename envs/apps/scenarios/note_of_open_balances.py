"""Write down who owes how much in a group, as a note."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.expenses_seed import add_debt, add_group, add_settlement
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = ("Sailing week", "Garden plot", "Carpool", "Theatre evenings", "Band practice", "Moving day")
_TITLES = ("Who owes what", "Open money", "Balances", "Still to be settled")


def prepare(draft: Draft) -> Plan:
    """Found a group in which some owe the supervisor, some are owed, and one is even."""
    name, title = draft.choose(_NAMES), draft.choose(_TITLES)
    people = draft.sample(draft.life.relations["friend"], 5)
    made = draft.moment(-60, -50)
    group = add_group(draft, draft.me, name, (draft.me, *people), made)
    # The same people owe each other something else in another group.
    other = add_group(draft, draft.me, f"{name} last year", (draft.me, *people[:3]), made)
    for person in people[:2]:
        add_debt(draft, other, person, draft.me, draft.number(200, 3000), draft.moment(-40, -20))
    balances = {person: draft.number(250, 6000) for person in people[:2]}
    balances |= {person: -draft.number(250, 6000) for person in people[2 : draft.number(3, 4)]}
    for person, cents in balances.items():
        debtor, creditor = (person, draft.me) if cents > 0 else (draft.me, person)
        add_debt(draft, group, debtor, creditor, abs(cents), draft.moment(-40, -20))
    add_debt(draft, group, people[4], draft.me, 1500, draft.moment(-40, -20))
    add_settlement(draft, group, people[4], draft.me, 1500, draft.moment(-3, -3))
    # What the others owe each other is none of the supervisor's business.
    add_debt(draft, group, people[0], people[2], 900, draft.moment(-40, -20))
    lines = sorted(f"{person.name}: {cents / 100:.2f}" for person, cents in balances.items())
    return Plan(
        parameters={"name": name, "title": title},
        must=[added("notes_notes", title=title, body=same_text("\n".join(lines)))],
        near_misses=[
            NearMiss("over all groups", edit=(", group_id=group_id)", ")")),
            NearMiss("debts of the group", edit=("{one['balance']:.2f}", "{-one['balance']:.2f}")),
            NearMiss(
                "those who owe alone",
                edit=("for one in balances]", "for one in balances if one['balance'] > 0]"),
            ),
            NearMiss("one less", edit=("'\\n'.join(lines)", "'\\n'.join(lines[1:])")),
            NearMiss("whole dollars", edit=(":.2f}", ":.0f}")),
        ],
    )


def gold(name: str, title: str) -> None:
    """Look the balances up, then write the note."""
    token = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=token, query=name)
    group_id = next(one["group_id"] for one in groups if one["name"] == name)
    balances = every_page(apis.expenses.list_balances, access_token=token, group_id=group_id)
    print(balances)

    lines = [f"{one['name']}: {one['balance']:.2f}" for one in balances]
    lines.sort()
    token = login("notes")
    apis.notes.create_note(access_token=token, title=title, body="\n".join(lines))
    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="note_of_open_balances",
    split="test_normal",
    phrasings=(
        'Write a new note "{title}" about the expenses group "{name}": one line for each person with whom I '
        'am not even there, sorted by name, such as "Ada Stone: 12.50" where Ada owes me $12.50 and '
        '"Ada Stone: -12.50" where I owe her that. No tags, no folder, no other text.',
        'I need a note with the title "{title}", without tags and in no folder. Its lines say what is open '
        'between me and others in the expenses group "{name}", by name from A to Z, nobody who is even with '
        'me: "Ada Stone: 12.50" if she owes me, "Ada Stone: -12.50" if I owe her. Only that group counts.',
    ),
    prepare=prepare,
    gold=gold,
)
