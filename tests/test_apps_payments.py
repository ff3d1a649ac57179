"""The app payments: where money goes, who may do what, and what of others is out of reach."""

from __future__ import annotations

from typing import Any

import pytest
from apps_caller import LIFE, Caller

FRIEND, OTHER_FRIEND = LIFE.relations["friend"][:2]
STRANGER = LIFE.strangers[0]


class Payments(Caller):
    app = "payments"

    @property
    def balance(self) -> float:
        return self("show_balance")["balance"]

    def card(self, **wanted: Any) -> int:
        """Return the id of the first card with these values."""
        cards = self("list_cards")
        return next(one["card_id"] for one in cards if wanted.items() <= one.items())


@pytest.fixture
def payments(world):
    return Payments(world, LIFE.supervisor.email)


@pytest.fixture
def theirs(world):
    return Payments(world, FRIEND.email)


def test_a_payment_moves_money_from_one_balance_to_the_other(payments, theirs):
    mine, other = payments.balance, theirs.balance
    payment = payments("send_payment", email=FRIEND.email, amount=12.34, note=" lunch ")
    assert (payment["amount"], payment["note"], payment["private"]) == (12.34, "lunch", False)
    assert (payment["sender"]["email"], payment["receiver"]["email"]) == (LIFE.supervisor.email, FRIEND.email)
    assert payments.balance == pytest.approx(mine - 12.34)
    assert theirs.balance == pytest.approx(other + 12.34)


def test_a_card_pays_without_the_balance(payments):
    before = payments.balance
    card = payments.card(is_default=True)
    assert payments("send_payment", email=FRIEND.email, amount=5, card_id=card)["card_id"] == card
    assert payments.balance == before


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (422, {"amount": 0}),
        (422, {"amount": 5000.01}),
        (409, {"amount": 4999}),
        (422, {"amount": 1, "email": LIFE.supervisor.email}),
        (404, {"amount": 1, "email": "nobody@inbox.test"}),
        (404, {"amount": 1, "card_id": 10**6}),
        (422, {"amount": 1, "note": "x" * 281}),
    ],
)
def test_payments_that_cannot_be(payments, status, arguments):
    payments.refused(status, "send_payment", **{"email": FRIEND.email, **arguments})


def test_cards_that_expired_or_move_less_are_refused(payments):
    expired = payments.card(expired=True)
    small = payments.card(transfer_limit=200)
    payments.refused(409, "send_payment", email=FRIEND.email, amount=1, card_id=expired)
    payments.refused(409, "top_up", amount=200.01, card_id=small)
    before = payments.balance
    payments("top_up", amount=200, card_id=small)
    assert payments.balance == pytest.approx(before + 200)


def test_money_is_withdrawn_to_debit_cards_and_not_more_than_there_is(payments):
    debit, credit = payments.card(is_default=True), payments.card(kind="credit")
    payments.refused(422, "withdraw", amount=1, card_id=credit)
    payments.refused(409, "withdraw", amount=payments.balance + 0.01, card_id=debit)
    payments("withdraw", amount=payments.balance, card_id=debit)
    assert payments.balance == 0
    assert payments("list_transfers")[0]["direction"] == "withdraw"


def test_transfers_are_found_by_direction_card_and_day(payments):
    credit = payments.card(kind="credit")
    moved = payments("top_up", amount=10, card_id=credit)
    assert payments("list_transfers", card_id=credit) == [moved]
    assert payments("list_transfers", from_date=LIFE.day(0)) == [moved]
    assert payments("list_transfers", from_date=LIFE.day(0), direction="withdraw") == []
    older = payments("list_transfers", to_date=LIFE.day(-1), page_limit=20)
    assert older
    assert moved not in older


