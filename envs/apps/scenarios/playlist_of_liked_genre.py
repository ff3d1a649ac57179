"""Make a playlist of the songs of one genre that the supervisor likes."""

from __future__ import annotations

from palaestra.envs.apps.changes import added
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Like a few songs of the genre, and leave others of it unliked."""
    of_genre = (
        "SELECT music_songs.id FROM music_songs JOIN music_albums ON album_id = music_albums.id "
        "WHERE genre = ? ORDER BY music_songs.id"
    )
    genres = [row["genre"] for row in draft.rows("SELECT DISTINCT genre FROM music_albums ORDER BY genre")]
    genre = draft.choose([name for name in genres if len(draft.rows(of_genre, name)) >= 8])
    songs = [row["id"] for row in draft.rows(of_genre, genre)]
    liked = draft.sample(songs, draft.number(3, 5))
    for row in draft.rows("SELECT id, song_id FROM music_likes WHERE person_id = ?", draft.me.id):
        if row["song_id"] in songs:
            draft.delete("music_likes", row["id"])
    for song in liked:
        draft.insert("music_likes", person_id=draft.me.id, song_id=song, kept_since=draft.moment(-200, -2))
    title = f"My {genre} of {draft.choose(['the year', 'the season', 'all times', 'quiet days'])}"
    playlist = added("music_playlists", title=title)
    songs_of_it = [added("music_playlist_songs", playlist_id=playlist, song_id=song) for song in liked]
    add = (
        "apis.music.add_song_to_playlist(access_token=token, playlist_id=playlist_id, "
        "song_id=song['song_id'])"
    )
    return Plan(
        parameters={"genre": genre, "title": title},
        must=[playlist, *songs_of_it],
        near_misses=[
            NearMiss("all liked songs", edit=("if song['genre'] == genre", "if True")),
            NearMiss("one song less", edit=("for song in chosen:", "for song in chosen[1:]:")),
            NearMiss("another title", edit=("title=title", "title=title + '!'")),
            NearMiss("for everybody to see", edit=("title=title", "title=title, public=True")),
            NearMiss(
                "queued as well",
                extra=("apis.music.add_to_queue(access_token=token, song_id=chosen[0]['song_id'])"),
            ),
            NearMiss(
                "queued instead",
                edit=(add, "apis.music.add_to_queue(access_token=token, song_id=song['song_id'])"),
            ),
        ],
    )


def gold(genre: str, title: str) -> None:
    """Collect the songs, then make the playlist."""
    token = login("music")
    songs = every_page(apis.music.list_liked_songs, access_token=token)
    chosen = [song for song in songs if song["genre"] == genre]
    print(chosen)

    playlist_id = apis.music.create_playlist(access_token=token, title=title)["playlist_id"]
    for song in chosen:
        apis.music.add_song_to_playlist(access_token=token, playlist_id=playlist_id, song_id=song["song_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="playlist_of_liked_genre",
    split="train",
    phrasings=(
        'Make me a playlist called "{title}" with all the {genre} songs that I have liked.',
        'I want all {genre} songs among my liked songs in a new playlist. Name it "{title}".',
        'Create the playlist "{title}" in the music app and put each song of the genre {genre} on it that I '
        "like, nothing else.",
    ),
    prepare=prepare,
    gold=gold,
)
