"""Say how much room the photos of a folder take."""

from __future__ import annotations

from palaestra.envs.apps.prepared_files import file
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_NAMES = (
    "Alps",
    "Family album",
    "Botanical garden",
    "Zoo",
    "Carnival",
    "Old harbor",
    "Aquarium",
    "Waterfalls",
)


def prepare(draft: Draft) -> Plan:
    """Fill a folder with photos, some in folders of their own, a film and a text; there is a twin."""
    path = f"/photos/{draft.choose(_NAMES)} {draft.number(2026, 2030)}"
    total = 0
    for number in range(draft.number(21, 24)):
        size = draft.number(11, 79) * 100_000
        place = ("", "", "/best of", "/best of/prints")[number % 4]
        ending = "png" if number % 7 == 6 else "jpg"
        file(draft, f"{path}{place}/IMG_{number + 1:03}.{ending}", size=size, day=-60)
        total += size
    file(draft, f"{path}/clip.mp4", size=draft.number(20, 90) * 1_000_000, day=-60)
    file(draft, f"{path}/soundscape.mp3", size=7_300_000, day=-60)
    file(draft, f"{path} copy/IMG_001.jpg", size=3_300_000, day=-20)
    return Plan(
        parameters={"path": path},
        answer=total / 1_000_000,
        near_misses=[
            NearMiss("films, too", edit=(", kind='image'", "")),
            NearMiss("only the first page", edit=("if len(batch) < 20:", "if True:")),
            NearMiss(
                "only that folder itself",
                edit=("for one in photos", "for one in photos if one['path'].count('/') == 3"),
            ),
            NearMiss("in bytes", edit=(" / 1000000", "")),
        ],
    )


def gold(path: str) -> None:
    """Add up all photos below the folder."""
    token = login("files")
    photos = every_page(apis.files.search_files, access_token=token, folder=path, kind="image")
    print(len(photos))

    total = sum(one["size"] for one in photos)
    apis.supervisor.complete_task(answer=total / 1_000_000)


SCENARIO = Scenario(
    name="size_of_trip_photos",
    split="test_challenge",
    phrasings=(
        'How many megabytes do the photos (image files) in my folder "{path}" and all folders below it '
        "take together? A megabyte is 1,000,000 bytes. Answer with the number alone, to one decimal.",
        'I want to put all photos from "{path}", those in its subfolders included, onto a card. Films and '
        "other files stay out. How large are the image files in all? Give the number of megabytes "
        "(1,000,000 bytes each) with one decimal, nothing else.",
    ),
    prepare=prepare,
    gold=gold,
)
