"""The app phone: what its APIs change, what they refuse, and what of others is out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from apps_caller import LIFE, Caller

ME = LIFE.supervisor
FRIEND, OTHER_FRIEND = LIFE.relations["friend"][:2]
STRANGER = LIFE.strangers[-1]


class Phone(Caller):
    app = "phone"


@pytest.fixture
def phone(world):
    return Phone(world, ME.email)


@pytest.fixture
def theirs(world):
    return Phone(world, FRIEND.email)


def contact(phone: Phone, name: str) -> dict[str, Any]:
    (found,) = phone("search_contacts", query=name)
    return found


def test_contacts_are_found_by_name_number_relation_and_flags(phone):
    everybody = phone.every("search_contacts")
    assert {person.name for person in LIFE.known} <= {one["name"] for one in everybody}
    assert [one["name"] for one in everybody] == sorted(one["name"] for one in everybody)
    friends = phone.every("search_contacts", relation="Friend")
    assert {one["name"] for one in friends} == {person.name for person in LIFE.relations["friend"]}
    assert phone("search_contacts", query=FRIEND.phone_number)[0]["name"] == FRIEND.name
    assert phone("search_contacts", query=FRIEND.email.upper())[0]["birthday"] == FRIEND.birthday
    favorites = phone.every("search_contacts", favorite=True)
    assert 0 < len(favorites) < len(everybody)
    counts = {one["relation"]: one["contacts"] for one in phone("list_relations")}
    assert counts["friend"] == len(LIFE.relations["friend"])
    assert counts["plumber"] == 1


def test_a_contact_is_added_changed_blocked_and_deleted(phone):
    added = phone(
        "add_contact", name=" Bo ", phone_number="555-0100-0001", relations=["Friend", " gym", "friend"]
    )
    assert (added["name"], added["relations"], added["favorite"]) == ("Bo", ["friend", "gym"], False)
    one = added["contact_id"]
    changed = phone("update_contact", contact_id=one, favorite=True, address="1 Elm Street")
    assert changed == {**added, "favorite": True, "address": "1 Elm Street"}
    assert phone("block_contact", contact_id=one)["favorite"] is False
    phone.refused(409, "block_contact", contact_id=one)
    assert [c["contact_id"] for c in phone("search_contacts", blocked=True)] == [one]
    assert phone("unblock_contact", contact_id=one)["blocked"] is False
    phone.refused(409, "unblock_contact", contact_id=one)
    phone("delete_contact", contact_id=one)
    phone.refused(404, "show_contact", contact_id=one)


def test_contacts_refuse_taken_numbers_and_bad_values(phone):
    one = contact(phone, FRIEND.name)["contact_id"]
    phone.refused(409, "add_contact", name="x", phone_number=FRIEND.phone_number)
    phone.refused(409, "update_contact", contact_id=one, phone_number=OTHER_FRIEND.phone_number)
    phone.refused(422, "add_contact", name="x", phone_number="call me")
    phone.refused(422, "add_contact", name=" ", phone_number="555-0100-0001")
    phone.refused(422, "add_contact", name="x", phone_number="555-0100-0001", birthday="2099-01-01")
    phone.refused(422, "update_contact", contact_id=one)
    assert phone("update_contact", contact_id=one, phone_number=FRIEND.phone_number)["name"] == FRIEND.name


def test_birthdays_come_in_their_order(phone):
    near = phone.every("list_birthdays", days=366)
    assert len(near) == len(LIFE.known)
    assert [one["in_days"] for one in near] == sorted(one["in_days"] for one in near)
    assert all(one["next_birthday"] >= LIFE.today.isoformat() for one in near)
    assert all(one["next_birthday"][5:] == one["birthday"][5:] for one in near if "02-29" not in str(one))
    assert len(phone("list_birthdays", days=near[0]["in_days"])) >= 1
    phone.refused(422, "list_birthdays", days=-1)
    phone.refused(422, "list_birthdays", page_limit=21)


def test_contacts_alarms_and_calls_of_others_are_out_of_reach(phone, theirs):
    one = theirs.every("search_contacts")[0]["contact_id"]
    for name in ("show_contact", "block_contact", "delete_contact"):
        phone.refused(404, name, contact_id=one)
    phone.refused(404, "update_contact", contact_id=one, favorite=True)
    call = theirs("list_calls")[0]["call_id"]
    assert call not in {one["call_id"] for one in phone.every("list_calls")}
    phone.refused(404, "delete_call", call_id=call)
    alarm = phone("list_alarms")[0]["alarm_id"]
    assert theirs("list_alarms") == []
    theirs.refused(404, "show_alarm", alarm_id=alarm)
    theirs.refused(404, "delete_alarm", alarm_id=alarm)


def test_messages_of_others_are_out_of_reach(phone, theirs):
    secret = theirs("search_messages", query="surprise")[0]
    assert phone("search_messages", query="surprise") == []
    for name in ("show_message", "delete_message"):
        phone.refused(404, name, message_id=secret["message_id"])
    phone.refused(404, "mark_message", message_id=secret["message_id"], read=True)
    voice = theirs("search_voice_messages", phone_number=OTHER_FRIEND.phone_number)[0]["voice_message_id"]
    for name in ("show_voice_message", "delete_voice_message"):
        phone.refused(404, name, voice_message_id=voice)
    assert voice not in {one["voice_message_id"] for one in phone.every("search_voice_messages")}


def test_a_message_reaches_the_other_and_is_read_there(phone, theirs):
    sent = phone("send_message", phone_number=FRIEND.phone_number, text=" Hello! ")
    assert (sent["text"], sent["direction"], sent["name"], sent["read"]) == (
        "Hello!",
        "outgoing",
        FRIEND.name,
        False,
    )
    got = theirs("search_messages", phone_number=ME.phone_number)[0]
    assert (got["message_id"], got["direction"], got["name"]) == (sent["message_id"], "incoming", ME.name)
    phone.refused(409, "mark_message", message_id=sent["message_id"], read=True)
    assert theirs("mark_message", message_id=sent["message_id"], read=True)["read"] is True
    assert phone("show_message", message_id=sent["message_id"])["read"] is True
    theirs("delete_message", message_id=sent["message_id"])
    theirs.refused(404, "show_message", message_id=sent["message_id"])
    assert phone("show_message", message_id=sent["message_id"])["text"] == "Hello!"


def test_what_cannot_be_sent(phone):
    phone.refused(404, "send_message", phone_number="555-0000-0000", text="x")
    phone.refused(422, "send_message", phone_number=ME.phone_number, text="x")
    phone.refused(422, "send_message", phone_number=FRIEND.phone_number, text=" ")
    phone.refused(422, "send_message", phone_number=FRIEND.name, text="x")
    phone("block_contact", contact_id=contact(phone, FRIEND.name)["contact_id"])
    phone.refused(409, "send_message", phone_number=FRIEND.phone_number, text="x")
    phone.refused(409, "send_voice_message", phone_number=FRIEND.phone_number, text="x")
    assert phone("send_message", phone_number=STRANGER.phone_number, text="x")["name"] is None


def test_messages_are_searched(phone):
    everything = phone.every("search_messages")
    moments = [one["sent_at"] for one in everything]
    assert moments == sorted(moments, reverse=True)
    assert phone.every("search_messages", oldest_first=True)[0]["sent_at"] == moments[-1]
    day = moments[len(moments) // 2][:10]
    some = phone.every("search_messages", from_date=day, to_date=day)
    assert some == [one for one in everything if one["sent_at"][:10] == day]
    unread = phone.every("search_messages", direction="incoming", read=False)
    assert unread == [one for one in everything if one["direction"] == "incoming" and not one["read"]]
    assert unread
    assert all("scarf" in one["text"] for one in phone("search_messages", query="SCARF"))


def test_threads_count_are_marked_and_deleted(phone, theirs):
    threads = phone.every("list_threads")
    assert sum(one["messages"] for one in threads) == len(phone.every("search_messages"))
    assert [one["last_sent_at"] for one in threads] == sorted(
        (one["last_sent_at"] for one in threads), reverse=True
    )
    theirs("send_message", phone_number=ME.phone_number, text="one")
    theirs("send_message", phone_number=ME.phone_number, text="two")
    first = phone("list_threads", unread=True)[0]
    assert (first["phone_number"], first["last_text"]) == (FRIEND.phone_number, "two")
    assert phone("mark_thread_read", phone_number=FRIEND.phone_number)["marked"] == first["unread"] >= 2
    assert FRIEND.name not in {one["name"] for one in phone.every("list_threads", unread=True)}
    assert phone("delete_thread", phone_number=FRIEND.phone_number)["deleted"] == first["messages"]
    assert phone("list_threads", query=FRIEND.name) == []
    phone.refused(404, "delete_thread", phone_number=FRIEND.phone_number)
    assert len(theirs.every("search_messages", phone_number=ME.phone_number)) == first["messages"]


def test_voice_messages_are_sent_heard_and_deleted(phone, theirs):
    sent = phone("send_voice_message", phone_number=FRIEND.phone_number, text="see you at the lake")
    one = sent["voice_message_id"]
    assert (sent["heard"], sent["seconds"]) == (False, 3)
    assert theirs("search_voice_messages", query="LAKE", direction="incoming", heard=False)[0] == {
        **sent,
        "direction": "incoming",
        "name": ME.name,
        "phone_number": ME.phone_number,
    }
    phone.refused(409, "mark_voice_message", voice_message_id=one, heard=True)
    assert theirs("mark_voice_message", voice_message_id=one, heard=True)["heard"] is True
    assert phone("show_voice_message", voice_message_id=one)["heard"] is True
    phone("delete_voice_message", voice_message_id=one)
    phone.refused(404, "show_voice_message", voice_message_id=one)
    assert theirs("show_voice_message", voice_message_id=one)["text"] == "see you at the lake"
    phone.refused(422, "send_voice_message", phone_number=FRIEND.phone_number, text="")


def test_the_log_of_calls_is_searched_and_cleaned(phone):
    log = phone.every("list_calls")
    missed = phone.every("list_calls", direction="incoming", answered=False)
    assert missed == [one for one in log if one["direction"] == "incoming" and not one["answered"]]
    assert missed
    assert not any(one["seconds"] for one in missed)
    number, day = log[0]["phone_number"], log[0]["started_at"][:10]
    with_them = phone.every("list_calls", phone_number=number, from_date=day, to_date=day)
    assert log[0] in with_them
    assert {one["phone_number"] for one in with_them} == {number}
    phone("delete_call", call_id=log[0]["call_id"])
    phone.refused(404, "delete_call", call_id=log[0]["call_id"])
    assert phone.every("list_calls") == log[1:]


def test_alarms_are_set_changed_and_deleted(phone):
    alarms = phone.every("list_alarms")
    assert [one["time"] for one in alarms] == sorted(one["time"] for one in alarms)
    sunday = phone.every("list_alarms", day="sunday", enabled=True)
    assert sunday == [one for one in alarms if one["enabled"] and "sunday" in one["days"]]
    made = phone("create_alarm", time="05:30", label=" Train ", days=["sunday", "monday"])
    one = made["alarm_id"]
    assert made == {
        "alarm_id": one,
        "time": "05:30",
        "label": "Train",
        "days": ["monday", "sunday"],
        "enabled": True,
        "snooze_minutes": 10,
    }
    changed = phone("update_alarm", alarm_id=one, days=[], enabled=False, snooze_minutes=0)
    assert changed == {**made, "days": [], "enabled": False, "snooze_minutes": 0}
    assert phone("show_alarm", alarm_id=one) == changed
    phone.refused(422, "update_alarm", alarm_id=one)
    phone.refused(422, "update_alarm", alarm_id=one, snooze_minutes=61)
    phone.refused(422, "create_alarm", time="25:00")
    phone.refused(422, "create_alarm", time="05:30", days=["someday"])
    phone.refused(422, "create_alarm", time="05:30", label="x" * 81)
    phone("delete_alarm", alarm_id=one)
    phone.refused(404, "show_alarm", alarm_id=one)


def test_the_app_stays_small(world):
    tables = ("contacts", "messages", "voice_messages", "calls", "alarms")
    count = sum(
        world.connection.execute(f"SELECT count(*) FROM phone_{table}").fetchone()[0] for table in tables
    )
    assert 200 < count < 600
