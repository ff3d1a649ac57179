"""What music holds at the beginning: a catalogue, and what the people of a life collected of it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import numpy as np

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GENRES = ("classical", "electronic", "folk", "hip hop", "jazz", "pop", "rock", "soul")
_ARTISTS = (
    "The Paper Lanterns",
    "Nightjar",
    "Copper & Pine",
    "The Paper Moons",
    "Isolde Marrow",
    "Velvet Harbor",
    "Otis Calloway",
    "The Glass Tides",
    "Juniper Road",
    "Kestrel",
    "Mirabel Stone",
    "The Low Lamps",
    "Harbor Lights Quartet",
    "Saffron Kid",
    "Northern Static",
    "Wren & Thistle",
    "Delphine Oko",
    "The Tin Orchard",
    "Cobalt Avenue",
    "Marrowbone",
    "Luma",
    "The Quiet Engines",
    "Tobias Finch",
    "Sable Choir",
    "Amber Kites",
    "Old Ferry Band",
)
_FIRST = _words(
    "Silver Quiet Broken Golden Crooked Distant Electric Burning Hollow Paper Midnight Early Lonely Velvet "
    "Restless Frozen Wandering Open Secret Northern Gentle Crimson Sleeping Faded Second Tender Hidden"
)
_SECOND = _words(
    "River Window Lantern Summer Highway Garden Letters Kingdom Mirror Harbor Thunder Feather Station "
    "Shadows Morning Orchard Signal Ocean Compass Bridges Embers Weather Carousel Horizon Rooftops Satellite"
)
_ALBUM_WORDS = _words(
    "Tides Maps Rooms Seasons Echoes Roads Colors Stories Ghosts Postcards Cities Nights Winds "
    "Fragments Borders"
)
_PRAISE = (
    "I keep coming back to this one.",
    "The best thing they have done.",
    "Fine for the background, nothing more.",
    "Too long, and the mix is muddy.",
    "Perfect for the drive home.",
    "It grew on me after a while.",
    "The chorus is wonderful.",
    "Not my taste at all.",
)
_LISTS = ("Morning run", "Deep focus", "Kitchen radio", "Sunday slow", "Party mix", "Rainy days")


def add_playlist(
    database: Database, owner: Person, title: str, songs: Sequence[int], made: str, *, public: int = 0
) -> int:
    """Add a playlist of songs, in their order; return its id."""
    playlist = database.insert(
        "music_playlists", person_id=owner.id, title=title, public=public, created_at=made, updated_at=made
    )
    rows = [{"playlist_id": playlist, "song_id": song} for song in songs]
    database.insert_all("music_playlist_songs", rows)
    return playlist


def seed(life: Life, database: Database) -> None:
    """Fill the tables."""
    generator = life.generator("music")
    songs = _catalogue(life, generator, database)
    _collection(life, generator, database, songs)
    _playlists(life, generator, database, songs)
    _reviews(life, generator, database, songs)
    _listening(life, generator, database, songs)


def _catalogue(life: Life, generator: np.random.Generator, database: Database) -> list[int]:
    """Add artists, their albums and songs; return the ids of the songs."""
    names = generator.permutation(_ARTISTS).tolist()
    pairs = generator.permutation(len(_FIRST) * len(_SECOND)).tolist()
    titles = [f"{_FIRST[n // len(_SECOND)]} {_SECOND[n % len(_SECOND)]}" for n in pairs]
    artists, albums, songs = [], [], []
    for artist_id, name in enumerate(names, start=1):
        year = life.today.year - int(generator.integers(4, 22))
        genre = GENRES[(artist_id - 1) % len(GENRES)]
        artists.append(
            {
                "id": artist_id,
                "name": name,
                "genre": genre,
                "about": f"A {genre} act, on the road since {year}.",
                "followers": int(generator.integers(2_000, 900_000)),
            }
        )
        for _ in range(int(generator.integers(1, 4))):
            album = _album(life, generator, len(albums) + 1, artist_id, genre, titles)
            albums.append(album)
            songs += _songs(generator, album, titles, len(songs))
    # Songs of different artists may have one title, and a song may exist in another take.
    for target, source in generator.permutation(len(songs))[:16].reshape(8, 2).tolist():
        take = "" if target % 2 else " (Live)"
        songs[target]["title"] = songs[source]["title"] + take
    database.insert_all("music_artists", artists)
    database.insert_all("music_albums", albums)
    database.insert_all("music_songs", songs)
    return [song["id"] for song in songs]


def _album(
    life: Life, generator: np.random.Generator, album_id: int, artist_id: int, genre: str, titles: list[str]
) -> dict[str, Any]:
    other = GENRES[int(generator.integers(len(GENRES)))]
    day = life.today - datetime.timedelta(days=int(generator.integers(20, 5500)))
    word = _ALBUM_WORDS[int(generator.integers(len(_ALBUM_WORDS)))]
    return {
        "id": album_id,
        "artist_id": artist_id,
        "title": f"{titles.pop()[0]} {word}",
        "genre": genre if generator.random() < 0.85 else other,
        "released_on": day.isoformat(),
        "rating": int(generator.integers(25, 50)) / 10,
    }


def _songs(
    generator: np.random.Generator, album: dict[str, Any], titles: list[str], before: int
) -> list[dict[str, Any]]:
    return [
        {
            "id": before + track,
            "album_id": album["id"],
            "title": titles.pop(),
            "track": track,
            "duration_s": int(generator.integers(140, 380)),
            "rating": int(generator.integers(20, 51)) / 10,
            "plays": int(generator.integers(900, 4_000_000)),
        }
        for track in range(1, int(generator.integers(3, 8)) + 1)
    ]


def _some(generator: np.random.Generator, ids: list[int], count: int) -> list[int]:
    return [ids[int(place)] for place in generator.permutation(len(ids))[:count]]


def _collection(life: Life, generator: np.random.Generator, database: Database, songs: list[int]) -> None:
    """Fill the supervisor's library, likes, follows and downloads; the last two overlap with the library."""
    me = life.supervisor.id
    albums = [row["id"] for row in database.rows("SELECT id FROM music_albums ORDER BY id")]
    library = _some(generator, songs, 38)
    liked = [*library[:15], *_some(generator, [song for song in songs if song not in library], 9)]
    kept: dict[str, list[int]] = {
        "library_songs.song_id": library,
        "library_albums.album_id": _some(generator, albums, 9),
        "likes.song_id": liked,
        "follows.artist_id": _some(generator, list(range(1, len(_ARTISTS) + 1)), 8),
        "downloads.song_id": _some(generator, [*library, *liked[15:]], 12),
    }
    for place, ids in kept.items():
        table, column = place.split(".")
        rows = [{"person_id": me, column: one, "kept_since": life.moment(generator, -500, -2)} for one in ids]
        database.insert_all(f"music_{table}", rows)


