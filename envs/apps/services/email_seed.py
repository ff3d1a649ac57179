"""What a life's mailbox holds: outings, work, family, bills, newsletters; and ``deliver`` for scenarios."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import dataclass

from palaestra.envs.apps.life import Life, Outing, Person
from palaestra.envs.apps.world import Database

COMPANIES = {
    "Brightline Energy": "billing@brightline.test",
    "Northwave Internet": "accounts@northwave.test",
    "Harbor Insurance": "service@harborinsurance.test",
    "City Water": "invoices@citywater.test",
    "Morning Pages": "letters@morningpages.test",
    "Trail & Tent": "news@trailandtent.test",
    "The Kitchen Weekly": "hello@kitchenweekly.test",
    "Cinema Aurora": "program@cinemaaurora.test",
    "Public Library": "desk@library.test",
    "Skylark Airways": "bookings@skylark.test",
    "Golden Prize Club": "winner@goldenprize.test",
}
"""The companies that write, with their addresses."""
BILLS = ("Brightline Energy", "Northwave Internet", "Harbor Insurance", "City Water")
NEWSLETTERS = ("Morning Pages", "Trail & Tent", "The Kitchen Weekly", "Cinema Aurora")
_LABELS = ("bills", "family", "later", "receipts", "travel", "work")
_NEWS = {
    "Morning Pages": ("Seven books for rainy days", "An author writes by hand", "Our poem of the week"),
    "Trail & Tent": ("Tents at half price", "Five huts worth the climb", "How to wax your boots"),
    "The Kitchen Weekly": ("Soups for the week", "What to do with quinces", "Bread without kneading"),
    "Cinema Aurora": ("This week on our screens", "A night of silent films", "Popcorn is on us"),
}
_WORK: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("Quarterly numbers", "Please find the numbers attached. Do they look right?", "They do.", ("q.xlsx",)),
    ("Offer for the new client", "Could you read the offer before it goes out?", "Done.", ("offer.pdf",)),
    ("Team lunch", "Shall we have lunch together on Thursday?", "Yes, at the Italian one?", ()),
    ("Slides for the conference", "Here is my first version.", "Very good start.", ("slides.pdf",)),
    ("Vacation plan", "When will you be away this summer?", "The first two weeks.", ()),
    ("Access to the archive", "I cannot open the archive any more.", "Try it again, please.", ()),
    ("Notes of the workshop", "My notes of today are attached.", "Thanks a lot!", ("notes.txt",)),
)
_FAMILY = (
    ("Grandma's birthday", "Let us give her a garden bench together. Are you in?", "Of course!"),
    ("Old photos", "I scanned the photos from the attic. Look how small you were!", "Wonderful!"),
    ("The boiler", "The boiler is repaired at last.", "What a relief."),
    ("Recipe for the plum cake", "You asked for it: flour, butter, plums, patience.", "Thank you!"),
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """An email: its row, the row of its state in the supervisor's mailbox, and its thread."""

    message: int
    state: int
    thread: int


def deliver(
    database: Database,
    sender: Person | str,
    recipients: Sequence[Person],
    subject: str,
    body: str,
    sent_at: str,
    *,
    copies: Sequence[Person] = (),
    attachments: Sequence[str] = (),
    reply_to: Delivered | None = None,
    folder: str = "",
    read: bool = True,
    starred: bool = False,
) -> Delivered:
    """Write an email of a person, or of the company with a name, as it lies in the supervisor's mailbox."""
    company = sender if isinstance(sender, str) else None
    person = 0 if isinstance(sender, str) else sender.id
    message = database.insert(
        "email_messages",
        person_id=person,
        company_id=database.value("SELECT id FROM email_companies WHERE name = ?", company),
        recipients=json.dumps(sorted(one.email for one in recipients)),
        copies=json.dumps(sorted(one.email for one in copies)),
        subject=subject,
        body=body,
        attachments=json.dumps(sorted(attachments)),
        reply_to=None if reply_to is None else reply_to.message,
        sent_at=sent_at,
    )
    thread = message if reply_to is None else reply_to.thread
    database.update("email_messages", message, thread_id=thread)
    state = database.insert(
        "email_states",
        message_id=message,
        person_id=1,
        folder=folder or ("sent" if person == 1 else "inbox"),
        read=int(read or person == 1),
        starred=int(starred),
    )
    return Delivered(message, state, thread)


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    _Mailbox(life, database).fill()


