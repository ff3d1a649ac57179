"""The app email: what its APIs change, what they refuse, and what of others is out of reach."""

from __future__ import annotations

import pytest
from apps_caller import LIFE, Caller

ME = LIFE.supervisor
FRIEND, OTHER_FRIEND = LIFE.relations["friend"][:2]


class Mailbox(Caller):
    app = "email"

    def counts(self) -> dict[str, int]:
        return {one["folder"]: one["emails"] for one in self("list_folders")}


@pytest.fixture
def mail(world):
    return Mailbox(world, ME.email)


@pytest.fixture
def theirs(world):
    return Mailbox(world, FRIEND.email)


@pytest.fixture
def sent(mail):
    """An email to two friends."""
    return mail("send_email", to=[OTHER_FRIEND.email, FRIEND.email], subject=" Lake ", body="Who is in?")


def test_emails_are_searched(mail):
    inbox = mail.every("search_emails")
    assert {one["folder"] for one in inbox} == {"inbox"}
    assert [one["sent_at"] for one in inbox] == sorted((one["sent_at"] for one in inbox), reverse=True)
    assert mail.every("search_emails", oldest_first=True) == sorted(
        inbox, key=lambda one: (one["sent_at"], one["email_id"])
    )
    for name, value in (("read", False), ("starred", True)):
        some = mail.every("search_emails", **{name: value})
        assert some == [one for one in inbox if one[name] is value]
        assert some
    files = mail.every("search_emails", has_attachments=True)
    assert files == [one for one in inbox if one["attachments"]]
    sender = inbox[0]["sender_email"]
    assert mail.every("search_emails", sender_email=sender.upper()) == [
        one for one in inbox if one["sender_email"] == sender
    ]
    day = inbox[5]["sent_at"][:10]
    assert mail.every("search_emails", from_date=day, to_date=day) == [
        one for one in inbox if one["sent_at"][:10] == day
    ]
    work = mail.every("search_emails", label="Work", folder=None)
    assert work
    assert all("work" in one["labels"] for one in work)
    everywhere = mail.every("search_emails", folder=None)
    assert {one["folder"] for one in everywhere} == {"inbox", "sent", "archive"}
    mine = mail.every("search_emails", folder="sent", recipient_email=FRIEND.email)
    assert all(one["sender_email"] == ME.email for one in mine)
    assert mail("search_emails", query="BANK DETAILS") == []
    assert len(mail("search_emails", query="BANK DETAILS", folder="spam")) == 3


def test_folders_count_what_lies_there(mail):
    for folder, count in mail.counts().items():
        assert len(mail.every("search_emails", folder=folder)) == count > 0


def test_emails_labels_and_drafts_of_others_are_out_of_reach(mail, theirs):
    secret = theirs("search_emails", folder="sent", query="surprise party")[0]
    assert mail.every("search_emails", folder=None, query="surprise") == []
    one = secret["email_id"]
    mail.refused(404, "show_email", email_id=one)
    mail.refused(404, "show_thread", thread_id=secret["thread_id"])
    mail.refused(404, "reply", email_id=one, body="x")
    mail.refused(404, "forward", email_id=one, to=[FRIEND.email])
    mail.refused(404, "move_email", email_id=one, folder="trash")
    mail.refused(404, "mark_email", email_id=one, read=True)
    mail.refused(404, "star_email", email_id=one)
    label = theirs("list_labels")[0]["label_id"]
    assert label not in {known["label_id"] for known in mail("list_labels")}
    mail.refused(404, "delete_label", label_id=label)
    mail.refused(404, "add_label", email_id=mail("search_emails")[0]["email_id"], label_id=label)
    draft = theirs("list_drafts")[0]["draft_id"]
    for name in ("send_draft", "delete_draft"):
        mail.refused(404, name, draft_id=draft)
    mail.refused(404, "update_draft", draft_id=draft, body="x")


def test_an_email_reaches_everybody(mail, theirs, sent):
    assert (sent["subject"], sent["folder"], sent["read"]) == ("Lake", "sent", True)
    assert sent["recipients"] == sorted([FRIEND.email, OTHER_FRIEND.email])
    got = theirs("search_emails")[0]
    assert (got["email_id"], got["folder"], got["read"], got["sender"]) == (
        sent["email_id"],
        "inbox",
        False,
        ME.name,
    )
    theirs("mark_email", email_id=got["email_id"], read=True)
    theirs("move_email", email_id=got["email_id"], folder="trash")
    assert mail("show_email", email_id=sent["email_id"])["folder"] == "sent"


def test_what_cannot_be_sent(mail):
    mail.refused(422, "send_email", to=[], subject="x", body="x")
    mail.refused(422, "send_email", to=[FRIEND.email], subject=" ", body="x")
    mail.refused(422, "send_email", to=[FRIEND.email], subject="x" * 201, body="x")
    mail.refused(422, "send_email", to=[FRIEND.email], subject="x", body=" ")
    mail.refused(422, "send_email", to=[FRIEND.email], subject="x", body="x", attachments=[" "])
    mail.refused(404, "send_email", to=["nobody@mailbox.test"], subject="x", body="x")
    mail.refused(404, "send_email", to=[FRIEND.email], cc=["nobody@mailbox.test"], subject="x", body="x")


