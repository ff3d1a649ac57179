"""Write down the songs of a playlist in a note."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Choose a playlist, a title and a tag."""
    playlist = draft.choose(
        draft.rows("SELECT * FROM music_playlists WHERE person_id = ? ORDER BY id", draft.me.id)
    )
    rows = draft.rows(
        "SELECT s.title, a.name FROM music_playlist_songs p JOIN music_songs s ON song_id = s.id "
        "JOIN music_albums ON album_id = music_albums.id JOIN music_artists a ON artist_id = a.id "
        "WHERE playlist_id = ? ORDER BY p.id",
        playlist["id"],
    )
    tag = draft.choose(["music", "songs", "party", "road"])
    title = f"Songs of {playlist['title']}"
    lines = [f"{row['title']} - {row['name']}" for row in rows]
    return Plan(
        parameters={"playlist": playlist["title"], "title": title, "tag": tag},
        must=[added("notes_notes", title=title, body=same_text("\n".join(lines)), tags=f'["{tag}"]')],
        near_misses=[
            NearMiss("titles alone", edit=(" - {song['artist']}", "")),
            NearMiss("the last song is missing", edit=("for song in songs", "for song in songs[:-1]")),
            NearMiss("no tag", edit=(", tags=[tag]", "")),
            NearMiss(
                "pins it",
                extra=("apis.notes.update_note(access_token=token, note_id=note['note_id'], pinned=True)"),
            ),
        ],
    )


def gold(playlist: str, title: str, tag: str) -> None:
    """Read the playlist, then write the note."""
    token = login("music")
    playlists = every_page(apis.music.list_playlists, access_token=token, query=playlist)
    playlist_id = next(one["playlist_id"] for one in playlists if one["title"] == playlist)
    songs = apis.music.show_playlist(access_token=token, playlist_id=playlist_id)["songs"]
    print(songs)

    body = "\n".join(f"{song['title']} - {song['artist']}" for song in songs)
    token = login("notes")
    note = apis.notes.create_note(access_token=token, title=title, body=body, tags=[tag])
    print(note)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="note_of_playlist",
    split="test_challenge",
    phrasings=(
        'Write a note titled "{title}", tagged {tag}, that lists the songs of my playlist "{playlist}" in '
        'their order there: one line a song, as "TITLE - ARTIST", and no other text.',
        'I need my playlist "{playlist}" on paper: make a note "{title}" with the tag {tag} and one line for '
        'each song, in the order of the playlist, in the form "TITLE - ARTIST". Nothing but these lines.',
    ),
    prepare=prepare,
    gold=gold,
)
