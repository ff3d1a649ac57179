"""Play the playlist that is just long enough for an event of the calendar."""

from __future__ import annotations

import datetime

from palaestra.envs.apps.changes import added, changed, removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event
from palaestra.envs.apps.services.music_seed import add_playlist
from palaestra.envs.apps.skills import apis, every_page, login

_EVENTS = ("Interval run", "Rowing machine", "Long run", "Spinning", "Yoga at home", "Stair climbing")
_TITLES = ("Steady", "Uphill", "Sprint", "Out of breath", "Second wind")


def prepare(draft: Draft) -> Plan:
    """Make playlists that are too short, just long enough and far too long for the event."""
    title, day = draft.choose(_EVENTS), draft.life.day(draft.number(1, 6))
    minutes = draft.number(3, 6) * 5
    for table in ("music_playlist_songs", "music_playlists"):
        draft.connection.execute(f"DELETE FROM {table}")
    start = datetime.datetime.fromisoformat(day) + datetime.timedelta(hours=draft.number(6, 20))
    add_event(draft, draft.me, title, start, minutes)
    add_event(draft, draft.me, "Breakfast", start, 90)
    songs = [row["id"] for row in draft.rows("SELECT id FROM music_songs ORDER BY id")]
    spare = draft.sample(songs, 24)
    seconds = {-200: 0, -20: 0, draft.number(0, 30): 1, 400: 0, 900: 0}
    made = []
    for (more, right), name in zip(
        draft.sample(list(seconds.items()), len(seconds)), draft.sample(_TITLES, len(_TITLES)), strict=True
    ):
        chosen = [spare.pop() for _ in range(draft.number(3, 4))]
        add_playlist(draft, draft.me, name, chosen, draft.moment(-90, -60))
        total = minutes * 60 + more
        for place, song in enumerate(chosen):
            length = total // len(chosen) + (total % len(chosen) if place == 0 else 0)
            draft.update("music_songs", song, duration_s=length)
        if right:
            made = chosen
    player = draft.value("SELECT id FROM music_players WHERE person_id = ?", draft.me.id)
    draft.update("music_players", player, song_id=None, playing=0)
    queue = [row["id"] for row in draft.rows("SELECT id FROM music_queue WHERE person_id = ?", draft.me.id)]
    return Plan(
        parameters={"title": title, "day": day},
        must=[
            *(removed("music_queue", row) for row in queue),
            *(
                added("music_queue", song_id=song, place=place)
                for place, song in enumerate(made[1:], start=1)
            ),
            changed("music_players", player, song_id=made[0], playing=1),
        ],
        near_misses=[
            NearMiss("the longest", edit=("min(enough)", "max(enough)")),
            NearMiss("one that is too short", edit=("if total >= needed", "if total < needed")),
            NearMiss(
                "the nearest length",
                edit=("min(enough)", "min(lengths, key=lambda item: abs(item[0] - needed + 60))"),
            ),
            NearMiss("louder too", extra="apis.music.set_player(access_token=music, volume=100)"),
        ],
    )


def gold(title: str, day: str) -> None:
    """Compare lengths."""
    import datetime

    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, query=title, from_day=day, to_day=day
    )
    event = next(one for one in events if one["title"] == title)
    start, end = (datetime.datetime.fromisoformat(event[name]) for name in ("starts_at", "ends_at"))
    needed = (end - start).total_seconds()
    print(event, needed)

    music = login("music")
    playlists = every_page(apis.music.list_playlists, access_token=music)
    lengths = []
    for one in playlists:
        playlist = apis.music.show_playlist(access_token=music, playlist_id=one["playlist_id"])
        lengths.append((sum(song["duration_s"] for song in playlist["songs"]), one["playlist_id"]))
    print(lengths)

    enough = [(total, playlist_id) for total, playlist_id in lengths if total >= needed]
    apis.music.play_playlist(access_token=music, playlist_id=min(enough)[1])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="play_for_the_run",
    split="test_challenge",
    phrasings=(
        'Play one of my playlists that lasts through the event "{title}" of {day} in my calendar: the '
        "shortest "
        "one that is long enough.",
        'I want music for all of "{title}", which is in my calendar on {day}. Of my playlists that are at '
        "least "
        "as long as the event, start the shortest.",
    ),
    prepare=prepare,
    gold=gold,
)