class _Mailbox:
    """Writes emails; what differs is drawn from the app's random numbers."""

    def __init__(self, life: Life, database: Database) -> None:
        self.life, self.database = life, database
        self.generator = life.generator("email")
        self.me = life.supervisor
        self.labels: dict[str, int] = {}

    def fill(self) -> None:
        """Fill all tables."""
        rows = [{"name": name, "address": address} for name, address in COMPANIES.items()]
        self.database.insert_all("email_companies", rows)
        for name in _LABELS:
            self.labels[name] = self.database.insert("email_labels", person_id=self.me.id, name=name)
        self._bills()
        self._newsletters()
        self._work()
        self._family()
        for outing in self.life.outings:
            self._outing(outing)
        self._rest()
        self._drafts()
        self._others()

    def _moment(self, first: int, last: int) -> str:
        return self.life.moment(self.generator, first, last)

    def _often(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def _label(self, email: Delivered, name: str) -> None:
        self.database.insert("email_message_labels", message_id=email.message, label_id=self.labels[name])

    def _later(self, moment: str) -> str:
        """Return a moment some hours later, but not in the future."""
        later = datetime.datetime.fromisoformat(moment) + datetime.timedelta(
            minutes=int(self.generator.integers(10, 900))
        )
        return min(later, self.life.now).isoformat(timespec="seconds")

    def _bills(self) -> None:
        for company in BILLS:
            for month in range(4):
                day = -(100 - 30 * month) + int(self.generator.integers(-4, 5))
                dollars = int(self.generator.integers(1800, 14000)) / 100
                bill = deliver(
                    self.database,
                    company,
                    [self.me],
                    f"Your bill of {self.life.day(day)}",
                    f"Amount due: ${dollars:.2f}\nPayable until: {self.life.day(day + 21)}",
                    self._moment(day, day),
                    attachments=[f"bill-{self.life.day(day)}.pdf"],
                    folder="archive" if month < 2 else "inbox",
                    read=month < 3 or self._often(0.5),
                )
                if month < 3:
                    self._label(bill, "bills")

    def _newsletters(self) -> None:
        for company, subjects in _NEWS.items():
            for place, subject in enumerate(subjects):
                day = -7 * (3 * place + 1) - int(self.generator.integers(0, 3))
                body = f"{subject}: read more on our pages.\n\nYou get this because you subscribed."
                moment = self._moment(day, day)
                deliver(self.database, company, [self.me], subject, body, moment, read=self._often(0.4))

    def _work(self) -> None:
        people = [*self.life.relations["coworker"], *self.life.relations["manager"]]
        for place, person in enumerate(people):
            for subject, asked, answered, files in (
                _WORK[place % len(_WORK)],
                _WORK[(place + 3) % len(_WORK)],
            ):
                moment = self._moment(-60, -2)
                copies = [people[(place + 1) % len(people)]] if self._often(0.3) else []
                first = deliver(
                    self.database,
                    person,
                    [self.me],
                    subject,
                    f"Hi {self.me.first_name},\n\n{asked}\n\n{person.first_name}",
                    moment,
                    copies=copies,
                    attachments=files,
                    read=self._often(0.8),
                    starred=self._often(0.15),
                )
                if self._often(0.5):
                    self._label(first, "work")
                if self._often(0.6):
                    self._answer(first, person, subject, answered, moment)

    def _answer(self, first: Delivered, to: Person, subject: str, text: str, moment: str) -> None:
        later = self._later(moment)
        deliver(self.database, self.me, [to], f"Re: {subject}", text, later, reply_to=first)

    def _family(self) -> None:
        relations = self.life.relations
        people = [*relations["mother"], *relations["father"], *relations["sister"], *relations["brother"]]
        for place, person in enumerate(people):
            subject, text, answered = _FAMILY[place % len(_FAMILY)]
            moment = self._moment(-80, -3)
            first = deliver(self.database, person, [self.me], subject, text, moment, starred=self._often(0.2))
            self._label(first, "family")
            self._answer(first, person, subject, answered, moment)

    def _outing(self, outing: Outing) -> None:
        """Write the invitation of one to all who take part, some answers, and photos afterwards."""
        host, others = outing.people[0], outing.people[1:]
        offset = (outing.day - self.life.today).days
        moment = self._moment(min(offset - 20, -6), min(offset - 16, -4))
        name = outing.name.removeprefix("the ")
        subject = f"{name[0].upper()}{name[1:]} on {outing.day.isoformat()}"
        text = (
            f"Dear all,\n\nlet us meet in {outing.place} for {outing.name}. Who is in?\n\n{host.first_name}"
        )
        first = deliver(self.database, host, [self.me, *others], subject, text, moment)
        if outing.kind == "trip":
            self._label(first, "travel")
        for person in (self.me, *others[:2]):
            moment = self._later(moment)
            everybody = [one for one in (self.me, *others) if one != person]
            deliver(
                self.database,
                person,
                [host],
                f"Re: {subject}",
                "I am in!",
                moment,
                copies=everybody,
                reply_to=first,
                read=self._often(0.7),
            )
        if offset < -5:
            files = [f"{outing.kind}-{number}.jpg" for number in range(1, 4)]
            deliver(
                self.database,
                outing.people[-1],
                [self.me],
                f"Photos of {outing.name}",
                "Here are the best ones.",
                self._moment(offset + 1, offset + 4),
                attachments=files,
                folder="archive" if self._often(0.4) else "inbox",
                read=self._often(0.8),
            )

    def _rest(self) -> None:
        me = [self.me]
        library = "The following book is due soon: The Paper Bridge."
        deliver(
            self.database, "Public Library", me, "A book is due", library, self._moment(-9, -2), read=False
        )
        flight = deliver(
            self.database,
            "Skylark Airways",
            me,
            "Your booking is confirmed",
            "Thank you for flying with us. Your booking code is QX7R2M.",
            self._moment(-50, -40),
            attachments=["ticket.pdf"],
        )
        self._label(flight, "travel")
        self._label(flight, "receipts")
        for subject in ("You have won", "Last chance to claim your prize", "Open at once"):
            moment = self._moment(-30, -1)
            deliver(
                self.database,
                "Golden Prize Club",
                me,
                subject,
                "Send us your bank details today.",
                moment,
                folder="spam",
                read=False,
            )
        for company in NEWSLETTERS[:3]:
            subject = f"{company}: our best of last year"
            moment = self._moment(-90, -70)
            deliver(self.database, company, me, subject, "See for yourself.", moment, folder="trash")

    def _drafts(self) -> None:
        people = [self.life.relations["friend"][0], self.life.relations["coworker"][0]]
        texts = (("Ideas for the summer", "What about the lake again?"), ("Project plan", "Dear all, "))
        for person, (subject, body) in zip(people, texts, strict=True):
            created = self._moment(-20, -3)
            self.database.insert(
                "email_drafts",
                person_id=self.me.id,
                recipients=json.dumps([person.email]),
                subject=subject,
                body=body,
                created_at=created,
                updated_at=created,
            )

    def _others(self) -> None:
        """Write what the supervisor must never see."""
        friends = self.life.relations["friend"]
        for one, other in ((friends[0], friends[1]), (friends[1], friends[2])):
            message = self.database.insert(
                "email_messages",
                person_id=one.id,
                recipients=json.dumps([other.email]),
                subject="The surprise party",
                body=f"Not a word to {self.me.first_name}, please.",
                sent_at=self._moment(-15, -2),
            )
            self.database.update("email_messages", message, thread_id=message)
        self.database.insert("email_labels", person_id=friends[0].id, name="secret")
        self.database.insert(
            "email_drafts",
            person_id=friends[0].id,
            subject="Guests",
            created_at=self._moment(-9, -9),
            updated_at=self._moment(-8, -8),
        )
