"""Empty the queue and fill it with the short songs of a friend's playlist, in its order."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.music_seed import add_playlist
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = ("Tram ride", "Balcony evenings", "Long way home", "Before breakfast", "Dishwashing", "Blue hour")


def prepare(draft: Draft) -> Plan:
    """Give a friend, and another person, a playlist of the title; mix long and short songs."""
    title, minutes = draft.choose(_TITLES), draft.number(3, 5)
    friend, other = draft.sample(draft.life.relations["friend"], 2)
    limit = minutes * 60
    songs = draft.rows("SELECT id, duration_s FROM music_songs ORDER BY id")
    short = draft.sample([song for song in songs if song["duration_s"] < limit - 1], draft.number(3, 6))
    long = draft.sample([song for song in songs if song["duration_s"] > limit + 1], draft.number(2, 4))
    chosen = draft.sample([*short, *long], len(short) + len(long))
    # A song that is as long as the limit is not shorter.
    draft.update("music_songs", long[0]["id"], duration_s=limit)
    add_playlist(draft, friend, title, [song["id"] for song in chosen], draft.moment(-90, -20), public=1)
    add_playlist(
        draft, other, title, [song["id"] for song in draft.sample(songs, 5)], draft.moment(-90, -20), public=1
    )
    gone = [row["id"] for row in draft.rows("SELECT id FROM music_queue WHERE person_id = ?", draft.me.id)]
    played = [song for song in chosen if song in short]
    return Plan(
        parameters={"name": friend.name, "title": title, "minutes": minutes},
        must=[
            *(removed("music_queue", row) for row in gone),
            *(
                added("music_queue", song_id=song["id"], place=place)
                for place, song in enumerate(played, start=1)
            ),
        ],
        near_misses=[
            NearMiss("long ones as well", edit=("if song['duration_s'] < minutes * 60:", "if True:")),
            NearMiss("up to a minute more", edit=("< minutes * 60", "<= minutes * 60")),
            NearMiss("the queue stays", edit=("apis.music.clear_queue(access_token=token)", "pass")),
            NearMiss("another order", edit=("add_to_queue(", "add_to_queue(first=True, ")),
            NearMiss("somebody else's list", edit=("if one['owner'] == name", "if one['owner'] != name")),
        ],
    )


def gold(name: str, title: str, minutes: int) -> None:
    """Find the list, empty the queue, fill it."""
    token = login("music")
    playlists = every_page(apis.music.search_public_playlists, access_token=token, query=title)
    playlist_id = next(one["playlist_id"] for one in playlists if one["owner"] == name)
    playlist = apis.music.show_playlist(access_token=token, playlist_id=playlist_id)
    print(playlist)

    apis.music.clear_queue(access_token=token)
    for song in playlist["songs"]:
        if song["duration_s"] < minutes * 60:
            apis.music.add_to_queue(access_token=token, song_id=song["song_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="queue_short_songs_of_friend",
    split="train",
    phrasings=(
        'Empty my music queue. Then queue the songs of {name}\'s public playlist "{title}" that are shorter '
        "than {minutes} minutes, in the order of the playlist.",
        'I want to hear what {name} has in the public playlist "{title}", but only songs of less than '
        "{minutes} minutes. Clear the queue of the music app first and then add those songs, in the "
        "playlist's order.",
    ),
    prepare=prepare,
    gold=gold,
)
