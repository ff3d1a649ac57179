"""music: artists, albums and songs; a library, likes, follows and recommendations.

``music_playlists`` and ``music_player`` hold its other APIs.
"""

from __future__ import annotations

from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, App, api
from palaestra.envs.apps.services.music_seed import seed
from palaestra.envs.apps.values import Date, Json
from palaestra.envs.apps.world import Call

MUSIC = App(
    name="music",
    description="Songs, albums and artists; a library, playlists, likes, reviews, downloads and a player.",
    schema="""
    CREATE TABLE music_artists (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, genre TEXT NOT NULL, about TEXT NOT NULL,
        followers INTEGER NOT NULL
    );
    CREATE TABLE music_albums (
        id INTEGER PRIMARY KEY, artist_id INTEGER NOT NULL, title TEXT NOT NULL, genre TEXT NOT NULL,
        released_on TEXT NOT NULL, rating REAL NOT NULL
    );
    CREATE TABLE music_songs (
        id INTEGER PRIMARY KEY, album_id INTEGER NOT NULL, title TEXT NOT NULL, track INTEGER NOT NULL,
        duration_s INTEGER NOT NULL, rating REAL NOT NULL, plays INTEGER NOT NULL
    );
    CREATE TABLE music_library_songs (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER NOT NULL,
        kept_since TEXT NOT NULL, UNIQUE (person_id, song_id)
    );
    CREATE TABLE music_library_albums (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, album_id INTEGER NOT NULL,
        kept_since TEXT NOT NULL, UNIQUE (person_id, album_id)
    );
    CREATE TABLE music_likes (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER NOT NULL,
        kept_since TEXT NOT NULL, UNIQUE (person_id, song_id)
    );
    CREATE TABLE music_follows (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, artist_id INTEGER NOT NULL,
        kept_since TEXT NOT NULL, UNIQUE (person_id, artist_id)
    );
    CREATE TABLE music_downloads (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER NOT NULL,
        kept_since TEXT NOT NULL, UNIQUE (person_id, song_id)
    );
    CREATE TABLE music_playlists (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, title TEXT NOT NULL,
        description TEXT NOT NULL DEFAULT '', public INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE TABLE music_playlist_songs (
        id INTEGER PRIMARY KEY, playlist_id INTEGER NOT NULL, song_id INTEGER NOT NULL,
        UNIQUE (playlist_id, song_id)
    );
    CREATE TABLE music_saved_playlists (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, playlist_id INTEGER NOT NULL,
        UNIQUE (person_id, playlist_id)
    );
    CREATE TABLE music_reviews (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER, album_id INTEGER,
        stars INTEGER NOT NULL, text TEXT NOT NULL DEFAULT '', created_at TEXT NOT NULL,
        UNIQUE (person_id, song_id), UNIQUE (person_id, album_id)
    );
    CREATE TABLE music_queue (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER NOT NULL, place INTEGER NOT NULL
    );
    CREATE TABLE music_players (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL UNIQUE, song_id INTEGER,
        playing INTEGER NOT NULL DEFAULT 0, volume INTEGER NOT NULL DEFAULT 50
    );
    CREATE TABLE music_plays (
        id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL, song_id INTEGER NOT NULL, played_at TEXT NOT NULL
    );
    CREATE INDEX music_songs_album ON music_songs (album_id)
    """,
    seed=seed,
    automatic=("created_at", "updated_at", "kept_since"),
    volatile=("music_plays",),
)

SONG = (
    "s.id AS song_id, s.title, a.id AS artist_id, a.name AS artist, b.id AS album_id, b.genre, s.duration_s, "
    "b.released_on"
)
SONGS = "music_songs s JOIN music_albums b ON b.id = s.album_id JOIN music_artists a ON a.id = b.artist_id"
_ALBUM = "b.id AS album_id, b.title, a.id AS artist_id, a.name AS artist, b.genre, b.released_on, b.rating"
_ALBUMS = "music_albums b JOIN music_artists a ON a.id = b.artist_id"


# ---- what there is -----------------------------------------------------------------------------------


