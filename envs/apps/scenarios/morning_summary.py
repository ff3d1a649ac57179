"""Count what waits in all apps, and write it into a note."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.todo_seed import add_list, add_task
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "What waits today",
    "Good morning",
    "Overview",
    "Today at a glance",
    "The state of things",
    "Check-in",
)


def prepare(draft: Draft) -> Plan:
    """Read some messages and empty part of the queue, so that every day has counts of its own; count."""
    me, today = draft.me.id, draft.life.day(0)
    for row in draft.rows("SELECT id FROM phone_messages WHERE receiver_id = ? ORDER BY id", me):
        draft.update("phone_messages", row["id"], read=int(draft.number(0, 3) > 0))
    for row in draft.rows("SELECT id FROM email_states WHERE person_id = ? ORDER BY id", me):
        draft.update("email_states", row["id"], read=int(draft.number(0, 2) > 0))
    for row in draft.rows("SELECT id FROM music_queue WHERE person_id = ? ORDER BY id", me):
        if draft.number(0, 1):
            draft.delete("music_queue", row["id"])
    # Whether the others have read what was written to them does not count.
    sent = draft.value("SELECT max(id) FROM phone_messages WHERE person_id = ?", me)
    draft.update("phone_messages", sent, read=0)
    listing = add_list(draft, draft.me, "Small things", draft.moment(-60, -40))
    for place, thing in enumerate(("Water", "Vacuum", "Call back", "Stretch", "Sweep")):
        add_task(
            draft,
            listing,
            draft.me,
            thing,
            made=draft.moment(-39, -30),
            due_date=draft.life.day(place - draft.number(1, 3)),
        )
    counts = {
        "Tasks due today": draft.value(
            "SELECT count(*) FROM todo_tasks t JOIN todo_lists l ON l.id = list_id WHERE due_date = ? "
            "AND NOT done AND NOT archived AND (l.person_id = ? OR l.id IN "
            "(SELECT list_id FROM todo_members WHERE person_id = ?))",
            today,
            me,
            me,
        ),
        "Events that I organize today": draft.value(
            "SELECT count(*) FROM calendar_events WHERE person_id = ? AND NOT cancelled "
            "AND substr(starts_at, 1, 10) <= ? AND substr(ends_at, 1, 10) >= ?",
            me,
            today,
            today,
        ),
        "Requests to pay": draft.value(
            "SELECT count(*) FROM payments_requests WHERE payer_id = ? AND status = 'pending'", me
        ),
        "Unread text messages": draft.value(
            "SELECT count(*) FROM phone_messages WHERE receiver_id = ? AND NOT read AND NOT "
            "deleted_by_receiver",
            me,
        ),
        "Unread emails": draft.value(
            "SELECT count(*) FROM email_states WHERE person_id = ? AND NOT read AND folder = 'inbox'", me
        ),
        "Expense groups": draft.value(
            "SELECT count(*) FROM expenses_groups g JOIN expenses_members m ON group_id = g.id "
            "WHERE m.person_id = ? AND NOT archived",
            me,
        ),
        "Songs in the queue": draft.value("SELECT count(*) FROM music_queue WHERE person_id = ?", me),
    }
    title = f"{draft.choose(_TITLES)} ({today})"
    body = "\n".join(f"{name}: {count}" for name, count in counts.items())
    return Plan(
        parameters={"title": title},
        must=[added("notes_notes", title=title, body=same_text(body))],
        near_misses=[
            NearMiss("overdue tasks too", edit=("due_from=today, ", "")),
            NearMiss("those that were sent as well", edit=(", direction='incoming'", ", direction=None")),
            NearMiss(
                "marks the messages as read",
                edit=(
                    "print(messages)",
                    "apis.phone.mark_thread_read(access_token=phone, "
                    "phone_number=messages[0]['phone_number'])",
                ),
            ),
            NearMiss("only the first page", edit=("len(emails)", "len(emails[:1])")),
            NearMiss("tagged", edit=("body=body)", "body=body, tags=['today'])")),
        ],
    )


def gold(title: str) -> None:
    """Look into one app after the other, then write the note."""
    today = apis.supervisor.show_current_time()["now"][:10]
    todo = login("todo")
    tasks = every_page(apis.todo.search_tasks, access_token=todo, due_from=today, due_until=today)
    calendar = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=calendar, from_day=today, to_day=today, organized_by_me=True
    )
    print(tasks, events)

    payments = login("payments")
    requests = every_page(
        apis.payments.list_requests, access_token=payments, direction="incoming", status="pending"
    )
    phone = login("phone")
    messages = every_page(apis.phone.search_messages, access_token=phone, read=False, direction="incoming")
    print(messages)

    email = login("email")
    emails = every_page(apis.email.search_emails, access_token=email, read=False)
    expenses = login("expenses")
    groups = every_page(apis.expenses.list_groups, access_token=expenses)
    music = login("music")
    queue = apis.music.show_queue(access_token=music)
    print(emails, groups, queue)

    lines = [
        f"Tasks due today: {len(tasks)}",
        f"Events that I organize today: {len(events)}",
        f"Requests to pay: {len(requests)}",
        f"Unread text messages: {len(messages)}",
        f"Unread emails: {len(emails)}",
        f"Expense groups: {len(groups)}",
        f"Songs in the queue: {len(queue)}",
    ]
    body = "\n".join(lines)
    notes = login("notes")
    apis.notes.create_note(access_token=notes, title=title, body=body)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="morning_summary",
    split="test_challenge",
    phrasings=(
        'Write a note with the title "{title}" that has these lines, in this order, each with a number '
        "behind the "
        "colon: Tasks due today: (open ones in all my lists), Events that I organize today:, Requests to "
        "pay: (the "
        "pending ones in the payments app), Unread text messages:, Unread emails: (in the inbox), Expense "
        "groups: "
        "(those that are not archived), Songs in the queue:. Mark nothing as read.",
        'I need an overview as a note called "{title}". One line each: "Tasks due today: N" for the open '
        "tasks of "
        'all lists, "Events that I organize today: N", "Requests to pay: N" for pending ones in the '
        "payments app, "
        '"Unread text messages: N", "Unread emails: N" for the inbox, "Expense groups: N" without archived '
        "ones, "
        '"Songs in the queue: N". Keep this order and leave everything unread that is unread.',
    ),
    prepare=prepare,
    gold=gold,
)
