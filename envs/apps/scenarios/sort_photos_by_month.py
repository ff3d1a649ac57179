"""Move photos into a folder for each month in which they were taken."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import Expected, added, changed
from palaestra.envs.apps.prepared_files import clear, file, folder
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_FROM = ("unsorted", "camera roll", "from the phone", "new", "inbox", "card backup", "scans")
_TO = ("/photos/by month", "/albums", "/photos/archive", "/memories", "/photos/sorted")


def prepare(draft: Draft) -> Plan:
    """Leave photos of some months unsorted, a text and a film between them; one month has a folder."""
    start, target = f"/photos/{draft.choose(_FROM)}", draft.choose(_TO)
    clear(draft, start)
    clear(draft, target)
    first = draft.number(20, 50)
    days = [-first - 31 * place // 2 - draft.number(0, 9) for place in range(draft.number(6, 8))]
    photos = []
    for number, day in enumerate(days):
        taken = draft.life.today + datetime.timedelta(days=day)
        name = f"IMG_{taken.strftime('%Y%m%d')}_{draft.number(1, 9)}{number:02}.jpg"
        # Copied from a camera all at once: when a file was changed says nothing about the photo.
        photos.append((taken, file(draft, f"{start}/{name}", size=draft.number(20, 60) * 100_000, day=-5)))
    taken = draft.life.today + datetime.timedelta(days=days[0])
    file(draft, f"{start}/VID_{taken.strftime('%Y%m%d')}_001.mp4", size=41_000_000, day=-5)
    file(draft, f"{start}/captions.txt", "by the lake", day=-5)
    months: dict[str, int | Expected] = {}
    known = draft.choose(photos)[0].strftime("%Y-%m")
    months[known] = folder(draft, f"{target}/{known}")
    file(draft, f"{target}/{known}/IMG_0.jpg", size=1_000_000)
    place = folder(draft, target)
    for taken, _ in photos:
        month = taken.strftime("%Y-%m")
        if month not in months:
            months[month] = added("files_entries", parent_id=place, name=month, is_folder=1)
    return Plan(
        parameters={"start": start, "target": target},
        must=[
            *(month for month in months.values() if isinstance(month, Expected)),
            *(
                changed("files_entries", photo, parent_id=months[taken.strftime("%Y-%m")])
                for taken, photo in photos
            ),
        ],
        near_misses=[
            NearMiss("films and texts, too", edit=("if entry['name'].endswith('.jpg')", "if True")),
            NearMiss(
                "by the day of the file",
                edit=("{photo['name'][4:8]}-{photo['name'][8:10]}", "{photo['updated_at'][:7]}"),
            ),
            NearMiss("only a folder for each year", edit=("-{photo['name'][8:10]}", "")),
            NearMiss("copies", edit=("apis.files.move_entry", "apis.files.copy_entry")),
            NearMiss("one less", edit=("for photo in photos:", "for photo in photos[1:]:")),
        ],
    )


def gold(start: str, target: str) -> None:
    """Move each photo, and make folders on the way."""
    token = login("files")
    entries = every_page(apis.files.list_folder, access_token=token, path=start)
    photos = [entry for entry in entries if entry["name"].endswith(".jpg")]
    folders = every_page(apis.files.list_folder, access_token=token, path=target)
    months = [folder["name"] for folder in folders]
    print(photos, months)

    for photo in photos:
        month = f"{photo['name'][4:8]}-{photo['name'][8:10]}"
        if month not in months:
            apis.files.create_folder(access_token=token, path=f"{target}/{month}")
            months.append(month)
        apis.files.move_entry(access_token=token, path=photo["path"], to_folder=f"{target}/{month}")

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="sort_photos_by_month",
    split="test_challenge",
    phrasings=(
        'Sort my photos: every .jpg file in the folder "{start}" has the day on which it was taken in its '
        "name, as in IMG_20310412_007.jpg. Move each of them into the folder of its month in "
        '"{target}", such as "{target}/2031-04". Create the folders that are missing. Other files stay where '
        "they are.",
        'Please tidy up "{start}". Its .jpg files are named like IMG_20310412_007.jpg, by year, month and '
        'day; each belongs into "{target}" in a folder for its month, named like 2031-04. Some of these '
        "folders may be there already, create the others. Leave everything but .jpg files alone.",
    ),
    prepare=prepare,
    gold=gold,
)
