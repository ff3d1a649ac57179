"""The app calendar: what its APIs change, what they refuse, when people are free."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from apps_caller import LIFE, Caller

FRIEND, OTHER_FRIEND, THIRD_FRIEND = LIFE.relations["friend"][:3]
DAY, NEXT_DAY = LIFE.day(100), LIFE.day(101)
"""Days that no seed event lies on."""


class Calendar(Caller):
    app = "calendar"

    def event(self, title: str, start: str, end: str, **more: Any) -> int:
        """Create an event on ``DAY`` from one clock time to another."""
        times = {"starts_at": f"{DAY}T{start}:00", "ends_at": f"{DAY}T{end}:00"}
        return self("create_event", title=title, **{**times, **more})["event_id"]

    def titles(self, **conditions: Any) -> list[str]:
        usual = {"from_day": DAY, "to_day": DAY, "page_limit": 20}
        return [one["title"] for one in self("search_events", **{**usual, **conditions})]


@pytest.fixture
def calendar(world):
    return Calendar(world, LIFE.supervisor.email)


@pytest.fixture
def theirs(world):
    return Calendar(world, FRIEND.email)


def test_calendars_are_created_changed_and_deleted_when_empty(calendar):
    assert [one["name"] for one in calendar("list_calendars")] == ["Personal", "Work", "Family"]
    sport = calendar("create_calendar", name=" Sport ", color="orange")
    assert sport["name"] == "Sport"
    number = sport["calendar_id"]
    calendar.refused(409, "create_calendar", name="Sport")
    calendar.refused(422, "create_calendar", name=" ")
    calendar.refused(422, "update_calendar", calendar_id=number)
    calendar.refused(409, "update_calendar", calendar_id=number, name="Work")
    assert calendar("update_calendar", calendar_id=number, name="Gym", color="red") == {
        "calendar_id": number,
        "name": "Gym",
        "color": "red",
    }
    event = calendar.event("Squash", "09:00", "10:00", calendar_id=number)
    calendar.refused(409, "delete_calendar", calendar_id=number)
    calendar("delete_event", event_id=event)
    calendar("delete_calendar", calendar_id=number)
    assert number not in [one["calendar_id"] for one in calendar("list_calendars")]


def test_the_last_calendar_stays(theirs):
    only = theirs("create_calendar", name="Second")["calendar_id"]
    first = theirs("list_calendars")[0]["calendar_id"]
    theirs("delete_calendar", calendar_id=only)
    theirs.refused(409, "delete_calendar", calendar_id=first)


def test_an_event_lies_in_the_oldest_calendar_and_has_a_length(calendar, theirs):
    event = calendar("show_event", event_id=calendar.event(" Squash ", "09:00", "10:00", place=" Hall "))
    assert (event["title"], event["place"], event["my_answer"]) == ("Squash", "Hall", None)
    assert event["calendar_id"] == calendar("list_calendars")[0]["calendar_id"]
    wrong = {"title": "x", "starts_at": f"{DAY}T10:00:00"}
    calendar.refused(422, "create_event", ends_at=f"{DAY}T10:00:00", **wrong)
    calendar.refused(422, "create_event", ends_at=f"{LIFE.day(170)}T10:00:00", **wrong)
    other = theirs("list_calendars")[0]["calendar_id"]
    calendar.refused(404, "create_event", ends_at=f"{DAY}T11:00:00", calendar_id=other, **wrong)
    calendar.refused(422, "create_event", ends_at=f"{DAY}T11:00:00", **{**wrong, "title": " "})


def test_parts_of_an_event_change_and_the_rest_stays(calendar):
    number = calendar.event("Squash", "09:00", "10:00", place="Hall")
    before = calendar("show_event", event_id=number)
    after = calendar("update_event", event_id=number, ends_at=f"{DAY}T11:00:00")
    assert {name for name in after if after[name] != before[name]} <= {"ends_at", "updated_at"}
    assert after["ends_at"] == f"{DAY}T11:00:00"
    assert calendar("update_event", event_id=number, place="")["place"] == ""
    calendar.refused(422, "update_event", event_id=number)
    calendar.refused(422, "update_event", event_id=number, starts_at=f"{DAY}T12:00:00")
    calendar.refused(404, "update_event", event_id=10**6, title="x")


def test_what_one_is_not_invited_to_is_out_of_reach(calendar, theirs):
    number = theirs.event("Secret", "09:00", "10:00", attendees=[OTHER_FRIEND.email])
    for name in ("show_event", "list_attendees", "cancel_event", "delete_event", "list_reminders"):
        calendar.refused(404, name, event_id=number)
    calendar.refused(404, "update_event", event_id=number, title="x")
    calendar.refused(404, "answer_invitation", event_id=number, answer="accepted")
    calendar.refused(404, "add_reminder", event_id=number, minutes_before=5)
    calendar.refused(404, "invite_people", event_id=number, emails=[LIFE.supervisor.email])
    assert calendar.titles(query="Secret") == []
    assert calendar.titles(with_person=FRIEND.email) == []


def test_guests_answer_and_only_the_organizer_changes(calendar, theirs):
    number = calendar.event("Squash", "09:00", "10:00", attendees=[FRIEND.email])
    assert [one["event_id"] for one in theirs("list_invitations", page_limit=20)][-1] == number
    for name in ("cancel_event", "delete_event"):
        theirs.refused(403, name, event_id=number)
    theirs.refused(403, "update_event", event_id=number, title="x")
    theirs.refused(403, "invite_people", event_id=number, emails=[OTHER_FRIEND.email])
    theirs.refused(403, "remove_attendee", event_id=number, email=FRIEND.email)
    theirs("answer_invitation", event_id=number, answer="declined", message=" ill ")
    expected = {"name": FRIEND.name, "email": FRIEND.email, "answer": "declined", "message": "ill"}
    assert calendar("list_attendees", event_id=number) == [expected]
    assert calendar("list_attendees", event_id=number, answer="accepted") == []
    assert (theirs.titles(), theirs.titles(declined=True)) == ([], ["Squash"])
    theirs("answer_invitation", event_id=number, answer="accepted")
    assert calendar("list_attendees", event_id=number)[0]["message"] == ""
    calendar.refused(409, "answer_invitation", event_id=number, answer="accepted")


def test_people_are_invited_once_and_taken_off(calendar, theirs):
    number = calendar.event("Squash", "09:00", "10:00")
    both = [FRIEND.email, OTHER_FRIEND.email]
    calendar("invite_people", event_id=number, emails=both)
    calendar.refused(409, "invite_people", event_id=number, emails=[THIRD_FRIEND.email, FRIEND.email])
    calendar.refused(422, "invite_people", event_id=number, emails=[LIFE.supervisor.email])
    calendar.refused(422, "invite_people", event_id=number, emails=[])
    theirs("add_reminder", event_id=number, minutes_before=15)
    calendar("remove_attendee", event_id=number, email=FRIEND.email)
    theirs.refused(404, "show_event", event_id=number)
    calendar("invite_people", event_id=number, emails=[FRIEND.email])
    assert theirs("list_reminders", event_id=number) == []
    calendar.refused(404, "remove_attendee", event_id=number, email=THIRD_FRIEND.email)


def test_a_cancelled_event_stays_and_takes_no_more_changes(calendar, theirs):
    number = calendar.event("Squash", "09:00", "10:00", attendees=[FRIEND.email])
    calendar.refused(409, "delete_event", event_id=number)
    assert calendar("cancel_event", event_id=number)["cancelled"] is True
    assert (theirs.titles(), theirs.titles(cancelled=True)) == ([], ["Squash"])
    calendar.refused(409, "cancel_event", event_id=number)
    calendar.refused(409, "update_event", event_id=number, title="x")
    theirs.refused(409, "answer_invitation", event_id=number, answer="accepted")


def test_what_is_over_is_neither_cancelled_nor_answered_nor_reminded_of(calendar, theirs):
    past = {"starts_at": f"{LIFE.day(-2)}T09:00:00", "ends_at": f"{LIFE.day(-2)}T10:00:00"}
    number = calendar("create_event", title="Old", attendees=[FRIEND.email], **past)["event_id"]
    calendar.refused(409, "cancel_event", event_id=number)
    calendar.refused(409, "invite_people", event_id=number, emails=[OTHER_FRIEND.email])
    calendar.refused(409, "add_reminder", event_id=number, minutes_before=5)
    theirs.refused(409, "answer_invitation", event_id=number, answer="accepted")
    assert number not in [one["event_id"] for one in theirs("list_invitations", page_limit=20)]
    missed = theirs("list_invitations", coming=False, page_limit=20)
    assert number in [one["event_id"] for one in missed]


def test_search_keeps_to_its_conditions_and_order(calendar, theirs):
    work = calendar("list_calendars")[1]["calendar_id"]
    calendar.event("Late", "18:00", "19:00", place="Town Hall", calendar_id=work)
    calendar.event("Early", "08:00", "09:00", attendees=[FRIEND.email])
    calendar.event("Next", "08:00", "09:00", starts_at=f"{NEXT_DAY}T00:00:00", ends_at=f"{NEXT_DAY}T08:00:00")
    theirs.event("Party", "12:00", "13:00", attendees=[LIFE.supervisor.email])
    assert calendar.titles() == ["Early", "Party", "Late"]
    assert calendar.titles(to_day=NEXT_DAY) == ["Early", "Party", "Late", "Next"]
    assert calendar.titles(query="town hall") == ["Late"]
    assert calendar.titles(calendar_id=work) == ["Late"]
    assert calendar.titles(organized_by_me=False) == ["Party"]
    assert calendar.titles(organized_by_me=True) == ["Early", "Late"]
    assert calendar.titles(with_person=FRIEND.email) == ["Early", "Party"]
    pages = [calendar.titles(page_index=page, page_limit=2) for page in range(3)]
    assert pages == [["Early", "Party"], ["Late"], []]


def test_reminders_are_ones_own_and_no_two_are_the_same(calendar, theirs):
    number = calendar.event("Squash", "09:00", "10:00", attendees=[FRIEND.email])
    one = calendar("add_reminder", event_id=number, minutes_before=30)["reminder_id"]
    calendar.refused(409, "add_reminder", event_id=number, minutes_before=30)
    calendar.refused(422, "add_reminder", event_id=number, minutes_before=-1)
    calendar.refused(422, "add_reminder", event_id=number, minutes_before=40321)
    calendar("add_reminder", event_id=number, minutes_before=60)
    assert [one["minutes_before"] for one in calendar("list_reminders", event_id=number)] == [60, 30]
    assert theirs("list_reminders", event_id=number) == []
    theirs.refused(404, "remove_reminder", reminder_id=one)
    calendar("remove_reminder", reminder_id=one)
    assert [one["minutes_before"] for one in calendar("list_reminders", event_id=number)] == [60]
    calendar("remove_attendee", event_id=number, email=FRIEND.email)
    calendar("delete_event", event_id=number)
    reminders = calendar.world.connection.execute(
        "SELECT count(*) FROM calendar_reminders WHERE event_id = ?", (number,)
    )
    assert reminders.fetchone() == (0,)


def test_free_times_lie_between_what_keeps_people_busy(calendar, theirs):
    calendar.event("Mine", "10:00", "11:00")
    theirs.event("Theirs", "10:30", "12:00", attendees=[LIFE.supervisor.email])

    def free(minutes: int = 60, **more: Any) -> list[tuple[str, str]]:
        found = calendar("find_free_times", from_day=DAY, to_day=DAY, minutes=minutes, page_limit=20, **more)
        return [(one["starts_at"][11:16], one["ends_at"][11:16]) for one in found]

    assert free() == [("09:00", "10:00"), ("11:00", "18:00")]
    assert free(61) == [("11:00", "18:00")]
    assert free(attendees=[FRIEND.email]) == [("09:00", "10:00"), ("12:00", "18:00")]
    assert free(earliest="10:15", latest="11:45", minutes=45) == [("11:00", "11:45")]
    invited = calendar("search_events", query="Theirs", from_day=DAY)[0]["event_id"]
    calendar("answer_invitation", event_id=invited, answer="tentative")
    assert free() == [("09:00", "10:00"), ("12:00", "18:00")]
    calendar("answer_invitation", event_id=invited, answer="declined")
    assert free() == [("09:00", "10:00"), ("11:00", "18:00")]
    calendar.refused(422, "find_free_times", from_day=NEXT_DAY, to_day=DAY, minutes=5)
    calendar.refused(422, "find_free_times", from_day=DAY, to_day=DAY, minutes=0)
    last = (datetime.date.fromisoformat(DAY) + datetime.timedelta(days=31)).isoformat()
    calendar.refused(422, "find_free_times", from_day=DAY, to_day=last, minutes=5)


def test_no_free_time_lies_in_the_past(calendar):
    today = LIFE.day(0)
    found = calendar(
        "find_free_times", from_day=today, to_day=today, minutes=1, earliest="00:00", latest="23:59"
    )
    assert found
    assert all(one["starts_at"] >= LIFE.now.isoformat() for one in found)


def test_others_see_that_one_is_busy_and_not_why(calendar, theirs):
    calendar.event("Secret", "10:00", "11:00")
    cancelled = calendar.event("Off", "14:00", "15:00")
    calendar("cancel_event", event_id=cancelled)
    email = LIFE.supervisor.email
    times = [{"starts_at": f"{DAY}T10:00:00", "ends_at": f"{DAY}T11:00:00"}]
    assert theirs("list_busy_times", email=email, from_day=DAY, to_day=DAY) == times
    theirs.refused(422, "list_busy_times", email=email, from_day=NEXT_DAY, to_day=DAY)
    theirs.refused(404, "list_busy_times", email="nobody@inbox.test", from_day=DAY, to_day=DAY)
