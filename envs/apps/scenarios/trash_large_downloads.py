"""Put large, old downloads into the trash."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.prepared_files import clear, file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = (
    "lecture recording.mp4",
    "game demo.exe",
    "atlas scan.pdf",
    "old backup.zip",
    "film trailer.mov",
    "audio book.mp3",
    "map of the coast.png",
    "printer driver.exe",
    "choir concert.wav",
    "slides.pptx",
)


def prepare(draft: Draft) -> Plan:
    """Fill the downloads with all that a file can be: large or small, old or new, starred or not."""
    clear(draft, "/downloads")
    megabytes, days = draft.number(2, 30) * 10, draft.number(30, 90)
    limit = megabytes * 1_000_000
    kinds = [
        *[(limit + draft.number(1, 90_000_000), -days - draft.number(1, 60), 0) for _ in range(3)],
        (limit + 700_000, -days - 4, 1),
        (limit + 2_000_000, -days, 0),
        (limit + 9_000_000, -days + 12, 0),
        (limit, -days - 9, 0),
        (limit - 400_000, -days - 20, 0),
    ]
    must = []
    for name, (size, day, starred) in zip(draft.sample(_NAMES, len(kinds)), kinds, strict=True):
        entry = file(draft, f"/downloads/{name}", size=size, day=day)
        draft.update("files_entries", entry, starred=starred)
        if size > limit and day < -days and not starred:
            must.append(changed("files_entries", entry, trashed=1))
    file(draft, "/downloads/keep/holiday film.mp4", size=limit + 50_000_000, day=-days - 30)
    return Plan(
        parameters={"megabytes": megabytes, "day": draft.life.day(-days)},
        must=must,
        near_misses=[
            NearMiss("starred ones, too", edit=("and (not one['starred'])", "")),
            NearMiss("whatever is large", edit=("and one['updated_at'] < day", "")),
            NearMiss("whatever is old", edit=("one['size'] > megabytes * 1000000 and ", "")),
            NearMiss("also those of just that size", edit=("one['size'] > meg", "one['size'] >= meg")),
            NearMiss("one less", edit=("for one in large:", "for one in large[1:]:")),
        ],
    )


def gold(megabytes: int, day: str) -> None:
    """Look at what lies there, and throw away what is asked for."""
    token = login("files")
    entries = every_page(apis.files.list_folder, access_token=token, path="/downloads")
    files = [entry for entry in entries if entry["kind"] != "folder"]
    large = [
        one
        for one in files
        if one["size"] > megabytes * 1_000_000 and one["updated_at"] < day and not one["starred"]
    ]
    print(large)

    for one in large:
        apis.files.move_to_trash(access_token=token, path=one["path"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="trash_large_downloads",
    split="test_challenge",
    phrasings=(
        "Make room: put every file that lies directly in /downloads, is larger than {megabytes} MB (1 MB is "
        "1,000,000 bytes) and was last changed before {day} into the trash. Keep files with a star, and "
        "whatever is in folders.",
        "In my files, /downloads is too full. Move to the trash what has more than {megabytes} MB (of "
        "1,000,000 bytes each) and has not been changed since {day} (that day included), unless it has a "
        "star. Only files in the folder itself, not those in folders below it.",
    ),
    prepare=prepare,
    gold=gold,
)