def test_cards_are_added_changed_and_removed(payments, theirs):
    new = {"label": " Travel ", "number": "4000 1234 5678 9999", "expires": "2040-01", "kind": "debit"}
    card = payments("add_card", **new)
    number = card["card_id"]
    assert (card["label"], card["last_four"], card["is_default"]) == ("Travel", "9999", False)
    payments.refused(409, "add_card", **new)
    payments.refused(422, "add_card", **{**new, "number": "123"})
    payments.refused(422, "add_card", **{**new, "number": "4000123456781111", "expires": "2031-13"})
    payments.refused(422, "add_card", **{**new, "number": "4000123456781111", "expires": "2020-01"})
    payments.refused(422, "update_card", card_id=number)
    theirs.refused(404, "update_card", card_id=number, label="x")
    payments("update_card", card_id=number, is_default=True)
    assert [one["card_id"] for one in payments("list_cards") if one["is_default"]] == [number]
    payments.refused(409, "remove_card", card_id=number)
    payments("update_card", card_id=payments.card(kind="credit"), is_default=True)
    payments("remove_card", card_id=number)
    assert number not in [one["card_id"] for one in payments("list_cards")]
    payments.refused(404, "top_up", amount=1, card_id=number)


def test_a_request_is_approved_and_paid_once(payments, theirs):
    before = payments.balance
    request = theirs("request_money", email=LIFE.supervisor.email, amount=7.5, note="taxi", private=True)
    number = request["request_id"]
    theirs.refused(403, "approve_request", request_id=number)
    payment = payments("approve_request", request_id=number)
    assert (payment["amount"], payment["note"], payment["request_id"]) == (7.5, "taxi", number)
    assert payment["private"] is True
    assert payments.balance == pytest.approx(before - 7.5)
    for name in ("approve_request", "deny_request"):
        payments.refused(409, name, request_id=number)
    theirs.refused(409, "cancel_request", request_id=number)
    assert payments("list_requests", status="approved", email=FRIEND.email)[0]["request_id"] == number


def test_a_request_that_cannot_be_paid_stays_pending(payments, theirs):
    number = theirs("request_money", email=LIFE.supervisor.email, amount=4999)["request_id"]
    payments.refused(409, "approve_request", request_id=number)
    payments("deny_request", request_id=number)
    denied = payments("list_requests", status="denied", direction="incoming", from_date=LIFE.day(0))
    assert [one["request_id"] for one in denied] == [number]


def test_only_who_asks_changes_reminds_and_cancels(payments, theirs):
    number = payments("request_money", email=FRIEND.email, amount=20)["request_id"]
    for name in ("remind", "cancel_request"):
        theirs.refused(403, name, request_id=number)
    theirs.refused(403, "update_request", request_id=number, amount=1)
    payments.refused(422, "update_request", request_id=number)
    payments.refused(403, "deny_request", request_id=number)
    assert payments("update_request", request_id=number, amount=21, note="book")["amount"] == 21
    payments("remind", request_id=number)
    assert payments("remind", request_id=number)["reminders"] == 2
    assert payments("cancel_request", request_id=number)["status"] == "cancelled"
    payments.refused(409, "remind", request_id=number)
    payments.refused(422, "request_money", email=LIFE.supervisor.email, amount=1)


def test_requests_between_others_are_out_of_reach(payments, theirs):
    number = theirs("request_money", email=OTHER_FRIEND.email, amount=3)["request_id"]
    for name in ("approve_request", "deny_request", "remind", "cancel_request"):
        payments.refused(404, name, request_id=number)
    listed = payments("list_requests", from_date=LIFE.day(0), page_limit=20)
    assert number not in [one["request_id"] for one in listed]


def test_private_payments_are_seen_by_two_people(payments, theirs, world):
    hidden = theirs("send_payment", email=OTHER_FRIEND.email, amount=1, private=True, note="psst")
    number = hidden["payment_id"]
    for name in ("show_payment", "like_payment", "unlike_payment", "list_likes", "list_comments"):
        payments.refused(404, name, payment_id=number)
    payments.refused(404, "add_comment", payment_id=number, text="x")
    payments.refused(404, "update_payment", payment_id=number, note="x")
    assert Payments(world, OTHER_FRIEND.email)("show_payment", payment_id=number)["note"] == "psst"
    assert number not in [one["payment_id"] for one in payments("show_feed", from_date=LIFE.day(0))]
    theirs("update_payment", payment_id=number, private=False)
    assert number in [one["payment_id"] for one in payments("show_feed", from_date=LIFE.day(0))]
    payments.refused(403, "update_payment", payment_id=number, private=True)
    assert number not in [one["payment_id"] for one in payments("list_payments", page_limit=20)]