@api(MUSIC, "GET")
def search_songs(
    call: Call,
    query: str = "",
    artist_id: int | None = None,
    genre: str | None = None,
    min_released_on: Date | None = None,
    max_released_on: Date | None = None,
    sort_by: Literal["title", "-plays", "-rating", "released_on", "-released_on"] = "-plays",
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find songs among all that there are; plays and ratings are in show_song.

    Args:
        query: a text that must occur in the title or the name of the artist, in any case.
        artist_id: the artist.
        genre: the genre; list_genres shows them.
        min_released_on: the first day of release.
        max_released_on: the last day of release.
        sort_by: the order; a minus sign puts the highest (or the latest) first.
        page_index: which page, counted from 0.
        page_limit: songs a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on}.
    """
    conditions, values = _conditions(
        {"instr(lower(s.title || char(10) || a.name), ?)": query.lower() or None},
        {"a.id = ?": artist_id, "b.genre = ?": genre and genre.lower()},
        {"b.released_on >= ?": min_released_on, "b.released_on <= ?": max_released_on},
    )
    column = ("s." if "released" not in sort_by else "b.") + sort_by.lstrip("-")
    order = f"{column} {'DESC' if sort_by.startswith('-') else 'ASC'}, s.id"
    sql = f"SELECT {SONG} FROM {SONGS} WHERE {conditions} ORDER BY {order}"
    return call.page(sql, *values, page_index=page_index, page_limit=page_limit)


@api(MUSIC, "GET")
def show_song(call: Call, song_id: int) -> Json:
    """Show a song, and what you did with it.

    Args:
        song_id: the song.

    Returns:
        {song_id, title, artist_id, artist, album_id, album, genre, duration_s, released_on, track, rating,
        plays, liked, in_library, downloaded}: rating is the average over all listeners, from 1 to 5.
    """
    song_exists(call, song_id)
    song = call.row(
        f"SELECT {SONG}, b.title AS album, s.track, s.rating, s.plays FROM {SONGS} WHERE s.id = ?", song_id
    )
    tables = {"liked": "likes", "in_library": "library_songs", "downloaded": "downloads"}
    mine = {name: _has(call, f"music_{table}", "song_id", song_id) for name, table in tables.items()}
    return {**(song or {}), **mine}


@api(MUSIC, "GET")
def search_albums(
    call: Call,
    query: str = "",
    artist_id: int | None = None,
    genre: str | None = None,
    min_released_on: Date | None = None,
    max_released_on: Date | None = None,
    sort_by: Literal["title", "-rating", "released_on", "-released_on"] = "-rating",
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find albums among all that there are.

    Args:
        query: a text that must occur in the title or the name of the artist, in any case.
        artist_id: the artist.
        genre: the genre; list_genres shows them.
        min_released_on: the first day of release.
        max_released_on: the last day of release.
        sort_by: the order; a minus sign puts the highest (or the latest) first.
        page_index: which page, counted from 0.
        page_limit: albums a page, at most 20.

    Returns:
        A list of {album_id, title, artist_id, artist, genre, released_on, rating}.
    """
    conditions, values = _conditions(
        {"instr(lower(b.title || char(10) || a.name), ?)": query.lower() or None},
        {"a.id = ?": artist_id, "b.genre = ?": genre and genre.lower()},
        {"b.released_on >= ?": min_released_on, "b.released_on <= ?": max_released_on},
    )
    order = f"b.{sort_by.lstrip('-')} {'DESC' if sort_by.startswith('-') else 'ASC'}, b.id"
    sql = f"SELECT {_ALBUM} FROM {_ALBUMS} WHERE {conditions} ORDER BY {order}"
    return call.page(sql, *values, page_index=page_index, page_limit=page_limit)


@api(MUSIC, "GET")
def show_album(call: Call, album_id: int) -> Json:
    """Show an album with its songs.

    Args:
        album_id: the album.

    Returns:
        {album_id, title, artist_id, artist, genre, released_on, rating, in_library, songs}: songs is a list
        of song_id, title, track and duration_s, in the order of the tracks.
    """
    album_exists(call, album_id)
    album = call.row(f"SELECT {_ALBUM} FROM {_ALBUMS} WHERE b.id = ?", album_id)
    songs = call.rows(
        "SELECT id AS song_id, title, track, duration_s FROM music_songs WHERE album_id = ? "
        "ORDER BY track, id",
        album_id,
    )
    kept = _has(call, "music_library_albums", "album_id", album_id)
    return {**(album or {}), "in_library": kept, "songs": songs}


