"""Put the albums of a to-do list into the library, and tick them off."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = (
    "Albums to hear",
    "Listen to",
    "Records",
    "Music for the winter",
    "Tips from the record shop",
    "Sunday records",
    "Heard about",
    "To borrow",
)


def prepare(draft: Draft) -> Plan:
    """Write a list of albums by title and artist, of which one is ticked off and one in the library."""
    name = draft.choose(_NAMES)
    unique = (
        "SELECT b.id, b.title, a.name AS artist FROM music_albums b JOIN music_artists a ON a.id = "
        "b.artist_id "
        "GROUP BY b.title, a.name HAVING count(*) = 1 ORDER BY b.id"
    )
    albums = draft.sample(draft.rows(unique), draft.number(5, 7))
    listing = add_list(draft, draft.me, name, draft.moment(-60, -40))
    for album in albums:
        draft.connection.execute("DELETE FROM music_library_albums WHERE album_id = ?", [album["id"]])
    finished, owned, *rest = albums
    draft.insert(
        "music_library_albums", person_id=draft.me.id, album_id=owned["id"], kept_since=draft.moment(-90, -50)
    )
    must = []
    for album in albums:
        task = add_task(
            draft,
            listing,
            draft.me,
            f"{album['title']} by {album['artist']}",
            made=draft.moment(-39, -30),
            completed_at=draft.moment(-20, -10) if album is finished else None,
        )
        if album is not finished:
            must.append(changed("todo_tasks", task, done=1))
        if album in rest:
            must.append(added("music_library_albums", album_id=album["id"]))
    return Plan(
        parameters={"name": name},
        must=must,
        near_misses=[
            NearMiss("done ones as well", edit=("done=False", "done=None")),
            NearMiss("stops at the one that is there", edit=("if not found['in_library']:", "if True:")),
            NearMiss(
                "ticks nothing off",
                edit=("    apis.todo.mark_done(access_token=todo, task_id=task['task_id'])", "    pass"),
            ),
            NearMiss("one less", edit=("for task in tasks:", "for task in tasks[1:]:")),
            NearMiss(
                "any album of the artist",
                edit=("if one['title'] == title and one['artist'] == artist", "if one['title'] != title"),
            ),
        ],
    )


def gold(name: str) -> None:
    """Go through the open tasks."""
    todo = login("todo")
    music = login("music")
    lists = every_page(apis.todo.list_lists, access_token=todo)
    list_id = next(one["list_id"] for one in lists if one["name"] == name)
    tasks = every_page(apis.todo.search_tasks, access_token=todo, list_id=list_id, done=False)
    print(tasks)

    for task in tasks:
        title, artist = task["title"].split(" by ")
        albums = apis.music.search_albums(access_token=music, query=title, page_limit=20)
        album_id = next(
            one["album_id"] for one in albums if one["title"] == title and one["artist"] == artist
        )
        found = apis.music.show_album(access_token=music, album_id=album_id)
        if not found["in_library"]:
            apis.music.add_album_to_library(access_token=music, album_id=album_id)
        apis.todo.mark_done(access_token=todo, task_id=task["task_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="albums_to_listen",
    split="train",
    phrasings=(
        'The open tasks of my to-do list "{name}" are albums, each written as "title by artist". Add them '
        "all "
        "to my music library (one may be in it already) and mark the tasks as done.",
        'Go through what is still open in my to-do list "{name}": each task is an album and who it is by. '
        "See "
        "to it that every one of these albums is in my library of the music app, and tick the tasks off.",
    ),
    prepare=prepare,
    gold=gold,
)
