"""music: playlists, own ones and public ones of others."""

from __future__ import annotations

from typing import Any

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.music import MUSIC, SONG, SONGS, song_exists
from palaestra.envs.apps.values import Json
from palaestra.envs.apps.world import Call

_LONGEST_TITLE = 100
_MOST_SONGS = 200
_PLAYLIST = (
    "SELECT p.id AS playlist_id, p.title, p.description, p.public, "
    "o.first_name || ' ' || o.last_name AS owner, o.email AS owner_email, "
    "(SELECT count(*) FROM music_playlist_songs x WHERE x.playlist_id = p.id) AS songs, "
    "p.created_at, p.updated_at FROM music_playlists p JOIN world_people o ON o.id = p.person_id"
)


# ---- their APIs --------------------------------------------------------------------------------------


@api(MUSIC, "GET")
def list_playlists(
    call: Call, query: str = "", public: bool | None = None, page_index: int = 0, page_limit: int = 5
) -> Json:
    """Show your own playlists, by title.

    Args:
        query: a text that must occur in the title, in any case.
        public: only public ones (True), or only private ones (False).
        page_index: which page, counted from 0.
        page_limit: playlists a page, at most 20.

    Returns:
        A list of {playlist_id, title, description, public, owner, owner_email, songs, created_at,
        updated_at}, with the number of songs.
    """
    rows = call.page(
        f"{_PLAYLIST} WHERE p.person_id = ? AND instr(lower(p.title), ?) AND p.public = ifnull(?, p.public) "
        "ORDER BY p.title, p.id",
        call.person_id,
        query.lower(),
        public,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_truthful(row) for row in rows]