@api(MUSIC, "GET")
def search_artists(
    call: Call, query: str = "", genre: str | None = None, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Find artists, those with the most followers first.

    Args:
        query: a text that must occur in the name, in any case.
        genre: the genre; list_genres shows them.
        page_index: which page, counted from 0.
        page_limit: artists a page, at most 20.

    Returns:
        A list of {artist_id, name, genre, followers}.
    """
    conditions, values = _conditions(
        {"instr(lower(name), ?)": query.lower() or None, "genre = ?": genre and genre.lower()}
    )
    return call.page(
        f"SELECT id AS artist_id, name, genre, followers FROM music_artists WHERE {conditions} "
        "ORDER BY followers DESC, id",
        *values,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(MUSIC, "GET")
def show_artist(call: Call, artist_id: int) -> Json:
    """Show an artist.

    Args:
        artist_id: the artist.

    Returns:
        {artist_id, name, genre, about, followers, followed}: followed says whether you follow them.
    """
    artist = _artist(call, artist_id)
    names = ("name", "genre", "about", "followers")
    followed = _has(call, "music_follows", "artist_id", artist_id)
    return {"artist_id": artist_id, **{name: artist[name] for name in names}, "followed": followed}


@api(MUSIC, "GET")
def list_genres(call: Call) -> Json:
    """Show the genres of all songs, by name.

    Returns:
        A list of {genre, songs}, with the number of songs.
    """
    return call.rows(f"SELECT b.genre, count(*) AS songs FROM {SONGS} GROUP BY b.genre ORDER BY b.genre")


@api(MUSIC, "GET")
def list_recommendations(call: Call, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show songs for you: by artists whom you follow, and not in your library; the most played first.

    Args:
        page_index: which page, counted from 0.
        page_limit: songs a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on}.
    """
    me = call.person_id
    return call.page(
        f"SELECT {SONG} FROM {SONGS} WHERE a.id IN (SELECT artist_id FROM music_follows WHERE person_id = ?) "
        "AND s.id NOT IN (SELECT song_id FROM music_library_songs WHERE person_id = ?) "
        "ORDER BY s.plays DESC, s.id",
        me,
        me,
        page_index=page_index,
        page_limit=page_limit,
    )


# ---- library, likes and follows ----------------------------------------------------------------------


@api(MUSIC, "GET")
def list_library_songs(call: Call, query: str = "", page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the songs of your library, the last added ones first.

    Args:
        query: a text that must occur in the title or the name of the artist, in any case.
        page_index: which page, counted from 0.
        page_limit: songs a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on, added_at}.
    """
    return kept_songs(call, "music_library_songs", "added_at", query, page_index, page_limit)


@api(MUSIC, "POST")
def add_song_to_library(call: Call, song_id: int) -> Json:
    """Add a song to your library.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    song_exists(call, song_id)
    return keep(call, "music_library_songs", "song_id", song_id, "in your library")


@api(MUSIC, "DELETE")
def remove_song_from_library(call: Call, song_id: int) -> Json:
    """Take a song out of your library; likes, downloads and playlists stay as they are.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    return drop(call, "music_library_songs", "song_id", song_id, "in your library")


@api(MUSIC, "GET")
def list_library_albums(call: Call, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the albums of your library, the last added ones first.

    Args:
        page_index: which page, counted from 0.
        page_limit: albums a page, at most 20.

    Returns:
        A list of {album_id, title, artist_id, artist, genre, released_on, rating, added_at}.
    """
    return call.page(
        f"SELECT {_ALBUM}, k.kept_since AS added_at FROM {_ALBUMS} JOIN music_library_albums k "
        "ON k.album_id = b.id WHERE k.person_id = ? ORDER BY k.kept_since DESC, k.id DESC",
        call.person_id,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(MUSIC, "POST")
def add_album_to_library(call: Call, album_id: int) -> Json:
    """Add an album to your library; its songs are not added one by one.

    Args:
        album_id: the album.

    Returns:
        {message}.
    """
    album_exists(call, album_id)
    return keep(call, "music_library_albums", "album_id", album_id, "in your library")


@api(MUSIC, "DELETE")
def remove_album_from_library(call: Call, album_id: int) -> Json:
    """Take an album out of your library; songs that you added one by one stay.

    Args:
        album_id: the album.

    Returns:
        {message}.
    """
    return drop(call, "music_library_albums", "album_id", album_id, "in your library")


@api(MUSIC, "GET")
def list_liked_songs(call: Call, query: str = "", page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the songs that you like, the last liked ones first. They need not be in your library.

    Args:
        query: a text that must occur in the title or the name of the artist, in any case.
        page_index: which page, counted from 0.
        page_limit: songs a page, at most 20.

    Returns:
        A list of {song_id, title, artist_id, artist, album_id, genre, duration_s, released_on, liked_at}.
    """
    return kept_songs(call, "music_likes", "liked_at", query, page_index, page_limit)


@api(MUSIC, "POST")
def like_song(call: Call, song_id: int) -> Json:
    """Like a song.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    song_exists(call, song_id)
    return keep(call, "music_likes", "song_id", song_id, "among your likes")


@api(MUSIC, "DELETE")
def unlike_song(call: Call, song_id: int) -> Json:
    """Take back a like.

    Args:
        song_id: the song.

    Returns:
        {message}.
    """
    return drop(call, "music_likes", "song_id", song_id, "among your likes")


@api(MUSIC, "GET")
def list_followed_artists(call: Call, page_index: int = 0, page_limit: int = 5) -> Json:
    """Show the artists whom you follow, by name.

    Args:
        page_index: which page, counted from 0.
        page_limit: artists a page, at most 20.

    Returns:
        A list of {artist_id, name, genre, followers, followed_at}.
    """
    return call.page(
        "SELECT a.id AS artist_id, a.name, a.genre, a.followers, k.kept_since AS followed_at "
        "FROM music_artists a JOIN music_follows k ON k.artist_id = a.id WHERE k.person_id = ? "
        "ORDER BY a.name, a.id",
        call.person_id,
        page_index=page_index,
        page_limit=page_limit,
    )


@api(MUSIC, "POST")
def follow_artist(call: Call, artist_id: int) -> Json:
    """Follow an artist.

    Args:
        artist_id: the artist.

    Returns:
        {message}.
    """
    _artist(call, artist_id)
    return keep(call, "music_follows", "artist_id", artist_id, "among the artists whom you follow")


@api(MUSIC, "DELETE")
def unfollow_artist(call: Call, artist_id: int) -> Json:
    """Follow an artist no more.

    Args:
        artist_id: the artist.

    Returns:
        {message}.
    """
    return drop(call, "music_follows", "artist_id", artist_id, "among the artists whom you follow")


# ---- what the files of this app share ----------------------------------------------------------------


def song_exists(call: Call, song_id: int) -> None:
    """Raise ``ApiError`` 404 for a song that there is not."""
    if call.value("SELECT 1 FROM music_songs WHERE id = ?", song_id) is None:
        raise ApiError(404, f"there is no song {song_id}; search_songs finds songs")


def album_exists(call: Call, album_id: int) -> None:
    """Raise ``ApiError`` 404 for an album that there is not."""
    if call.value("SELECT 1 FROM music_albums WHERE id = ?", album_id) is None:
        raise ApiError(404, f"there is no album {album_id}; search_albums finds albums")


def keep(call: Call, table: str, column: str, number: int, where: str) -> dict[str, Json]:
    """Add one thing to a list of the caller's. Raises ``ApiError`` 409 where it is there already."""
    if _has(call, table, column, number):
        raise ApiError(409, f"this is {where} already")
    call.insert(table, person_id=call.person_id, **{column: number}, kept_since=call.now)
    return {"message": f"now {where}"}


def drop(call: Call, table: str, column: str, number: int, where: str) -> dict[str, Json]:
    """Take one thing from a list of the caller's. Raises ``ApiError`` 404 where it is not there."""
    sql = f"SELECT id FROM {table} WHERE person_id = ? AND {column} = ?"
    row_id = call.value(sql, call.person_id, number)
    if row_id is None:
        raise ApiError(404, f"{column} {number} is not {where}")
    call.delete(table, row_id)
    return {"message": f"no longer {where}"}


def kept_songs(
    call: Call, table: str, when: str, query: str, page_index: int, page_limit: int
) -> list[dict[str, Any]]:
    """Return a page of the songs in one of the caller's lists, the last added ones first."""
    return call.page(
        f"SELECT {SONG}, k.kept_since AS {when} FROM {SONGS} JOIN {table} k ON k.song_id = s.id "
        "WHERE k.person_id = ? AND instr(lower(s.title || char(10) || a.name), ?) "
        "ORDER BY k.kept_since DESC, k.id DESC",
        call.person_id,
        query.lower(),
        page_index=page_index,
        page_limit=page_limit,
    )


def _has(call: Call, table: str, column: str, number: int) -> bool:
    sql = f"SELECT 1 FROM {table} WHERE person_id = ? AND {column} = ?"
    return call.value(sql, call.person_id, number) is not None


def _artist(call: Call, artist_id: int) -> dict[str, Any]:
    artist = call.row("SELECT * FROM music_artists WHERE id = ?", artist_id)
    if artist is None:
        raise ApiError(404, f"there is no artist {artist_id}; search_artists finds artists")
    return artist


def _conditions(*groups: dict[str, Json]) -> tuple[str, list[Json]]:
    """Return the conditions whose value is not None, joined, and the values."""
    asked = {sql: value for group in groups for sql, value in group.items() if value is not None}
    return " AND ".join(["1", *asked]), list(asked.values())
