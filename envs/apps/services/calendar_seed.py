"""How the calendars of a life are filled; and ``add_event`` and ``cancel_events`` for scenarios."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database

_ANSWERS = ("accepted", "declined", "tentative")
_HOURS = {"trip": 9, "dinner": 19, "concert": 20, "game": 18}
_ERRANDS = (
    ("Dentist", "Harbor Dental Practice", 60),
    ("Haircut", "Salon Vera", 45),
    ("Car service", "Ziegler Garage", 90),
    ("Yoga class", "Riverside Studio", 75),
    ("Physiotherapy", "Mill Street Clinic", 30),
    ("Swimming", "City Pool", 60),
    ("Eye test", "Lambert Optics", 30),
    ("Piano lesson", "Music School", 45),
)
_PARTIES = (
    "Housewarming",
    "Garden party",
    "Book club",
    "Picnic in the park",
    "Poker evening",
    "Brunch",
    "Film evening",
    "Birthday drinks",
    "Street festival",
)
_FAMILY = ("Family dinner", "Video call with the family", "Sunday lunch")


def add_event(
    database: Database,
    organizer: Person,
    title: str,
    start: datetime.datetime | str,
    minutes: int,
    answers: Mapping[Person, str] | None = None,
    *,
    calendar: str = "",
    **columns: Any,
) -> int:
    """Add an event and the answers of those who are invited; return its id.

    It lies in the organizer's calendar of a name, or in the oldest, and was made three weeks before it
    begins, or two days ago.
    """
    begin = datetime.datetime.fromisoformat(start) if isinstance(start, str) else start
    now = datetime.datetime.fromisoformat(database.value("SELECT now FROM world_clock"))
    made = min(begin - datetime.timedelta(days=21), now - datetime.timedelta(days=2)).isoformat()
    event_id = database.insert(
        "calendar_events",
        person_id=organizer.id,
        calendar_id=database.value(
            "SELECT id FROM calendar_calendars WHERE person_id = ?1 AND ?2 IN ('', name) ORDER BY id",
            organizer.id,
            calendar,
        ),
        title=title,
        starts_at=begin.isoformat(),
        ends_at=(begin + datetime.timedelta(minutes=minutes)).isoformat(),
        created_at=made,
        updated_at=made,
        **columns,
    )
    for person, answer in (answers or {}).items():
        database.insert(
            "calendar_attendees", event_id=event_id, person_id=person.id, answer=answer, invited_at=made
        )
    return event_id


def cancel_events(database: Database, first: str, last: str) -> None:
    """Cancel all events, whoever organizes them, that touch a day from the first to the last."""
    database.connection.execute(
        "UPDATE calendar_events SET cancelled = 1 "
        "WHERE substr(ends_at, 1, 10) >= ? AND substr(starts_at, 1, 10) <= ?",
        [first, last],
    )


class _Seeder:
    """Fills the calendars of one life, event by event."""

    def __init__(self, life: Life, database: Database) -> None:
        self.life, self.database, self.generator = life, database, life.generator("calendar")

    def run(self) -> None:
        self._calendars()
        self._outings()
        self._work()
        self._family_and_errands()
        self._invitations()
        self._others()

    def _calendars(self) -> None:
        me = self.life.supervisor.id
        for name, color in (("Personal", "blue"), ("Work", "red"), ("Family", "green")):
            self.database.insert(
                "calendar_calendars", person_id=me, name=name, color=color, created_at=self.life.day(-700)
            )
        for person in self.life.known:
            self.database.insert(
                "calendar_calendars", person_id=person.id, name="Personal", created_at=self.life.day(-650)
            )

    def event(
        self,
        organizer: Person,
        title: str,
        start: datetime.datetime,
        minutes: int,
        people: tuple[Person, ...] = (),
        place: str = "",
        calendar: str = "",
        pending: float = 0.0,
    ) -> int:
        """Add an event; with ``pending``, that share of those who are invited has not answered."""
        answers = {person: self._answer(pending) for person in people}
        return add_event(
            self.database, organizer, title, start, minutes, answers, calendar=calendar, place=place
        )

    def _answer(self, pending: float) -> str:
        if self.generator.random() < pending:
            return "pending"
        return str(self.generator.choice(_ANSWERS, p=(0.7, 0.15, 0.15)))

    def at(self, day: datetime.date, hour: int) -> datetime.datetime:
        minute = int(self.generator.choice((0, 15, 30)))
        return datetime.datetime.combine(day, datetime.time(hour, minute))

    def _outings(self) -> None:
        me = self.life.supervisor
        for outing in self.life.outings:
            all_people = (me, *outing.people)
            organizer = all_people[int(self.generator.integers(len(all_people)))]
            people = tuple(person for person in all_people if person is not organizer)
            coming = outing.day > self.life.today
            event_id = self.event(
                organizer,
                outing.name[4:].capitalize(),
                self.at(outing.day, _HOURS[outing.kind]),
                2 * 24 * 60 if outing.kind == "trip" else 180,
                people,
                outing.place,
                pending=0.4 if coming else 0.0,
            )
            if coming:
                self.database.insert(
                    "calendar_reminders", person_id=me.id, event_id=event_id, minutes_before=24 * 60
                )

    def _work(self) -> None:
        life = self.life
        me, manager, team = life.supervisor, life.relations["manager"][0], life.relations["coworker"]
        monday = life.today - datetime.timedelta(days=life.today.weekday())
        for week in range(-6, 4):
            first = monday + datetime.timedelta(weeks=week)
            pending = 0.3 if week > 0 else 0.0
            self.event(
                manager,
                "Team meeting",
                datetime.datetime.combine(first, datetime.time(10)),
                60,
                (me, *team),
                "Room 2.10",
                pending=pending,
            )
            for person in team[week % 2 :: 2]:
                day = first + datetime.timedelta(days=int(self.generator.integers(1, 5)))
                hour = int(self.generator.integers(9, 17))
                title = f"1:1 with {person.name}"
                event_id = self.event(me, title, self.at(day, hour), 30, (person,), calendar="Work")
                if week >= 0:
                    self.database.insert(
                        "calendar_reminders", person_id=me.id, event_id=event_id, minutes_before=10
                    )

    def _family_and_errands(self) -> None:
        life = self.life
        me = life.supervisor
        family = tuple(
            p for kind in ("partner", "mother", "father", "sister", "brother") for p in life.relations[kind]
        )
        for offset in (-45, -31, -17, -3, 11, 25):
            day = life.today + datetime.timedelta(days=offset)
            people = tuple(family[n] for n in sorted(self.generator.permutation(len(family))[:3].tolist()))
            title = str(self.generator.choice(_FAMILY))
            self.event(
                me, title, self.at(day, 17), 120, people, people[0].city, "Family", 0.3 if offset > 0 else 0
            )
        for person in family:
            birthday = _next_birthday(person, life.today)
            self.event(me, f"Birthday of {person.name}", birthday, 60, calendar="Family")
        for place in self.generator.permutation(2 * len(_ERRANDS)).tolist():
            title, where, minutes = _ERRANDS[place % len(_ERRANDS)]
            offset = int(self.generator.integers(-50, 28))
            start = self.at(life.today + datetime.timedelta(days=offset), int(self.generator.integers(8, 19)))
            event_id = self.event(me, title, start, minutes, place=where)
            if offset > 0 and self.generator.random() < 0.6:
                self.database.insert(
                    "calendar_reminders", person_id=me.id, event_id=event_id, minutes_before=60
                )

    def _invitations(self) -> None:
        """Add parties of people whom the supervisor knows: coming ones to answer, and one that was missed."""
        life = self.life
        hosts = (*life.relations["friend"], *life.relations["neighbor"], *life.relations["cousin"])
        chosen = [hosts[n] for n in self.generator.permutation(len(hosts))[: len(_PARTIES)].tolist()]
        for number, (title, host) in enumerate(zip(_PARTIES, chosen, strict=False)):
            offset = -7 if number == 0 else int(self.generator.integers(2, 26))
            start = self.at(
                life.today + datetime.timedelta(days=offset), int(self.generator.integers(11, 20))
            )
            others = tuple(p for p in chosen if p is not host)[number % 4 : number % 4 + 2]
            place = f"{host.street}, {host.city}"
            event_id = self.event(host, title, start, 180, others, place, pending=0.3)
            answer = "pending" if number < 7 else "accepted"
            self.database.insert(
                "calendar_attendees",
                event_id=event_id,
                person_id=life.supervisor.id,
                answer=answer,
                invited_at=life.day(-3),
            )

    def _others(self) -> None:
        """Add what keeps other people busy."""
        for person in (*self.life.relations["coworker"], *self.life.relations["manager"]):
            for offset in range(0, 12, 2):
                day = self.life.today + datetime.timedelta(days=offset + int(self.generator.integers(0, 2)))
                hour = int(self.generator.integers(9, 16))
                self.event(person, "Busy", self.at(day, hour), int(self.generator.choice((30, 60, 90))))


def _next_birthday(person: Person, today: datetime.date) -> datetime.datetime:
    born = datetime.date.fromisoformat(person.birthday)
    # The 29th of February is celebrated on the 28th.
    day = born.replace(year=today.year, day=min(born.day, 28 if born.month == 2 else 31))
    if day < today:
        day = day.replace(year=today.year + 1)
    return datetime.datetime.combine(day, datetime.time(9))


def seed(life: Life, database: Database) -> None:
    """Fill the calendars."""
    _Seeder(life, database).run()