@api(MUSIC, "GET")
def search_public_playlists(
    call: Call,
    query: str = "",
    owner_email: str | None = None,
    saved: bool | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Find public playlists of other people, by title.

    Args:
        query: a text that must occur in the title, in any case.
        owner_email: whose they are.
        saved: only those that you saved (True), or only others (False).
        page_index: which page, counted from 0.
        page_limit: playlists a page, at most 20.

    Returns:
        A list of {playlist_id, title, description, public, owner, owner_email, songs, created_at,
        updated_at}, with the number of songs.
    """
    mine = "p.id IN (SELECT playlist_id FROM music_saved_playlists WHERE person_id = ?)"
    rows = call.page(
        f"{_PLAYLIST} WHERE p.public AND p.person_id != ? AND instr(lower(p.title), ?) "
        f"AND o.email = ifnull(?, o.email) AND ({mine}) = ifnull(?, {mine}) ORDER BY p.title, p.id",
        call.person_id,
        query.lower(),
        owner_email and owner_email.strip().lower(),
        call.person_id,
        saved,
        call.person_id,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_truthful(row) for row in rows]


@api(MUSIC, "GET")
def show_playlist(call: Call, playlist_id: int) -> Json:
    """Show a playlist of yours, or a public one, with its songs.

    Args:
        playlist_id: the playlist.

    Returns:
        {playlist_id, title, description, public, owner, owner_email, songs, created_at, updated_at}: songs is
        a list of song_id, title, artist_id, artist, album_id, genre, duration_s and released_on, in the order
        in which they were added.
    """
    return {**visible_playlist(call, playlist_id), "songs": songs_of_playlist(call, playlist_id)}


@api(MUSIC, "POST")
def create_playlist(call: Call, title: str, description: str = "", public: bool = False) -> Json:
    """Create a playlist without songs.

    Args:
        title: its title, which none of your other playlists may have.
        description: what it is about.
        public: whether others can see it.

    Returns:
        {playlist_id, title, description, public, owner, owner_email, songs, created_at, updated_at}, with the
        number of songs.
    """
    playlist_id = call.insert(
        "music_playlists",
        person_id=call.person_id,
        title=_free_title(call, title),
        description=description,
        public=int(public),
        created_at=call.now,
        updated_at=call.now,
    )
    return visible_playlist(call, playlist_id)


@api(MUSIC, "PATCH")
def update_playlist(
    call: Call,
    playlist_id: int,
    title: str | None = None,
    description: str | None = None,
    public: bool | None = None,
) -> Json:
    """Change a playlist of yours; what is left out stays.

    Args:
        playlist_id: the playlist.
        title: its new title.
        description: its new description.
        public: whether others can see it.

    Returns:
        {playlist_id, title, description, public, owner, owner_email, songs, created_at, updated_at}, with the
        number of songs.
    """
    own = _own(call, playlist_id)
    if title is not None and title.strip() != own["title"]:
        title = _free_title(call, title)
    changes = {"title": title, "description": description, "public": None if public is None else int(public)}
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, "name something to change: title, description or public")
    call.update("music_playlists", playlist_id, **changes, updated_at=call.now)
    return visible_playlist(call, playlist_id)


@api(MUSIC, "DELETE")
def delete_playlist(call: Call, playlist_id: int) -> Json:
    """Delete a playlist of yours for ever; its songs stay wherever else they are.

    Args:
        playlist_id: the playlist.

    Returns:
        {message}.
    """
    _own(call, playlist_id)
    for table in ("music_playlist_songs", "music_saved_playlists"):
        call.connection.execute(f"DELETE FROM {table} WHERE playlist_id = ?", (playlist_id,))
    call.delete("music_playlists", playlist_id)
    return {"message": "the playlist is deleted"}


@api(MUSIC, "POST")
def add_song_to_playlist(call: Call, playlist_id: int, song_id: int) -> Json:
    """Add a song to the end of a playlist of yours.

    Args:
        playlist_id: the playlist.
        song_id: the song; it may be in the playlist only once.

    Returns:
        {playlist_id, title, description, public, owner, owner_email, songs, created_at, updated_at}, with the
        number of songs.
    """
    _own(call, playlist_id)
    song_exists(call, song_id)
    if _entry(call, playlist_id, song_id) is not None:
        raise ApiError(409, "the song is in this playlist already")
    if visible_playlist(call, playlist_id)["songs"] >= _MOST_SONGS:
        raise ApiError(422, f"a playlist holds at most {_MOST_SONGS} songs")
    call.insert("music_playlist_songs", playlist_id=playlist_id, song_id=song_id)
    call.update("music_playlists", playlist_id, updated_at=call.now)
    return visible_playlist(call, playlist_id)


@api(MUSIC, "DELETE")
def remove_song_from_playlist(call: Call, playlist_id: int, song_id: int) -> Json:
    """Take a song out of a playlist of yours.

    Args:
        playlist_id: the playlist.
        song_id: the song.

    Returns:
        {playlist_id, title, description, public, owner, owner_email, songs, created_at, updated_at}, with the
        number of songs.
    """
    _own(call, playlist_id)
    entry = _entry(call, playlist_id, song_id)
    if entry is None:
        raise ApiError(404, f"song {song_id} is not in this playlist; show_playlist shows its songs")
    call.delete("music_playlist_songs", entry)
    call.update("music_playlists", playlist_id, updated_at=call.now)
    return visible_playlist(call, playlist_id)


@api(MUSIC, "POST")
def save_playlist(call: Call, playlist_id: int) -> Json:
    """Save a public playlist of somebody else, to find it again.

    Args:
        playlist_id: the playlist.

    Returns:
        {message}.
    """
    if visible_playlist(call, playlist_id)["owner_email"] == _my_email(call):
        raise ApiError(409, "this playlist is your own")
    if _saved(call, playlist_id) is not None:
        raise ApiError(409, "you have saved this playlist already")
    call.insert("music_saved_playlists", person_id=call.person_id, playlist_id=playlist_id)
    return {"message": "the playlist is saved"}


@api(MUSIC, "DELETE")
def unsave_playlist(call: Call, playlist_id: int) -> Json:
    """Save a playlist no more.

    Args:
        playlist_id: the playlist.

    Returns:
        {message}.
    """
    saved = _saved(call, playlist_id)
    if saved is None:
        raise ApiError(404, f"you have not saved playlist {playlist_id}")
    call.delete("music_saved_playlists", saved)
    return {"message": "the playlist is no longer saved"}


# ---- what they share ---------------------------------------------------------------------------------


def _truthful(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "public": bool(row["public"])}


def visible_playlist(call: Call, playlist_id: int) -> dict[str, Any]:
    """Return a playlist that the caller can see, without its songs. Raises ``ApiError`` 404."""
    found = call.row(
        f"{_PLAYLIST} WHERE p.id = ? AND (p.public OR p.person_id = ?)", playlist_id, call.person_id
    )
    if found is None:
        raise ApiError(
            404, f"there is no playlist {playlist_id} that you can see; list_playlists shows yours"
        )
    return _truthful(found)


def _own(call: Call, playlist_id: int) -> dict[str, Any]:
    owner = visible_playlist(call, playlist_id)["owner"]
    row = call.row("SELECT * FROM music_playlists WHERE id = ?", playlist_id)
    if row is None or row["person_id"] != call.person_id:
        raise ApiError(403, f"this playlist belongs to {owner}; only they can change it")
    return row


def songs_of_playlist(call: Call, playlist_id: int) -> list[dict[str, Any]]:
    """Return the songs of a playlist, in the order in which they were added."""
    return call.rows(
        f"SELECT {SONG} FROM {SONGS} JOIN music_playlist_songs x ON x.song_id = s.id "
        "WHERE x.playlist_id = ? ORDER BY x.id",
        playlist_id,
    )


def _entry(call: Call, playlist_id: int, song_id: int) -> Any:
    sql = "SELECT id FROM music_playlist_songs WHERE playlist_id = ? AND song_id = ?"
    return call.value(sql, playlist_id, song_id)


def _saved(call: Call, playlist_id: int) -> Any:
    sql = "SELECT id FROM music_saved_playlists WHERE person_id = ? AND playlist_id = ?"
    return call.value(sql, call.person_id, playlist_id)


def _my_email(call: Call) -> str:
    return call.value("SELECT email FROM world_people WHERE id = ?", call.person_id)


def _free_title(call: Call, title: str) -> str:
    title = title.strip()
    if not title or len(title) > _LONGEST_TITLE:
        raise ApiError(422, f"title must have 1 to {_LONGEST_TITLE} characters")
    known = "SELECT 1 FROM music_playlists WHERE person_id = ? AND title = ?"
    if call.value(known, call.person_id, title) is not None:
        raise ApiError(409, f"you have a playlist {title!r} already")
    return title
