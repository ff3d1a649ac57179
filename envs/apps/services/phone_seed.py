"""What a life's phone holds: contacts, what was written and said around the outings, calls and alarms."""

from __future__ import annotations

import datetime
import itertools
import json
from typing import Any

from palaestra.envs.apps.life import Life, Outing, Person
from palaestra.envs.apps.world import Database

_SERVICES = ("dentist", "plumber", "landlord", "hairdresser")
_CHATS: dict[str, tuple[tuple[str, ...], ...]] = {
    "family": (
        ("Did you eat well today?", "Yes, we cooked soup.", "Good. Come by on Sunday!"),
        ("Do you still have the big suitcase?", "It is in my cellar, I will bring it."),
        ("Happy name day!", "Thank you, how nice of you."),
        ("Can you call grandma this week?", "I will, on Saturday."),
    ),
    "home": (
        ("We are out of dish soap.", "I will get some on the way home."),
        ("Did you take the parcel for me?", "It is on the kitchen table."),
        ("The heating is making noises again.", "I will write to the landlord."),
        ("Guests tonight, is that fine?", "Of course, save me a plate."),
    ),
    "work": (
        ("Are the slides ready?", "Nearly. You get them before noon."),
        ("Can we move our talk to the afternoon?", "Sure, any time after two."),
        ("I am stuck in a train, please start without me.", "No problem, see you later."),
        ("Thanks for the review!", "Any time."),
    ),
    "friends": (
        ("Have you seen the new film with the lighthouse?", "Not yet. Shall we go?", "Yes, next week!"),
        ("I found your scarf under our sofa.", "Oh good, I looked for it everywhere."),
        ("How was the interview?", "Long, but I think it went well.", "Fingers crossed!"),
        ("Can you recommend a dentist?", "Mine is good, I will send you the number."),
    ),
    "services": (
        ("Your appointment is confirmed.",),
        ("We will be there between 8 and 10.", "Thank you, I am at home."),
    ),
}
_KINDS = {
    "partner": "home",
    "roommate": "home",
    "mother": "family",
    "father": "family",
    "sister": "family",
    "brother": "family",
    "cousin": "family",
    "manager": "work",
    "coworker": "work",
    "friend": "friends",
    "neighbor": "friends",
}
_PLANS = (
    ("Are you coming to {name}?", "Yes, count me in!"),
    ("When do we leave for {name}?", "At nine, I will pick you up."),
    ("Shall I bring something to {name}?", "Just good mood. And crisps."),
)
_AFTER = (
    ("{name} was great, thank you for coming!", "I loved it. Let us do that again."),
    ("I have the photos of {name}, do you want them?", "Yes please, all of them."),
    ("I still owe you something for {name}.", "No hurry, I will send you a request."),
)
_SPOKEN = (
    "Hi, it is me. Call me back when you have a minute.",
    "I am at the station and my train is late, so start without me.",
    "I left the keys with the neighbors. Do not forget to water the plants.",
    "Could you bring the blue folder tomorrow? Thanks, bye.",
    "Just wanted to hear how you are. Talk soon!",
    "The table is booked for eight, under my name.",
)
_WORKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday")
_ALARMS: tuple[tuple[str, str, tuple[str, ...], int, int], ...] = (
    ("06:40", "Work", _WORKDAYS, 1, 10),
    ("07:00", "Work, second try", _WORKDAYS, 1, 5),
    ("08:30", "Weekend", ("saturday", "sunday"), 1, 15),
    ("06:00", "Run", ("tuesday", "thursday"), 0, 0),
    ("09:15", "Stand-up meeting", _WORKDAYS, 1, 0),
    ("12:30", "Vitamins", (*_WORKDAYS, "saturday", "sunday"), 1, 5),
    ("17:45", "Choir", ("wednesday",), 1, 10),
    ("21:30", "Water the plants", ("sunday",), 1, 30),
    ("04:15", "Early flight", (), 0, 5),
    ("13:20", "Pizza in the oven", (), 0, 0),
)


def add_message(
    database: Database, sender: Person, receiver: Person, text: str, moment: str, *, read: int = 1
) -> None:
    """Add a text message."""
    database.insert(
        "phone_messages",
        person_id=sender.id,
        receiver_id=receiver.id,
        text=text,
        read=read,
        sent_at=moment,
    )


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    _Phones(life, database).fill()