def test_a_card_is_shown_to_who_paid_with_it_alone(payments, theirs):
    card = payments.card(is_default=True)
    number = payments("send_payment", email=FRIEND.email, amount=2, card_id=card)["payment_id"]
    assert payments("show_payment", payment_id=number)["card_id"] == card
    assert theirs("show_payment", payment_id=number)["card_id"] is None


def test_payments_are_found_by_their_conditions(payments, theirs):
    sent = payments("send_payment", email=FRIEND.email, amount=30, note="Blue tent")["payment_id"]
    received = theirs("send_payment", email=LIFE.supervisor.email, amount=40, note="tent pegs")["payment_id"]

    def found(**conditions: Any) -> list[int]:
        rows = payments("list_payments", from_date=LIFE.day(0), **conditions)
        return [one["payment_id"] for one in rows]

    assert found() == [received, sent]
    assert found(direction="sent") == [sent]
    assert found(direction="received") == [received]
    assert found(query="TENT") == [received, sent]
    assert found(query="blue") == [sent]
    assert found(min_amount=30.01) == [received]
    assert found(max_amount=30) == [sent]
    assert found(email=OTHER_FRIEND.email) == []
    assert [found(page_index=page, page_limit=1) for page in range(3)] == [[received], [sent], []]
    payments.refused(422, "update_payment", payment_id=sent)


def test_likes_and_comments_are_counted_and_ones_own(payments, theirs):
    number = theirs("send_payment", email=OTHER_FRIEND.email, amount=1)["payment_id"]
    assert payments("like_payment", payment_id=number)["likes"] == 1
    payments.refused(409, "like_payment", payment_id=number)
    assert [one["email"] for one in payments("list_likes", payment_id=number)] == [LIFE.supervisor.email]
    theirs.refused(409, "unlike_payment", payment_id=number)
    assert payments("unlike_payment", payment_id=number)["likes"] == 0
    comment = payments("add_comment", payment_id=number, text=" nice ")["comment_id"]
    payments.refused(422, "add_comment", payment_id=number, text=" ")
    theirs.refused(403, "update_comment", comment_id=comment, text="x")
    theirs.refused(403, "delete_comment", comment_id=comment)
    payments("update_comment", comment_id=comment, text="very nice")
    assert [one["text"] for one in theirs("list_comments", payment_id=number)] == ["very nice"]
    assert theirs("show_payment", payment_id=number)["comments"] == 1
    payments("delete_comment", comment_id=comment)
    payments.refused(404, "delete_comment", comment_id=comment)


def test_the_feed_shows_what_friends_do(payments, world):
    stranger, other = LIFE.strangers[:2]
    number = Payments(world, stranger.email)
    card = number("add_card", label="c", number="4" * 16, expires="2040-01", kind="credit")["card_id"]
    paid = number("send_payment", email=other.email, amount=1, card_id=card)["payment_id"]

    def feed() -> list[int]:
        return [one["payment_id"] for one in payments("show_feed", from_date=LIFE.day(0))]

    assert feed() == []
    payments("add_friend", email=stranger.email)
    assert feed() == [paid]
    payments.refused(409, "add_friend", email=stranger.email)
    payments("remove_friend", email=stranger.email)
    assert feed() == []
    payments.refused(409, "remove_friend", email=stranger.email)
    payments.refused(422, "add_friend", email=LIFE.supervisor.email)


def test_people_are_found_by_name_and_email(payments):
    (one,) = payments("search_people", query=FRIEND.email)
    assert (one["name"], one["is_friend"]) == (FRIEND.name, True)
    assert payments("search_people", query=STRANGER.email)[0]["is_friend"] is False
    assert payments("search_people", query=STRANGER.name, friends_only=True) == []
    everybody = payments("search_people", query="", page_limit=20)
    assert [one["name"] for one in everybody] == sorted(one["name"] for one in everybody)
    assert LIFE.supervisor.email not in [one["email"] for one in everybody]
