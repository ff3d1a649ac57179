"""Say which song of all own playlists takes longest, and in which playlist it is."""

from __future__ import annotations

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Leave the supervisor a few playlists; the longest song of the genre is not the longest of all."""
    genres = [row["genre"] for row in draft.rows("SELECT DISTINCT genre FROM music_albums ORDER BY genre")]
    by_genre = {
        one: draft.rows(
            "SELECT s.id, s.title FROM music_songs s JOIN music_albums b ON b.id = album_id "
            "WHERE b.genre = ? GROUP BY s.title HAVING count(*) = 1 ORDER BY s.id",
            one,
        )
        for one in genres
    }
    genre = draft.choose([one for one in genres if len(by_genre[one]) >= 5])
    others = [song for one in genres if one != genre for song in by_genre[one]]
    playlists = draft.rows(
        "SELECT id, title FROM music_playlists WHERE person_id = ? ORDER BY id", draft.me.id
    )
    for playlist in playlists:
        draft.connection.execute("DELETE FROM music_playlist_songs WHERE playlist_id = ?", [playlist["id"]])
    songs = draft.sample(by_genre[genre], 5)
    longest, *rest = songs
    length = draft.number(400, 500)
    draft.update("music_songs", longest["id"], duration_s=length)
    for place, song in enumerate(rest):
        draft.update("music_songs", song["id"], duration_s=draft.number(150, length - 1 - place))
    longer = draft.choose(others)
    draft.update("music_songs", longer["id"], duration_s=length + draft.number(5, 60))
    home, *elsewhere = draft.sample(playlists, len(playlists))
    for song in (longest, longer):
        draft.insert("music_playlist_songs", playlist_id=home["id"], song_id=song["id"])
    for song in rest:
        draft.insert("music_playlist_songs", playlist_id=draft.choose(elsewhere)["id"], song_id=song["id"])
    # A public playlist of somebody else has a still longer song of the genre.
    theirs = draft.row(
        "SELECT id FROM music_playlists WHERE person_id != ? AND public ORDER BY id", draft.me.id
    )
    assert theirs is not None
    best = next(song for song in by_genre[genre] if song not in songs) if len(by_genre[genre]) > 5 else None
    if best is not None:
        draft.update("music_songs", best["id"], duration_s=length + 70)
        draft.insert("music_playlist_songs", playlist_id=theirs["id"], song_id=best["id"])
    return Plan(
        parameters={"genre": genre},
        answer=f"{longest['title']} / {home['title']}",
        near_misses=[
            NearMiss("any genre", edit=("if song['genre'] == genre", "if song['genre']")),
            NearMiss("the shortest", edit=("key=lambda found: -found[0]", "key=lambda found: found[0]")),
            NearMiss("the title alone", edit=("{found[0][1]} / {found[0][2]}", "{found[0][1]}")),
            NearMiss("the second", edit=("found[0][1]} / {found[0][2]", "found[1][1]} / {found[1][2]")),
        ],
    )


def gold(genre: str) -> None:
    """Look into every playlist."""
    token = login("music")
    playlists = every_page(apis.music.list_playlists, access_token=token)
    found = []
    for one in playlists:
        playlist = apis.music.show_playlist(access_token=token, playlist_id=one["playlist_id"])
        songs = [song for song in playlist["songs"] if song["genre"] == genre]
        found += [(song["duration_s"], song["title"], playlist["title"]) for song in songs]
    found.sort(key=lambda found: -found[0])
    print(found)

    apis.supervisor.complete_task(answer=f"{found[0][1]} / {found[0][2]}")


SCENARIO = Scenario(
    name="longest_song_of_playlists",
    split="dev",
    phrasings=(
        "Which is the longest {genre} song in my own playlists of the music app, and in which playlist is "
        "it? "
        'Answer with both titles, in this form: "Song / Playlist".',
        "Find the {genre} song that takes longest among all playlists that I made in the music app. Tell me "
        'its title and the title of its playlist as "Song / Playlist".',
    ),
    prepare=prepare,
    gold=gold,
)