class _Phones:
    """Writes contacts, messages, calls and alarms; what differs is drawn from the app's random numbers."""

    def __init__(self, life: Life, database: Database) -> None:
        self.life, self.database = life, database
        self.generator = life.generator("phone")
        self.me = life.supervisor
        self.messages: list[dict[str, Any]] = []

    def fill(self) -> None:
        """Fill all tables."""
        self._contacts()
        for kind, people in self.life.relations.items():
            for person in people:
                self._chats(self.me, person, _KINDS[kind], 2)
        for person in self.life.strangers[: len(_SERVICES)]:
            self._chats(self.me, person, "services", 1)
        for outing in self.life.outings:
            self._outing(outing)
        self._others()
        self.messages.sort(key=lambda row: row["sent_at"])
        self.database.insert_all("phone_messages", self.messages)
        self._voice_messages()
        self._calls()
        self._alarms()

    def _contacts(self) -> None:
        relations = [(kind, person) for kind, people in self.life.relations.items() for person in people]
        services = list(zip(_SERVICES, self.life.strangers, strict=False))
        rows = [self._contact(self.me, person, [kind]) for kind, person in (*relations, *services)]
        order = self.generator.permutation(len(rows)).tolist()
        self.database.insert_all("phone_contacts", [rows[place] for place in order])
        partner, mother = self.life.relations["partner"][0], self.life.relations["mother"][0]
        friends, roommates = self.life.relations["friend"], self.life.relations["roommate"]
        others = [self._contact(mother, self.me, ["child"]), self._contact(partner, self.me, ["partner"])]
        for person in (*friends[:3], roommates[0]):
            known = [one for one in (*friends[:5], *roommates) if one != person]
            others += [self._contact(person, one, ["friend"]) for one in (self.me, *known[:5])]
        self.database.insert_all("phone_contacts", others)

    def _contact(self, owner: Person, person: Person, relations: list[str]) -> dict[str, Any]:
        created = self.life.moment(self.generator, -900, -200)
        known = relations[0] not in _SERVICES
        return {
            "person_id": owner.id,
            "name": person.name,
            "phone_number": person.phone_number,
            "email": person.email,
            "relations": json.dumps(relations),
            "birthday": person.birthday if known else None,
            "address": f"{person.street}, {person.zip_code} {person.city}" if known else "",
            "favorite": int(known and self.generator.random() < 0.2),
            "created_at": created,
            "updated_at": created,
        }

    def _chats(self, one: Person, other: Person, kind: str, count: int) -> None:
        chats = _CHATS[kind]
        for place in self.generator.permutation(len(chats))[:count].tolist():
            start = self.life.moment(self.generator, -120, -2)
            self._chat(
                chats[place], start, *((one, other) if self.generator.random() < 0.4 else (other, one))
            )

    def _chat(self, texts: tuple[str, ...], start: str, first: Person, second: Person) -> None:
        """Write a conversation that ``first`` begins; each answer comes some minutes later."""
        moment = datetime.datetime.fromisoformat(start)
        for place, text in enumerate(texts):
            sender, receiver = (first, second) if place % 2 == 0 else (second, first)
            last = place == len(texts) - 1
            row = {
                "person_id": sender.id,
                "receiver_id": receiver.id,
                "text": text,
                # Whoever answers has read; the last word may still wait.
                "read": int(not last or self.generator.random() < 0.75),
                "sent_at": moment.isoformat(timespec="seconds"),
            }
            self.messages.append(row)
            moment += datetime.timedelta(minutes=int(self.generator.integers(1, 50)))

    def _outing(self, outing: Outing) -> None:
        past = outing.day < self.life.today
        offset = (outing.day - self.life.today).days
        for person in outing.people:
            plan = _PLANS[int(self.generator.integers(len(_PLANS)))]
            day = min(offset - 3, -1)
            start = self.life.moment(self.generator, day - 3, day)
            self._chat(tuple(text.format(name=outing.name) for text in plan), start, self.me, person)
            if past and self.generator.random() < 0.5:
                after = _AFTER[int(self.generator.integers(len(_AFTER)))]
                start = self.life.moment(self.generator, offset + 1, min(offset + 3, -1))
                texts = tuple(text.format(name=outing.name) for text in after)
                self._chat((texts[0][0].upper() + texts[0][1:], *texts[1:]), start, person, self.me)

    def _others(self) -> None:
        """Write what the supervisor must never see."""
        friends = self.life.relations["friend"]
        surprise = (
            f"Do you have an idea for a surprise for {self.me.first_name}?",
            "A weekend at the lake. But not a word!",
        )
        for one, other in itertools.pairwise(friends[:5]):
            self._chat(surprise, self.life.moment(self.generator, -20, -2), one, other)
            self._chats(one, other, "friends", 1)

    def _voice_messages(self) -> None:
        friends, family = self.life.relations["friend"], self.life.relations["mother"]
        people = [*friends[:5], *family, *self.life.relations["partner"]]
        pairs = [(person, self.me) for person in people] + [(self.me, person) for person in people[:3]]
        rows = []
        for sender, receiver in [*pairs, (friends[0], friends[1])]:
            text = _SPOKEN[int(self.generator.integers(len(_SPOKEN)))]
            rows.append(
                {
                    "person_id": sender.id,
                    "receiver_id": receiver.id,
                    "text": text,
                    "seconds": 1 + len(text.split()) // 2,
                    "read": int(self.generator.random() < 0.5),
                    "sent_at": self.life.moment(self.generator, -40, -1),
                }
            )
        self.database.insert_all("phone_voice_messages", sorted(rows, key=lambda row: row["sent_at"]))

    def _calls(self) -> None:
        people = [*self.life.known, *self.life.strangers[:8]]
        rows = []
        for _ in range(40):
            person = people[int(self.generator.integers(len(people)))]
            answered = bool(self.generator.random() < 0.7)
            rows.append(
                {
                    "person_id": self.me.id,
                    "other_id": person.id,
                    "direction": "incoming" if self.generator.random() < 0.6 else "outgoing",
                    "answered": int(answered),
                    "seconds": int(self.generator.integers(20, 1800)) if answered else 0,
                    "started_at": self.life.moment(self.generator, -30, -1),
                }
            )
        friends = self.life.relations["friend"]
        theirs = {**rows[0], "person_id": friends[0].id, "other_id": friends[1].id}
        self.database.insert_all("phone_calls", sorted([*rows, theirs], key=lambda row: row["started_at"]))

    def _alarms(self) -> None:
        for time, label, days, enabled, snooze in _ALARMS:
            self._alarm(self.me, time, label, days, enabled, snooze)
        partner = self.life.relations["partner"][0]
        self._alarm(partner, "05:50", "Early shift", _WORKDAYS, 1, 10)

    def _alarm(
        self, owner: Person, time: str, label: str, days: tuple[str, ...], enabled: int, snooze: int
    ) -> None:
        self.database.insert(
            "phone_alarms",
            person_id=owner.id,
            time=time,
            label=label,
            days=json.dumps(list(days)),
            enabled=enabled,
            snooze_minutes=snooze,
            created_at=self.life.moment(self.generator, -300, -10),
        )
