"""Free the phone of long songs that are not liked."""

from __future__ import annotations

from palaestra.envs.apps.changes import removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Download songs of all four kinds: liked or not, longer than the limit or not."""
    me, limit = draft.me.id, draft.number(170, 215)
    for table in ("music_downloads", "music_likes"):
        for row in draft.rows(f"SELECT id FROM {table} WHERE person_id = ?", me):
            draft.delete(table, row["id"])
    must = []
    for liked in (True, False):
        for longer in (True, False):
            sign = ">" if longer else "<="
            songs = draft.rows(f"SELECT id FROM music_songs WHERE duration_s {sign} ? ORDER BY id", limit)
            fresh = [song for song in songs if not _downloaded(draft, song["id"])]
            for song in draft.sample(fresh, draft.number(2, 4)):
                row = draft.insert(
                    "music_downloads", person_id=me, song_id=song["id"], kept_since=draft.moment(-300, -1)
                )
                if liked:
                    draft.insert(
                        "music_likes", person_id=me, song_id=song["id"], kept_since=draft.moment(-300, -1)
                    )
                elif longer:
                    must.append(removed("music_downloads", row))
    return Plan(
        parameters={"limit": limit},
        must=must,
        near_misses=[
            NearMiss("all long ones", edit=("song['song_id'] not in liked and ", "")),
            NearMiss("all that are not liked", edit=(" and song['duration_s'] > limit", "")),
            NearMiss("the short ones", edit=("> limit", "<= limit")),
            NearMiss("likes them instead", edit=("apis.music.remove_download", "apis.music.like_song")),
        ],
    )


def _downloaded(draft: Draft, song_id: int) -> bool:
    return bool(draft.value("SELECT count(*) FROM music_downloads WHERE song_id = ?", song_id))


def gold(limit: int) -> None:
    """Look up what is liked, then go through the downloads."""
    token = login("music")
    likes = every_page(apis.music.list_liked_songs, access_token=token)
    liked = {song["song_id"] for song in likes}
    songs = every_page(apis.music.list_downloads, access_token=token)
    print(songs)

    for song in songs:
        if song["song_id"] not in liked and song["duration_s"] > limit:
            apis.music.remove_download(access_token=token, song_id=song["song_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="drop_unliked_downloads",
    split="test_normal",
    phrasings=(
        "My phone is full. Remove the downloads of all songs that last more than {limit} seconds, except "
        "those that I have liked.",
        "Delete downloaded songs longer than {limit} seconds from the music app's downloads, but keep every "
        "song that is among my likes.",
    ),
    prepare=prepare,
    gold=gold,
)
