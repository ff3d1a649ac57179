"""music: reviews, downloads, the queue and the player."""

from __future__ import annotations

from typing import Any

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.music import (
    MUSIC,
    SONG,
    SONGS,
    album_exists,
    drop,
    keep,
    kept_songs,
    song_exists,
)
from palaestra.envs.apps.services.music_playlists import songs_of_playlist, visible_playlist
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

_LONGEST_REVIEW = 2000
_MOST_QUEUED = 200
_REVIEW = (
    "SELECT r.id AS review_id, r.song_id, r.album_id, o.first_name || ' ' || o.last_name AS author, "
    "o.email AS author_email, r.stars, r.text, r.created_at FROM music_reviews r "
    "JOIN world_people o ON o.id = r.person_id"
)


# ---- reviews -----------------------------------------------------------------------------------------


@api(MUSIC, "GET")
def list_reviews(
    call: Call,
    song_id: int | None = None,
    album_id: int | None = None,
    author_email: str | None = None,
    min_stars: int = 1,
    max_stars: int = 5,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show reviews of songs and albums, the latest first.

    Args:
        song_id: only those of this song.
        album_id: only those of this album.
        author_email: only those of this person, which may be you.
        min_stars: the fewest stars.
        max_stars: the most stars.
        page_index: which page, counted from 0.
        page_limit: reviews a page, at most 20.

    Returns:
        A list of {review_id, song_id, album_id, author, author_email, stars, text, created_at}; either
        song_id or album_id is None.
    """
    asked = {"r.song_id": song_id, "r.album_id": album_id, "o.email": author_email and author_email.lower()}
    asked = {column: value for column, value in asked.items() if value is not None}
    return call.page(
        f"{_REVIEW} WHERE r.stars BETWEEN ? AND ? {''.join(f'AND {column} = ? ' for column in asked)}"
        "ORDER BY r.created_at DESC, r.id DESC",
        min_stars,
        max_stars,
        *asked.values(),
        page_index=page_index,
        page_limit=page_limit,
    )


@api(MUSIC, "POST")
def review_song(call: Call, song_id: int, stars: int, text: str = "") -> Json:
    """Review a song that you have not reviewed.

    Args:
        song_id: the song.
        stars: 1 to 5.
        text: what you say about it.

    Returns:
        {review_id, song_id, album_id, author, author_email, stars, text, created_at}.
    """
    song_exists(call, song_id)
    return _new_review(call, "song_id", song_id, stars, text)


@api(MUSIC, "POST")
def review_album(call: Call, album_id: int, stars: int, text: str = "") -> Json:
    """Review an album that you have not reviewed.

    Args:
        album_id: the album.
        stars: 1 to 5.
        text: what you say about it.

    Returns:
        {review_id, song_id, album_id, author, author_email, stars, text, created_at}.
    """
    album_exists(call, album_id)
    return _new_review(call, "album_id", album_id, stars, text)


@api(MUSIC, "PATCH")
def update_review(call: Call, review_id: int, stars: int | None = None, text: str | None = None) -> Json:
    """Change a review of yours; what is left out stays.

    Args:
        review_id: the review.
        stars: 1 to 5.
        text: its new text.

    Returns:
        {review_id, song_id, album_id, author, author_email, stars, text, created_at}.
    """
    _own_review(call, review_id)
    changes: dict[str, Json] = {}
    if stars is not None:
        changes["stars"] = _stars(stars)
    if text is not None:
        changes["text"] = _review_text(text)
    if not changes:
        raise ApiError(422, "name something to change: stars or text")
    call.update("music_reviews", review_id, **changes)
    return call.row(f"{_REVIEW} WHERE r.id = ?", review_id)


@api(MUSIC, "DELETE")
def delete_review(call: Call, review_id: int) -> Json:
    """Delete a review of yours.

    Args:
        review_id: the review.

    Returns:
        {message}.
    """
    _own_review(call, review_id)
    call.delete("music_reviews", review_id)
    return {"message": "the review is deleted"}


# ---- downloads ---------------------------------------------------------------------------------------


@api(MUSIC, "GET")
def list_downloads(call: Call, query: str = "", page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the songs on your device, the last downloaded ones first. They need not be in your library.

    Args:
        query: a text that must occur in the title or the name of the artist, in any case.
        page_index: which page, counted from 0.
        page_limit: songs a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on,
        downloaded_at}.
    """
    return kept_songs(call, "music_downloads", "downloaded_at", query, page_index, page_limit)


@api(MUSIC, "POST")
def download_song(call: Call, song_id: int) -> Json:
    """Download a song to your device.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    song_exists(call, song_id)
    return keep(call, "music_downloads", "song_id", song_id, "among your downloads")


@api(MUSIC, "DELETE")
def remove_download(call: Call, song_id: int) -> Json:
    """Delete a song from your device.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    return drop(call, "music_downloads", "song_id", song_id, "among your downloads")


# ---- the queue and the player ------------------------------------------------------------------------


@api(MUSIC, "GET")
def show_queue(call: Call) -> Json:
    """Show the songs that will be played next, in this order.

    Returns:
        A list of {queue_id, song_id, title, artist, duration_s}.
    """
    return call.rows(
        f"SELECT q.id AS queue_id, s.id AS song_id, s.title, a.name AS artist, s.duration_s FROM {SONGS} "
        "JOIN music_queue q ON q.song_id = s.id WHERE q.person_id = ? ORDER BY q.place, q.id",
        call.person_id,
    )


@api(MUSIC, "POST")
def add_to_queue(call: Call, song_id: int, first: bool = False) -> Json:
    """Put a song into the queue.

    Args:
        song_id: the song; it may be in the queue more than once.
        first: at its beginning instead of its end.

    Returns:
        {queue_id, song_id}.
    """
    song_exists(call, song_id)
    count, low, high = call.connection.execute(
        "SELECT count(*), ifnull(min(place), 1), ifnull(max(place), 0) FROM music_queue WHERE person_id = ?",
        (call.person_id,),
    ).fetchone()
    if count >= _MOST_QUEUED:
        raise ApiError(422, f"the queue holds at most {_MOST_QUEUED} songs; clear_queue empties it")
    place = low - 1 if first and count else high + 1
    queue_id = call.insert("music_queue", person_id=call.person_id, song_id=song_id, place=place)
    return {"queue_id": queue_id, "song_id": song_id}


@api(MUSIC, "DELETE")
def remove_from_queue(call: Call, queue_id: int) -> Json:
    """Take one song out of the queue.

    Args:
        queue_id: its place in the queue, as show_queue names it.

    Returns:
        {message}.
    """
    call.delete("music_queue", call.mine("music_queue", queue_id, "queue_id", "show_queue shows them")["id"])
    return {"message": "no longer in the queue"}


@api(MUSIC, "DELETE")
def clear_queue(call: Call) -> Json:
    """Empty the queue.

    Returns:
        {message}.
    """
    call.connection.execute("DELETE FROM music_queue WHERE person_id = ?", (call.person_id,))
    return {"message": "the queue is empty"}


@api(MUSIC, "GET")
def show_player(call: Call) -> Json:
    """Show what is played.

    Returns:
        {song_id, title, artist, playing, volume}: the first three are None where there is no song; volume
        goes from 0 to 100.
    """
    return _player(call)


@api(MUSIC, "POST")
def play_song(call: Call, song_id: int) -> Json:
    """Play a song now; the queue stays as it is.

    Args:
        song_id: the song.

    Returns:
        {song_id, title, artist, playing, volume}.
    """
    song_exists(call, song_id)
    return _play(call, song_id)


@api(MUSIC, "POST")
def play_playlist(call: Call, playlist_id: int) -> Json:
    """Play a playlist from its beginning: its other songs replace the queue.

    Args:
        playlist_id: a playlist of yours, or a public one.

    Returns:
        {song_id, title, artist, playing, volume}.
    """
    visible_playlist(call, playlist_id)
    songs = [song["song_id"] for song in songs_of_playlist(call, playlist_id)]
    if not songs:
        raise ApiError(409, "there are no songs in this playlist")
    call.connection.execute("DELETE FROM music_queue WHERE person_id = ?", (call.person_id,))
    rows = [{"person_id": call.person_id, "song_id": song, "place": n} for n, song in enumerate(songs[1:], 1)]
    call.insert_all("music_queue", rows)
    return _play(call, songs[0])


@api(MUSIC, "POST")
def play_next(call: Call) -> Json:
    """Play the first song of the queue, which leaves the queue.

    Returns:
        {song_id, title, artist, playing, volume}.
    """
    first = call.row("SELECT * FROM music_queue WHERE person_id = ? ORDER BY place, id", call.person_id)
    if first is None:
        raise ApiError(409, "the queue is empty; add_to_queue puts a song into it")
    call.delete("music_queue", first["id"])
    return _play(call, first["song_id"])


@api(MUSIC, "PATCH")
def set_player(call: Call, playing: bool | None = None, volume: int | None = None) -> Json:
    """Stop the player or let it go on, and set its volume; what is left out stays.

    Args:
        playing: True goes on with the song, False stops it.
        volume: 0 to 100.

    Returns:
        {song_id, title, artist, playing, volume}.
    """
    if playing is None and volume is None:
        raise ApiError(422, "name something to change: playing or volume")
    if volume is not None and not 0 <= volume <= 100:
        raise ApiError(422, "volume goes from 0 to 100")
    if playing and _player(call)["song_id"] is None:
        raise ApiError(409, "there is no song to go on with; play_song plays one")
    changes = {"playing": None if playing is None else int(playing), "volume": volume}
    _set(call, **{name: value for name, value in changes.items() if value is not None})
    return _player(call)


@api(MUSIC, "GET")
def list_plays(call: Call, since: Date | None = None, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show what you listened to, the latest first: one entry each time that a song was played.

    Args:
        since: the first day.
        page_index: which page, counted from 0.
        page_limit: entries a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on, played_at}.
    """
    return call.page(
        f"SELECT {SONG}, h.played_at FROM {SONGS} JOIN music_plays h ON h.song_id = s.id "
        "WHERE h.person_id = ? AND h.played_at >= ? ORDER BY h.played_at DESC, h.id DESC",
        call.person_id,
        since or "",
        page_index=page_index,
        page_limit=page_limit,
    )


# ---- what they share ---------------------------------------------------------------------------------


def _stars(stars: int) -> int:
    if not 1 <= stars <= 5:
        raise ApiError(422, "stars go from 1 to 5")
    return stars


def _review_text(text: str) -> str:
    if len(text) > _LONGEST_REVIEW:
        raise ApiError(422, f"text has at most {_LONGEST_REVIEW} characters")
    return text.strip()


def _new_review(call: Call, column: str, number: int, stars: int, text: str) -> Json:
    known = f"SELECT id FROM music_reviews WHERE person_id = ? AND {column} = ?"
    review_id = call.value(known, call.person_id, number)
    if review_id is not None:
        raise ApiError(409, f"you have reviewed this already; update_review changes review {review_id}")
    review_id = call.insert(
        "music_reviews",
        person_id=call.person_id,
        **{column: number},
        stars=_stars(stars),
        text=_review_text(text),
        created_at=call.now,
    )
    return call.row(f"{_REVIEW} WHERE r.id = ?", review_id)


def _own_review(call: Call, review_id: int) -> None:
    row = call.row("SELECT * FROM music_reviews WHERE id = ?", review_id)
    if row is None:
        raise ApiError(404, f"there is no review {review_id}; list_reviews shows them")
    if row["person_id"] != call.person_id:
        raise ApiError(403, "this review is somebody else's; only its author can change it")


def _player(call: Call) -> dict[str, Any]:
    row = call.row("SELECT * FROM music_players WHERE person_id = ?", call.person_id)
    row = row or {"song_id": None, "playing": 0, "volume": 50}
    song = call.row(f"SELECT {SONG} FROM {SONGS} WHERE s.id = ?", row["song_id"])
    song = song or {"song_id": None, "title": None, "artist": None}
    shown = {name: song[name] for name in ("song_id", "title", "artist")}
    return {**shown, "playing": bool(row["playing"]), "volume": row["volume"]}


def _set(call: Call, **columns: Json) -> None:
    row_id = call.value("SELECT id FROM music_players WHERE person_id = ?", call.person_id)
    if row_id is None:
        row_id = call.insert("music_players", person_id=call.person_id)
    call.update("music_players", row_id, **columns)


def _play(call: Call, song_id: int) -> dict[str, Any]:
    _set(call, song_id=song_id, playing=1)
    call.insert("music_plays", person_id=call.person_id, song_id=song_id, played_at=call.now)
    return _player(call)
