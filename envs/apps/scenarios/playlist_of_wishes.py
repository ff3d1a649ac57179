"""Make a playlist of the songs that were wished for by text message, and email all who wished."""

from __future__ import annotations

import json

from palaestra.envs.apps.changes import Expected, added, same_text
from palaestra.envs.apps.life import Person
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.phone_seed import add_message
from palaestra.envs.apps.skills import apis, every_page, login

_PARTIES = ("New Year", "the barn dance", "the wedding", "the carnival", "the roof party", "the prom")
_BODIES = (
    "Your songs are on the list. See you there!",
    "The music is ready, now we only need you.",
    "Here we go, all wishes came true.",
)


def prepare(draft: Draft) -> Plan:
    """Let friends wish for songs, two of them for the same, and somebody for another party."""
    party, body = draft.choose(_PARTIES), draft.choose(_BODIES)
    title = f"Music for {party}"
    friends = draft.sample(draft.life.relations["friend"], 7)
    songs = draft.rows(
        "SELECT s.id, s.title, a.name AS artist FROM music_songs s JOIN music_albums b ON b.id = s.album_id "
        "JOIN music_artists a ON a.id = b.artist_id ORDER BY s.id"
    )
    wished = draft.sample(songs, 8)
    wishes = list(zip(friends[: draft.number(3, 5)], wished, strict=False))
    wishes.append((friends[5], wished[0]))
    if draft.number(0, 1):
        wishes.append((friends[0], wished[5]))
    for person, song in wishes:
        _wish(draft, person, draft.me, party, song)
    _wish(draft, friends[6], draft.me, f"{party} next year", wished[6])
    _wish(draft, draft.me, friends[6], party, wished[7])
    playlist = added("music_playlists", title=title)
    must: list[Expected] = [playlist]
    must += [
        added("music_playlist_songs", playlist_id=playlist, song_id=song)
        for song in {song["id"] for _, song in wishes}
    ]
    must.append(
        added(
            "email_messages",
            recipients=json.dumps(sorted({person.email for person, _ in wishes})),
            subject=title,
            body=same_text(body),
        )
    )
    return Plan(
        parameters={"party": party, "title": title, "body": body},
        must=must,
        near_misses=[
            NearMiss("for any year", edit=("f'My wish for {party}: '", "f'My wish for {party}'")),
            NearMiss("my own as well", edit=(", direction='incoming'", "")),
            NearMiss("one wish less", edit=("set(wishes)", "set(wishes[1:-1])")),
            NearMiss("a public playlist", edit=("title=title)", "title=title, public=True)")),
            NearMiss("a copy to me", edit=("to=emails", "to=[*emails, me]")),
            NearMiss("no email to the last one", edit=("to=emails", "to=emails[1:]")),
        ],
    )


def _wish(draft: Draft, sender: Person, receiver: Person, party: str, song: dict) -> None:
    add_message(
        draft,
        sender,
        receiver,
        f"My wish for {party}: {song['title']} / {song['artist']}",
        draft.moment(-12, -1),
        read=draft.number(0, 1),
    )


def gold(party: str, title: str, body: str) -> None:
    """Read the wishes, then make the playlist and write to all."""
    me = apis.supervisor.show_profile()["email"]
    token = login("phone")
    messages = every_page(
        apis.phone.search_messages,
        access_token=token,
        query=f"My wish for {party}: ",
        direction="incoming",
    )
    numbers = {message["phone_number"] for message in messages}
    contacts = every_page(apis.phone.search_contacts, access_token=token)
    emails = [contact["email"] for contact in contacts if contact["phone_number"] in numbers]
    wishes = [message["text"].split(": ", 1)[1] for message in messages]
    print(me, emails, wishes)

    token = login("music")
    playlist_id = apis.music.create_playlist(access_token=token, title=title)["playlist_id"]
    for wish in sorted(set(wishes)):
        name, artist = wish.split(" / ")
        songs = apis.music.search_songs(access_token=token, query=name, page_limit=20)
        song_id = next(one["song_id"] for one in songs if one["title"] == name and one["artist"] == artist)
        apis.music.add_song_to_playlist(access_token=token, playlist_id=playlist_id, song_id=song_id)

    token = login("email")
    apis.email.send_email(access_token=token, to=emails, subject=title, body=body)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="playlist_of_wishes",
    split="test_challenge",
    phrasings=(
        'Friends have texted me "My wish for {party}: SONG / ARTIST". Make a new playlist "{title}" (not '
        "public, without a description) of all these songs, each once, and send one email to all who wished, "
        'with their addresses from my contacts: subject "{title}", text "{body}"',
        'Collect the songs that I was asked for in text messages "My wish for {party}: SONG / ARTIST" in a '
        'new private playlist called "{title}"; no song twice, no description. Then write a single email to '
        'everybody who sent me such a message - the contacts have the addresses - with the subject "{title}" '
        'and the text "{body}"',
    ),
    prepare=prepare,
    gold=gold,
)
