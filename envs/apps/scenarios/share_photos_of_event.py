"""Share the photos of an event with all who came, and note that they can be looked at."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.prepared_files import file, folder
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Harvest dinner",
    "Lantern walk",
    "Boat race",
    "Roof party",
    "Pumpkin carving",
    "Costume ball",
    "Quiz marathon",
    "Plant swap",
)


def prepare(draft: Draft) -> Plan:
    """Let some have come to an event, of which there was one of the same name a year before."""
    title, day = draft.choose(_TITLES), draft.number(4, 20)
    people = draft.sample([*draft.life.relations["friend"], *draft.life.relations["coworker"]], 7)
    answers = ["accepted", "accepted", "accepted", "accepted", "declined", "tentative", "pending"]
    came = people[:4]
    for ago, given in ((day + 364, ["accepted"] * 7), (day, answers)):
        start = f"{draft.life.day(-ago)}T18:00"
        add_event(draft, draft.me, title, start, 180, dict(zip(people, given, strict=True)))
    path = f"/photos/{draft.life.day(-day)} {title}"
    for number in range(4):
        file(draft, f"{path}/IMG_{number + 1:03}.jpg", size=2_400_000, day=-day + 1)
    file(draft, f"/photos/{draft.life.day(-day - 364)} {title}/IMG_001.jpg", size=2_100_000, day=-100)
    entry = folder(draft, path)
    # One of them sees the photos already, and one who did not come does as well.
    for person in (came[0], people[4]):
        draft.insert("files_shares", entry_id=entry, person_id=person.id, created_at=draft.moment(-2, -1))
    listing = add_list(draft, draft.me, "Promised", draft.moment(-90, -60))
    tasks = {
        f"Photos for {person.name}": add_task(
            draft, listing, draft.me, f"Photos for {person.name}", made=draft.moment(-3, -1)
        )
        for person in (came[1], came[2], people[5])
    }
    return Plan(
        parameters={"title": title, "day": draft.life.day(-day)},
        must=[
            *(added("files_shares", entry_id=entry, person_id=person.id) for person in came[1:]),
            *(changed("todo_tasks", tasks[f"Photos for {one.name}"], done=1) for one in came[1:3]),
        ],
        near_misses=[
            NearMiss("all who were invited", edit=(", answer='accepted'", "")),
            NearMiss(
                "they may edit", edit=("email=person['email']", "email=person['email'], permission='edit'")
            ),
            NearMiss("all tasks are done", edit=("if task['title'] in promised", "if True")),
            NearMiss("no task is done", edit=("if task['title'] in promised", "if False")),
            NearMiss(
                "the photos of the year before", edit=("path = folder['path']", "path = folders[0]['path']")
            ),
        ],
    )


def gold(title: str, day: str) -> None:
    """Find out who came, share with those who do not see it yet, and tick off."""
    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, query=title, from_day=day, to_day=day
    )
    event_id = next(one["event_id"] for one in events if one["title"] == title)
    people = every_page(
        apis.calendar.list_attendees, access_token=calendar, event_id=event_id, answer="accepted"
    )
    print(people)

    files = login("files")
    folders = every_page(
        apis.files.search_files, access_token=files, query=title, folder="/photos", kind="folder"
    )
    folder = next(one for one in folders if one["name"] == f"{day} {title}")
    path = folder["path"]
    entry = apis.files.show_entry(access_token=files, path=path)
    known = [person["email"] for person in entry["shared_with"]]
    for person in people:
        if person["email"] not in known:
            apis.files.share_entry(access_token=files, path=path, email=person["email"])

    todo = login("todo")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == "Promised")
    tasks = every_page(apis.todo.search_tasks, access_token=todo, list_id=list_id)
    promised = [f"Photos for {person['name']}" for person in people]
    for task in tasks:
        if task["title"] in promised:
            apis.todo.mark_done(access_token=todo, task_id=task["task_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="share_photos_of_event",
    split="test_challenge",
    phrasings=(
        'Share the folder "{day} {title}", which is somewhere in /photos of my files, with everybody who '
        'accepted my event "{title}" of {day}, if they do not see it yet. They should only look at it. Then '
        'mark the open tasks in my to-do list "Promised" as done that are titled "Photos for" and the full '
        "name of one of those who accepted.",
        'Everyone who accepted the invitation to "{title}" on {day} is to see the photos: they lie below '
        '/photos in my files, in a folder called "{day} {title}". Give each of them who has not got it the '
        'right to view (not to edit) that folder. My to-do list "Promised" has tasks such as "Photos for Ada '
        'Stone": tick off those that are about people who accepted.',
    ),
    prepare=prepare,
    gold=gold,
)
