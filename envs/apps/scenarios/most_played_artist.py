"""Say whose songs were played most often since a day."""

from __future__ import annotations

from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Let one artist be played most since the day, another before it, and a third one song most often."""
    days = draft.number(5, 20)
    for row in draft.rows("SELECT id FROM music_plays WHERE person_id = ?", draft.me.id):
        draft.delete("music_plays", row["id"])
    artists = draft.rows(
        "SELECT a.id, a.name FROM music_artists a JOIN music_albums b ON b.artist_id = a.id "
        "JOIN music_songs s ON s.album_id = b.id GROUP BY a.id HAVING count(*) >= 4 ORDER BY a.id"
    )
    recent, earlier, single, fourth = draft.sample(artists, 4)
    count = draft.number(6, 9)
    plays = [(recent, place % 4, True) for place in range(count)]
    plays += [(single, 0, True) for _ in range(count - 1)]
    plays += [(earlier, place % 3, False) for place in range(count + 3)]
    plays += [(earlier, 0, True), (earlier, 1, True), (fourth, 0, True), (recent, 0, False)]
    for artist, place, since in plays:
        song = draft.rows(
            "SELECT s.id FROM music_songs s JOIN music_albums b ON b.id = album_id WHERE artist_id = ? "
            "ORDER BY s.id",
            artist["id"],
        )[place]
        draft.insert(
            "music_plays",
            person_id=draft.me.id,
            song_id=song["id"],
            played_at=draft.moment(-days + 1, -1) if since else draft.moment(-days - 15, -days - 1),
        )
    return Plan(
        parameters={"day": draft.life.day(-days)},
        answer=recent["name"],
        near_misses=[
            NearMiss("of all time", edit=(", since=day", "")),
            NearMiss("the second", edit=("ranking[0][0]", "ranking[1][0]")),
            NearMiss("the fewest", edit=("-item[1]", "item[1]")),
            NearMiss(
                "the artist of the song played most",
                edit=(
                    "counts[play['artist']] = counts.get(play['artist'], 0) + 1",
                    "counts[play['artist']] = max(counts.get(play['artist'], 0), "
                    "[one['song_id'] for one in plays].count(play['song_id']))",
                ),
            ),
        ],
    )


def gold(day: str) -> None:
    """Count by artist."""
    token = login("music")
    plays = every_page(apis.music.list_plays, access_token=token, since=day)
    counts = {}
    for play in plays:
        counts[play["artist"]] = counts.get(play["artist"], 0) + 1
    ranking = sorted(counts.items(), key=lambda item: -item[1])
    print(ranking)

    apis.supervisor.complete_task(answer=ranking[0][0])


SCENARIO = Scenario(
    name="most_played_artist",
    split="test_normal",
    phrasings=(
        "Whose songs have I played most often since {day}? Count every time I played one, and answer with "
        "the name "
        "of the artist.",
        "Look at my plays in the music app from {day} on. Which artist comes up most often? The name is "
        "enough.",
    ),
    prepare=prepare,
    gold=gold,
)