def _playlists(life: Life, generator: np.random.Generator, database: Database, songs: list[int]) -> None:
    names = generator.permutation(_LISTS).tolist()
    me = life.supervisor
    own = [*names[:4], *(f"Songs for {outing.name}" for outing in life.outings[3:6])]
    owners: list[tuple[Person, str, int]] = [(me, name, int(generator.random() < 0.4)) for name in own]
    people = [*life.relations["friend"], *life.relations["partner"], *life.relations["coworker"][:2]]
    owners += [(one, f"{one.first_name}'s {_pick(generator, _LISTS).lower()}", 1) for one in people]
    owners += [(one, _pick(generator, _LISTS), 1) for one in life.strangers[:5]]
    owners += [(one, f"Private of {one.first_name}", 0) for one in people[:2]]
    rows = []
    for playlist_id, (owner, title, public) in enumerate(owners, start=1):
        created = life.moment(generator, -400, -10)
        database.insert(
            "music_playlists",
            person_id=owner.id,
            title=title,
            public=public,
            created_at=created,
            updated_at=max(created, life.moment(generator, -60, -2)),
        )
        chosen = _some(generator, songs, int(generator.integers(5, 12)))
        rows += [{"playlist_id": playlist_id, "song_id": song} for song in chosen]
    database.insert_all("music_playlist_songs", rows)
    marked = _some(
        generator, [n for n, (owner, _, public) in enumerate(owners, 1) if public and owner is not me], 3
    )
    for playlist_id in marked:
        database.insert("music_saved_playlists", person_id=me.id, playlist_id=playlist_id)


def _pick(generator: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(generator.integers(len(items)))]


def _reviews(life: Life, generator: np.random.Generator, database: Database, songs: list[int]) -> None:
    albums = [row["id"] for row in database.rows("SELECT id FROM music_albums ORDER BY id")]
    rows = []
    for person in (life.supervisor, *life.people[8:32]):
        count = 5 if person is life.supervisor else 3
        chosen = [(song, None) for song in _some(generator, songs, count)]
        chosen += [(None, album) for album in _some(generator, albums, count - 2)]
        for song, album in chosen:
            rows.append(
                {
                    "person_id": person.id,
                    "song_id": song,
                    "album_id": album,
                    "stars": int(generator.integers(1, 6)),
                    "text": _pick(generator, _PRAISE),
                    "created_at": life.moment(generator, -300, -3),
                }
            )
    rows.sort(key=lambda row: row["created_at"])
    database.insert_all("music_reviews", rows)


def _listening(life: Life, generator: np.random.Generator, database: Database, songs: list[int]) -> None:
    """Add what was played, the queue and the player; some songs were played again and again."""
    me = life.supervisor.id
    library = [row["song_id"] for row in database.rows("SELECT song_id FROM music_library_songs ORDER BY id")]
    often = [*_some(generator, library, 12), *_some(generator, songs, 6)]
    times = sorted(life.moment(generator, -30, 0) for _ in range(70))
    rows = [{"person_id": me, "song_id": often[int(generator.integers(18))], "played_at": at} for at in times]
    database.insert_all("music_plays", rows)
    queue = _some(generator, library, 5)
    database.insert_all(
        "music_queue", [{"person_id": me, "song_id": song, "place": n} for n, song in enumerate(queue, 1)]
    )
    database.insert(
        "music_players",
        person_id=me,
        song_id=library[0],
        playing=int(generator.random() < 0.5),
        volume=int(generator.integers(3, 17)) * 5,
    )
