"""Review all songs of the library that one artist made; change the reviews that are there."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, changed, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login

_TEXTS = ("Better live", "I cannot stop humming it", "Good for long drives", "Not their best", "Pure joy")


def prepare(draft: Draft) -> Plan:
    """Choose an artist of enough songs, put some of them into the library, and review two."""
    me = draft.me.id
    artists = draft.rows(
        "SELECT a.id, a.name FROM music_artists a JOIN music_albums b ON b.artist_id = a.id "
        "JOIN music_songs s ON s.album_id = b.id GROUP BY a.id HAVING count(*) >= 6 ORDER BY a.id"
    )
    artist = draft.choose(artists)
    songs = draft.rows(
        "SELECT s.id FROM music_songs s JOIN music_albums b ON b.id = s.album_id WHERE b.artist_id = ?",
        artist["id"],
    )
    chosen = [row["id"] for row in draft.sample(songs, len(songs))]
    for song in chosen:
        for table in ("music_library_songs", "music_reviews"):
            for row in draft.rows(f"SELECT id FROM {table} WHERE person_id = ? AND song_id = ?", me, song):
                draft.delete(table, row["id"])
    kept, others = chosen[: draft.number(3, 4)], chosen[4:]
    for song in kept:
        draft.insert("music_library_songs", person_id=me, song_id=song, kept_since=draft.moment(-90, -2))
    stars, text = draft.number(2, 4), draft.choose(_TEXTS)
    known = _review(draft, me, kept[0], stars + 1)
    _review(draft, me, others[0], stars - 1)
    # What somebody else says of a song is no review of the supervisor.
    friend = draft.choose(draft.life.strangers).id
    for row in draft.rows("SELECT id FROM music_reviews WHERE person_id = ?", friend):
        draft.delete("music_reviews", row["id"])
    _review(draft, friend, kept[1], stars)
    must = [changed("music_reviews", known, stars=stars, text=same_text(text))]
    must += [added("music_reviews", song_id=song, stars=stars, text=same_text(text)) for song in kept[1:]]
    return Plan(
        parameters={"artist": artist["name"], "stars": stars, "text": text},
        must=must,
        near_misses=[
            NearMiss(
                "other songs of the library, too",
                edit=(
                    "songs = [song for song in library if song['artist'] == artist]",
                    "songs = apis.music.list_library_songs(access_token=token)",
                ),
            ),
            NearMiss("one less", edit=("for song in songs:", "for song in songs[1:]:")),
            NearMiss("old reviews stay", edit=("apis.music.update_review(", "dict(")),
            NearMiss(
                "the old text stays", edit=("stars=stars, text=text)\n    else", "stars=stars)\n    else")
            ),
            NearMiss("a star more", edit=("stars=stars, text", "stars=stars + 1, text")),
        ],
    )


def _review(draft: Draft, person: int, song: int, stars: int) -> int:
    return draft.insert(
        "music_reviews",
        person_id=person,
        song_id=song,
        stars=stars,
        text="I heard it on the radio.",
        created_at=draft.moment(-60, -3),
    )


def gold(artist: str, stars: int, text: str) -> None:
    """Find the songs and the reviews, then write."""
    me = apis.supervisor.show_profile()["email"]
    token = login("music")
    library = every_page(apis.music.list_library_songs, access_token=token, query=artist)
    songs = [song for song in library if song["artist"] == artist]
    reviews = every_page(apis.music.list_reviews, access_token=token, author_email=me)
    known = {review["song_id"]: review["review_id"] for review in reviews}
    print(songs, known)

    for song in songs:
        if song["song_id"] in known:
            review_id = known[song["song_id"]]
            apis.music.update_review(access_token=token, review_id=review_id, stars=stars, text=text)
        else:
            apis.music.review_song(access_token=token, song_id=song["song_id"], stars=stars, text=text)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="rate_songs_of_artist",
    split="train",
    phrasings=(
        "Review every song by {artist} that is in my music library, with {stars} stars and the text "
        '"{text}". '
        "Where I have reviewed such a song already, change that review to these stars and this text.",
        "All songs by {artist} among the songs of my library get {stars} stars from me, and the review text "
        '"{text}". If there is a review of mine of one of them, update it instead of writing another; do not '
        "review songs of theirs that I do not have in the library.",
    ),
    prepare=prepare,
    gold=gold,
)
