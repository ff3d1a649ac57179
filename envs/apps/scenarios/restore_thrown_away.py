"""Take out of the trash what was thrown away by mistake."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.prepared_files import clear, file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_FOLDERS = ("Garden plans", "Club", "Translations", "Tax", "Insurance", "School", "Choir", "House")
_NAMES = (
    "draft.txt",
    "members.csv",
    "minutes.md",
    "scan.pdf",
    "poster.png",
    "schedule.ics",
    "letter.txt",
    "numbers.csv",
    "photo.jpg",
    "reply.md",
)


def prepare(draft: Draft) -> Plan:
    """Throw files of two folders away on two days; one of the wanted is in a folder further down."""
    name, day = draft.choose(_FOLDERS), draft.number(2, 9)
    path = f"/documents/{name}"
    clear(draft, path)
    kinds = [
        *[(path, day, True)] * draft.number(3, 4),
        (f"{path}/older", day, True),
        (path, day + 1, False),
        (path, day - 1, False),
        (f"{path} 2", day, False),
        ("/downloads", day, False),
    ]
    must = []
    for file_name, (place, ago, wanted) in zip(draft.sample(_NAMES, len(kinds)), kinds, strict=True):
        entry = file(draft, f"{place}/{file_name}", size=draft.number(1000, 90_000), day=-30)
        draft.update("files_entries", entry, trashed=1, trashed_at=draft.moment(-ago, -ago))
        if wanted:
            must.append(changed("files_entries", entry, trashed=0))
    return Plan(
        parameters={"path": path, "day": draft.life.day(-day)},
        must=must,
        near_misses=[
            NearMiss(
                "whatever was thrown away that day", edit=("one['path'].startswith(f'{path}/') and ", "")
            ),
            NearMiss("whatever lay there", edit=("and one['trashed_at'].startswith(day)", "")),
            NearMiss("a folder of almost that name", edit=("startswith(f'{path}/')", "startswith(path)")),
            NearMiss(
                "only what lay in the folder itself",
                edit=(
                    "for one in wanted:",
                    "for one in wanted:\n    if '/older/' in one['path']:\n        continue",
                ),
            ),
            NearMiss("one less", edit=("for one in wanted:", "for one in wanted[1:]:")),
        ],
    )


def gold(path: str, day: str) -> None:
    """Look through the trash, and restore."""
    token = login("files")
    trash = every_page(apis.files.list_trash, access_token=token)
    wanted = [
        one for one in trash if one["path"].startswith(f"{path}/") and one["trashed_at"].startswith(day)
    ]
    print(wanted)

    for one in wanted:
        apis.files.restore(access_token=token, entry_id=one["entry_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="restore_thrown_away",
    split="test_challenge",
    phrasings=(
        'On {day} I threw away files from "{path}" by mistake. Restore all that was put into the trash on '
        "that day and lay in this folder or in a folder below it. The rest of the trash stays in the "
        "trash.",
        'Please get back from the trash what I deleted on {day} (that day only) out of the folder "{path}" '
        "and its subfolders. Do not restore anything else.",
    ),
    prepare=prepare,
    gold=gold,
)
