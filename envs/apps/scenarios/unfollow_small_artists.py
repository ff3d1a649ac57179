"""Stop following the artists of a genre who have few followers."""

from __future__ import annotations

from palaestra.envs.apps.changes import removed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Follow artists of all kinds, some with fewer followers than the limit, some with just as many."""
    genres = [row["genre"] for row in draft.rows("SELECT DISTINCT genre FROM music_artists ORDER BY genre")]
    genre = draft.choose(
        [one for one in genres if draft.value("SELECT count(*) FROM music_artists WHERE genre = ?", one) >= 3]
    )
    limit = draft.number(5, 60) * 1000
    for row in draft.rows("SELECT id FROM music_follows WHERE person_id = ?", draft.me.id):
        draft.delete("music_follows", row["id"])
    inside = draft.rows("SELECT id FROM music_artists WHERE genre = ? ORDER BY id", genre)
    outside = draft.rows("SELECT id FROM music_artists WHERE genre != ? ORDER BY id", genre)
    small = [artist["id"] for artist in inside[: draft.number(1, len(inside) - 1)]]
    must = []
    for artist in [*inside, *draft.sample(outside, 9)]:
        number = artist["id"]
        if number in small or artist in outside:
            followers = limit - draft.number(1, limit - 1)
        else:
            followers = limit + draft.choose([0, draft.number(1, 90_000)])
        draft.update("music_artists", number, followers=followers)
        follow = draft.insert(
            "music_follows", person_id=draft.me.id, artist_id=number, kept_since=draft.moment(-300, -3)
        )
        if number in small:
            must.append(removed("music_follows", follow))
    unfollow = "apis.music.unfollow_artist(access_token=token, artist_id=artist['artist_id'])"
    return Plan(
        parameters={"genre": genre, "limit": limit},
        words={"limit": f"{limit:,}"},
        must=must,
        near_misses=[
            NearMiss("all of the genre", edit=("if artist['followers'] < limit:", "if True:")),
            NearMiss(
                "all genres", edit=("[one for one in artists if one['genre'] == genre]", "list(artists)")
            ),
            NearMiss("the large ones", edit=("artist['followers'] < limit", "artist['followers'] >= limit")),
            NearMiss("one more", extra=f"artist = artists[0]\n{unfollow}"),
        ],
    )


def gold(genre: str, limit: int) -> None:
    """Look through those who are followed."""
    token = login("music")
    artists = every_page(apis.music.list_followed_artists, access_token=token)
    chosen = [one for one in artists if one["genre"] == genre]
    print(chosen)

    for artist in chosen:
        if artist["followers"] < limit:
            apis.music.unfollow_artist(access_token=token, artist_id=artist["artist_id"])

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="unfollow_small_artists",
    split="train",
    phrasings=(
        "Unfollow the {genre} artists in the music app that have fewer than {limit} followers. Keep the "
        "other "
        "artists.",
        "I follow too many {genre} artists. Please stop following those of them with less than {limit} "
        "followers; artists of any other genre stay.",
    ),
    prepare=prepare,
    gold=gold,
)
