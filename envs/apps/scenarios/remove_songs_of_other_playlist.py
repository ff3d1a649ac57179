"""Take out of one playlist what is in another one as well."""

from __future__ import annotations

from palaestra.envs.apps.changes import removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.music_seed import add_playlist
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Train to work", "Late kitchen", "Garden", "Old favorites", "New finds", "Warm-up", "Long drive")


def prepare(draft: Draft) -> Plan:
    """Make two playlists with songs in common, and songs of one title that are not the same song."""
    first, second = draft.sample(_TITLES, 2)
    songs = [row["id"] for row in draft.rows("SELECT id FROM music_songs ORDER BY id")]
    chosen = draft.sample(songs, 12)
    common, left, right, twins = chosen[: draft.number(3, 5)], chosen[5:8], chosen[8:10], chosen[10:12]
    title = draft.value("SELECT title FROM music_songs WHERE id = ?", twins[0])
    draft.update("music_songs", twins[1], title=title)
    longer, shorter = [*common, *left, twins[0]], [*right, twins[1], *common]
    playlist = add_playlist(draft, draft.me, first, draft.sample(longer, len(longer)), draft.moment(-90, -20))
    add_playlist(draft, draft.me, second, draft.sample(shorter, len(shorter)), draft.moment(-90, -20))
    rows = draft.rows("SELECT * FROM music_playlist_songs WHERE playlist_id = ? ORDER BY id", playlist)
    drop = "apis.music.remove_song_from_playlist(access_token=token, playlist_id=ids[first], song_id=song_id)"
    return Plan(
        parameters={"first": first, "second": second},
        must=[removed("music_playlist_songs", row["id"]) for row in rows if row["song_id"] in common],
        near_misses=[
            NearMiss("from the other one", edit=(drop, drop.replace("first", "second"))),
            NearMiss(
                "by the title",
                edit=(
                    "common = [song_id for song_id in inside[first] if song_id in inside[second]]",
                    "common = [song_id for song_id in inside[first] if titles[song_id] in "
                    "[titles[one] for one in inside[second]]]",
                ),
            ),
            NearMiss("one less", edit=("for song_id in common:", "for song_id in common[1:]:")),
            NearMiss("what they do not share", edit=("if song_id in", "if song_id not in")),
            NearMiss(
                "the whole playlist",
                edit=("    " + drop, "    pass"),
                extra="apis.music.delete_playlist(access_token=token, playlist_id=ids[first])",
            ),
        ],
    )


def gold(first: str, second: str) -> None:
    """Compare them."""
    token = login("music")
    playlists = every_page(apis.music.list_playlists, access_token=token)
    ids = {one["title"]: one["playlist_id"] for one in playlists}
    inside, titles = {}, {}
    for name in (first, second):
        playlist = apis.music.show_playlist(access_token=token, playlist_id=ids[name])
        inside[name] = [song["song_id"] for song in playlist["songs"]]
        titles.update({song["song_id"]: song["title"] for song in playlist["songs"]})
    common = [song_id for song_id in inside[first] if song_id in inside[second]]
    print(common)

    for song_id in common:
        apis.music.remove_song_from_playlist(access_token=token, playlist_id=ids[first], song_id=song_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="remove_songs_of_other_playlist",
    split="test_normal",
    phrasings=(
        'Remove from my playlist "{first}" every song that is in my playlist "{second}" too. Different '
        "recordings "
        "of one title are different songs.",
        'My playlists "{first}" and "{second}" share some songs. Keep those in "{second}" only. A song is '
        "the same "
        "only if it is the very same recording.",
    ),
    prepare=prepare,
    gold=gold,
)