def test_replies_stay_in_their_thread_and_reach_whom_they_should(mail, theirs, sent):
    reply = theirs("reply", email_id=sent["email_id"], body="Me!", to_all=True)
    assert (reply["subject"], reply["recipients"], reply["cc"]) == (
        "Re: Lake",
        [ME.email],
        [OTHER_FRIEND.email],
    )
    again = mail("reply", email_id=reply["email_id"], body="Fine")
    assert (again["subject"], again["recipients"], again["cc"]) == ("Re: Lake", [FRIEND.email], [])
    own = mail("reply", email_id=sent["email_id"], body="Anybody?")
    assert own["recipients"] == sent["recipients"]
    thread = mail("show_thread", thread_id=sent["thread_id"])
    ids = [one["email_id"] for one in (sent, reply, again, own)]
    assert [one["email_id"] for one in thread] == ids
    assert mail("list_threads")[0] == {
        "thread_id": sent["thread_id"],
        "subject": "Re: Lake",
        "emails": 4,
        "unread": 1,
        "last_sender": ME.name,
        "last_sent_at": own["sent_at"],
    }
    assert mail("list_threads", query="LAKE", unread=False) == []
    assert mail("list_threads", query="LAKE", unread=True)[0]["thread_id"] == sent["thread_id"]
    mail.refused(422, "reply", email_id=sent["email_id"], body="")


def test_an_email_is_forwarded_with_its_text_and_files(mail, theirs):
    bill = mail("search_emails", query="Your bill")[0]
    sent = mail("forward", email_id=bill["email_id"], to=[FRIEND.email], body="For you")
    assert (sent["subject"], sent["attachments"]) == (f"Fwd: {bill['subject']}", bill["attachments"])
    assert sent["thread_id"] != bill["thread_id"]
    body = theirs("show_email", email_id=sent["email_id"])["body"]
    assert body.startswith("For you\n\n---- forwarded from ")
    assert "Amount due" in body


def test_emails_are_marked_starred_moved_and_deleted(mail, sent):
    email = mail("search_emails", read=False, starred=False)[0]
    one = email["email_id"]
    assert mail("mark_email", email_id=one, read=True)["read"] is True
    assert mail("star_email", email_id=one)["starred"] is True
    assert mail("star_email", email_id=one, starred=False)["starred"] is False
    mail.refused(409, "move_email", email_id=one, folder="inbox")
    mail.refused(409, "move_email", email_id=one, folder="sent")
    mail.refused(409, "move_email", email_id=sent["email_id"], folder="inbox")
    mail.refused(409, "delete_email", email_id=one)
    assert mail("move_email", email_id=sent["email_id"], folder="archive")["folder"] == "archive"
    assert mail("move_email", email_id=one, folder="trash")["folder"] == "trash"
    before = mail.counts()["trash"]
    mail("delete_email", email_id=one)
    mail.refused(404, "show_email", email_id=one)
    assert mail("empty_trash") == {"deleted": before - 1}
    assert mail.counts()["trash"] == 0


def test_labels_are_made_renamed_put_on_and_deleted(mail):
    one = mail("search_emails")[0]["email_id"]
    label = mail("create_label", name=" Garden ")
    assert label["name"] == "garden"
    mail.refused(409, "create_label", name="GARDEN")
    mail.refused(422, "create_label", name=" ")
    mail.refused(409, "remove_label", email_id=one, label_id=label["label_id"])
    assert "garden" in mail("add_label", email_id=one, label_id=label["label_id"])["labels"]
    mail.refused(409, "add_label", email_id=one, label_id=label["label_id"])
    mail.refused(409, "rename_label", label_id=label["label_id"], name="work")
    assert mail("rename_label", label_id=label["label_id"], name="Yard")["name"] == "yard"
    assert [found["email_id"] for found in mail("search_emails", label="yard")] == [one]
    assert "yard" not in mail("remove_label", email_id=one, label_id=label["label_id"])["labels"]
    mail("add_label", email_id=one, label_id=label["label_id"])
    mail("delete_label", label_id=label["label_id"])
    assert "yard" not in mail("show_email", email_id=one)["labels"]
    mail.refused(404, "rename_label", label_id=label["label_id"], name="x")


def test_a_draft_is_written_changed_and_sent(mail, theirs):
    draft = mail("create_draft", subject="Lake", body="Hi")
    one = draft["draft_id"]
    mail.refused(422, "send_draft", draft_id=one)
    mail.refused(422, "update_draft", draft_id=one)
    mail.refused(404, "update_draft", draft_id=one, to=["nobody@mailbox.test"])
    changed = mail("update_draft", draft_id=one, to=[FRIEND.email], cc=[FRIEND.email, OTHER_FRIEND.email])
    assert (changed["recipients"], changed["cc"], changed["body"]) == (
        [FRIEND.email],
        [OTHER_FRIEND.email],
        "Hi",
    )
    assert mail("list_drafts", query="LAKE")[0] == changed
    sent = mail("send_draft", draft_id=one)
    assert theirs("show_email", email_id=sent["email_id"])["cc"] == [OTHER_FRIEND.email]
    mail.refused(404, "send_draft", draft_id=one)
    other = mail("list_drafts")[0]["draft_id"]
    mail("delete_draft", draft_id=other)
    mail.refused(404, "delete_draft", draft_id=other)


def test_the_app_stays_small(world):
    tables = ("companies", "messages", "states", "labels", "message_labels", "drafts")
    count = sum(
        world.connection.execute(f"SELECT count(*) FROM email_{table}").fetchone()[0] for table in tables
    )
    assert 200 < count < 600
