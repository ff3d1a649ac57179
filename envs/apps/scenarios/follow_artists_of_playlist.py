"""Follow the artists of a playlist, as far as they are not followed yet."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Choose a playlist of several artists; follow one of them already."""
    me = draft.me.id
    playlists = draft.rows(
        "SELECT p.id, p.title FROM music_playlists p JOIN music_playlist_songs s ON playlist_id = p.id "
        "JOIN music_songs ON song_id = music_songs.id JOIN music_albums ON album_id = music_albums.id "
        "WHERE p.person_id = ? GROUP BY p.id HAVING count(DISTINCT artist_id) >= 4 ORDER BY p.id",
        me,
    )
    playlist = draft.choose(playlists)
    artists = [
        row["artist_id"]
        for row in draft.rows(
            "SELECT DISTINCT artist_id FROM music_playlist_songs s JOIN music_songs ON song_id = "
            "music_songs.id "
            "JOIN music_albums ON album_id = music_albums.id WHERE playlist_id = ? ORDER BY artist_id",
            playlist["id"],
        )
    ]
    for row in draft.rows("SELECT id, artist_id FROM music_follows WHERE person_id = ?", me):
        if row["artist_id"] in artists:
            draft.delete("music_follows", row["id"])
    followed = draft.sample(artists, draft.number(1, len(artists) - 3))
    for artist in followed:
        draft.insert("music_follows", person_id=me, artist_id=artist, kept_since=draft.moment(-90, -9))
    new = [artist for artist in artists if artist not in followed]
    return Plan(
        parameters={"title": playlist["title"]},
        must=[added("music_follows", artist_id=artist) for artist in new],
        near_misses=[
            NearMiss(
                "one artist less", edit=("sorted(artists - followed)", "sorted(artists - followed)[1:]")
            ),
            NearMiss(
                "likes the songs",
                edit=(
                    "apis.music.follow_artist(access_token=token, artist_id=artist_id)",
                    "apis.music.like_song(access_token=token, song_id=songs[0]['song_id'])",
                ),
            ),
            NearMiss(
                "unfollows the others",
                extra=("apis.music.unfollow_artist(access_token=token, artist_id=sorted(followed)[0])"),
            ),
            NearMiss(
                "only one artist", edit=("sorted(artists - followed)", "sorted(artists - followed)[:1]")
            ),
        ],
    )


def gold(title: str) -> None:
    """Compare who plays on it with who is followed."""
    token = login("music")
    playlists = every_page(apis.music.list_playlists, access_token=token, query=title)
    playlist_id = next(one["playlist_id"] for one in playlists if one["title"] == title)
    songs = apis.music.show_playlist(access_token=token, playlist_id=playlist_id)["songs"]
    artists = {song["artist_id"] for song in songs}
    print(songs)

    follows = every_page(apis.music.list_followed_artists, access_token=token)
    followed = {one["artist_id"] for one in follows}
    print(followed)

    for artist_id in sorted(artists - followed):
        apis.music.follow_artist(access_token=token, artist_id=artist_id)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="follow_artists_of_playlist",
    split="train",
    phrasings=(
        'Follow all the artists who have a song on my playlist "{title}".',
        'I like everybody on my "{title}" playlist. Make sure that I follow each of these artists.',
    ),
    prepare=prepare,
    gold=gold,
)
