"""Make a shared to-do list of a packing list in a file."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.prepared_files import clear, file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, login

_NAMES = ("Kayak week", "Snow shoes", "Festival", "Cave tour", "Bird island", "Night hike", "Raft race")
_THINGS = (
    "tent",
    "stove",
    "rope",
    "lamps",
    "tarp",
    "pots",
    "first aid kit",
    "map",
    "axe",
    "radio",
    "matches",
)


def prepare(draft: Draft) -> Plan:
    """Write a packing list in two versions, in which some things are packed and some are nobody's."""
    name, day = draft.choose(_NAMES), draft.life.day(draft.number(4, 20))
    path = f"/trips/{name}"
    clear(draft, path)
    people = [draft.me, *draft.sample(draft.life.relations["friend"], 3)]
    things = draft.sample(_THINGS, draft.number(7, 9))
    lines = ["thing,who,packed"]
    listing = added("todo_lists", name=name)
    tasks = []
    shared = set()
    for place, thing in enumerate(things):
        # Each of the friends carries something; the third line and some later ones are packed already.
        person = None if place % 5 == 4 else people[place % 4]
        packed = place in (4, 5)
        lines.append(f"{thing},{person.email if person else ''},{'yes' if packed else 'no'}")
        if packed:
            continue
        assignee = {} if person is None else {"assignee_id": person.id}
        tasks.append(
            added(
                "todo_tasks",
                list_id=listing,
                title=f"Pack {thing}",
                due_date=day,
                created_by=draft.me.id,
                **assignee,
            )
        )
        if person is not None and person is not draft.me:
            shared.add(person.id)
    file(draft, f"{path}/packing.csv", "\n".join(lines), day=-1)
    file(draft, f"{path}/packing old.csv", "\n".join(["thing,who,packed", "umbrella,,no"]), day=-9)
    return Plan(
        parameters={"name": name, "path": f"{path}/packing.csv", "day": day},
        must=[
            listing,
            *(added("todo_members", list_id=listing, person_id=one) for one in sorted(shared)),
            *tasks,
        ],
        near_misses=[
            NearMiss("what is packed, too", edit=("if packed == 'no'", "if True")),
            NearMiss("the old list", edit=("path=path", "path=path.replace('.csv', ' old.csv')")),
            NearMiss("no due date", edit=(", due_date=day", "")),
            NearMiss("all for oneself", edit=("task_id=task_id, email=who", "task_id=task_id, email=me")),
            NearMiss(
                "one less", edit=("for thing, who in open_lines:", "for thing, who in open_lines[:-1]:")
            ),
        ],
    )


def gold(name: str, path: str, day: str) -> None:
    """Read the file, found the list, share it, and fill it."""
    me = apis.supervisor.show_profile()["email"]
    files = login("files")
    text = apis.files.read_file(access_token=files, path=path)["text"]
    lines = [line.split(",") for line in text.splitlines()[1:]]
    open_lines = [[thing, who] for thing, who, packed in lines if packed == "no"]
    print(open_lines)

    todo = login("todo")
    list_id = apis.todo.create_list(access_token=todo, name=name)["list_id"]
    for email in sorted({who for thing, who in open_lines} - {me, ""}):
        apis.todo.share_list(access_token=todo, list_id=list_id, email=email)

    for thing, who in open_lines:
        task_id = apis.todo.create_task(
            access_token=todo, list_id=list_id, title=f"Pack {thing}", due_date=day
        )["task_id"]
        if who:
            apis.todo.assign_task(access_token=todo, task_id=task_id, email=who)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="packing_list_to_tasks",
    split="test_challenge",
    phrasings=(
        'The file "{path}" of my files says who packs what. Make a new to-do list "{name}" of it: for each '
        'line that is not packed yet a task "Pack" and the thing, such as "Pack tent", due {day}, and '
        "assigned to the person whose email address stands there (me where it is mine, nobody where none "
        "is given). Share the list with those, and only those, who have such a task.",
        'Turn the packing list "{path}" into a to-do list with the name "{name}". Whatever is not packed '
        'becomes a task like "Pack tent" that is due on {day} and assigned to the one whom the line names '
        "by email; lines without an address are assigned to nobody, and what is packed is left out. Of the "
        "others, everybody to whom a task is assigned has to see the list, and no one else.",
    ),
    prepare=prepare,
    gold=gold,
)
