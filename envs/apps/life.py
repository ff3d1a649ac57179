"""Whose life it is: a person, the people around, what they did together and will do. Seeded, and ours.

The words come from the lists here and not from a library of fakes: a world must stay the same under every
version of everything that is installed, or the scores of two machines could not be compared.
"""

from __future__ import annotations

import datetime
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Ada Adrian Agnes Alma Amara Amir Anika Anton Asha Astrid Basil Bea Bruno Camila Carla Cedric Chiara "
    "Clara Dario Delia Dina Dora Edgar Edith Elena Elias Emeka Enzo Esther Ezra Farah Felix Fiona Flora "
    "Frida Gael Gemma Greta Gustav Hana Hanno Hector Hilda Ida Imani Ines Ingrid Ivo Jada Jonas Josefa "
    "Julian Kaito Karim Katja Kenji Kira Lars Leila Leon Lina Lorenzo Lucia Magnus Maja Malik Marco Mara "
    "Mateo Maya Milan Mina Mira Moses Nadia Naomi Nico Nora Olga Omar Oscar Otto Paola Paul Petra Priya "
    "Quentin Rafael Ravi Rita Rosa Ruben Salma Samir Selma Silas Sofia Stella Sven Tara Theo Tilda Tomas "
    "Uma Ursula Vera Viktor Wanda Yara Yusuf Zara Zeno"
)
LAST_NAMES = _words(
    "Abbott Adeyemi Alvarez Andersen Bajwa Barros Becker Bianchi Blake Bosch Brandt Byrne Castillo "
    "Chandra Chen Christou Cohen Costa Dahl Danso Dempsey Diallo Dubois Eriksen Farouk Ferrari Fischer "
    "Fontaine Frost Gallo Ghosh Greene Gruber Haas Haddad Hansen Hayes Herrera Hoffman Ibarra Ito Jansen "
    "Joshi Kaplan Kaur Keller Kim Klein Kovac Krause Lambert Larsen Lindqvist Lopez Lund Mancini Marsh "
    "Mbeki Mehta Meyer Moreau Morgan Mori Navarro Nguyen Nilsen Novak Oduya Okafor Olsen Ortega Osei Park "
    "Patel Pereira Petrov Quinn Rahman Ramos Reyes Ricci Rossi Sandoval Santos Sato Schmidt Silva Singh "
    "Sorensen Stone Suzuki Takeda Torres Tran Vargas Vogel Walsh Weber Winter Yamada Young Zhang Ziegler"
)
STREETS = _words(
    "Alder Ash Beech Birch Canal Castle Cedar Chapel Chestnut Church Cypress Elm Garden Hazel Hill "
    "Juniper Lake Laurel Linden Maple Market Meadow Mill Oak Orchard Park Pine Poplar River Rose Spruce "
    "Station Sycamore Valley Walnut Willow"
)
CITIES = (
    "Ashford",
    "Brookhaven",
    "Clearwater",
    "Eastbridge",
    "Fairmont",
    "Glenwood",
    "Harborview",
    "Kingsport",
    "Lakewood",
    "Millbrook",
    "Northfield",
    "Oakdale",
    "Riverton",
    "Springdale",
    "Westbrook",
)
RELATIONS: dict[str, tuple[int, int]] = {
    "partner": (1, 1),
    "mother": (1, 1),
    "father": (1, 1),
    "sister": (1, 2),
    "brother": (1, 2),
    "roommate": (2, 3),
    "manager": (1, 1),
    "coworker": (5, 6),
    "friend": (7, 8),
    "neighbor": (2, 2),
    "cousin": (1, 2),
}
"""How many people of each relation the supervisor has, at least and at most."""
STRANGERS = 14
MAIL_HOSTS = ("mailbox.test", "postfach.test", "inbox.test")
_OUTINGS = {
    "trip": ("the cabin weekend", "the ski trip", "the beach trip", "the city break", "the hiking tour"),
    "dinner": ("the dinner at Luna", "the sushi night", "the tapas evening", "the birthday dinner"),
    "concert": ("the jazz concert", "the open-air concert", "the rock festival"),
    "game": ("the board game night", "the bowling night", "the escape room"),
}


@dataclass(frozen=True, slots=True)
class Person:
    """One person."""

    id: int
    first_name: str
    last_name: str
    email: str
    phone_number: str
    birthday: str
    street: str
    city: str
    zip_code: str

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    def row(self) -> dict[str, Any]:
        """Return the row of ``world_people``."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Outing:
    """Something that the supervisor did or will do with friends; ``kind``: trip, dinner, concert, game."""

    name: str
    kind: str
    day: datetime.date
    people: tuple[Person, ...]
    """Without the supervisor."""
    place: str


@dataclass(frozen=True)
class Life:
    """A person (the ``supervisor``, with id 1), ``people`` (all, by id), ``relations`` and ``outings``."""

    number: int
    now: datetime.datetime
    people: tuple[Person, ...]
    relations: dict[str, tuple[Person, ...]]
    outings: tuple[Outing, ...] = field(default=())

    @staticmethod
    def generate(number: int) -> Life:
        """Return life ``number``; it depends on nothing else."""
        generator = _generator(number, "life")
        day = datetime.date(2031, 1, 6) + datetime.timedelta(days=int(generator.integers(0, 300)))
        clock = datetime.time(int(generator.integers(8, 19)), int(generator.integers(0, 60)))
        now = datetime.datetime.combine(day, clock)
        counts = {kind: int(generator.integers(low, high + 1)) for kind, (low, high) in RELATIONS.items()}
        people = _people(generator, 1 + sum(counts.values()) + STRANGERS, now)
        relations, first = {}, 1
        for kind, count in counts.items():
            relations[kind] = people[first : first + count]
            first += count
        outings = _outings(generator, now, relations["friend"] + relations["roommate"])
        return Life(number, now, people, relations, outings)

    def generator(self, name: str) -> np.random.Generator:
        """Return the random numbers of one app of this life: another app draws others."""
        return _generator(self.number, name)

    @property
    def supervisor(self) -> Person:
        """Whose life it is."""
        return self.people[0]

    @property
    def known(self) -> tuple[Person, ...]:
        """Everybody whom the supervisor has a relation to."""
        return tuple(person for kind in self.relations.values() for person in kind)

    @property
    def strangers(self) -> tuple[Person, ...]:
        """Everybody else."""
        return self.people[1 + len(self.known) :]

    @property
    def today(self) -> datetime.date:
        """The day on which episodes of this world begin."""
        return self.now.date()

    def day(self, offset: int) -> str:
        """Return the day ``offset`` days from today, as text."""
        return (self.today + datetime.timedelta(days=offset)).isoformat()

    def moment(self, generator: np.random.Generator, first: int, last: int) -> str:
        """Return a random moment, from 7:00 to 21:59, of a day ``first`` to ``last`` days from today."""
        day = self.today + datetime.timedelta(days=int(generator.integers(first, last + 1)))
        clock = datetime.time(int(generator.integers(7, 22)), int(generator.integers(0, 60)))
        moment = datetime.datetime.combine(day, clock)
        # What has happened lies behind: today's times are moved to before now.
        if last <= 0 and moment >= self.now:
            moment = self.now - datetime.timedelta(minutes=int(generator.integers(5, 400)))
        return moment.isoformat(timespec="seconds")


def _generator(number: int, name: str) -> np.random.Generator:
    return np.random.default_rng([number, zlib.crc32(name.encode())])


def _people(generator: np.random.Generator, count: int, now: datetime.datetime) -> tuple[Person, ...]:
    first_names = generator.permutation(FIRST_NAMES)[:count].tolist()
    last_names = generator.permutation(LAST_NAMES)[:count].tolist()
    # Two namesakes among the strangers: a first name alone does not always say who is meant.
    first_names[-1], first_names[-2] = first_names[3], first_names[8]
    numbers = generator.permutation(9000)[:count]
    return tuple(
        _person(generator, place + 1, first, last, int(number), now)
        for place, (first, last, number) in enumerate(zip(first_names, last_names, numbers, strict=True))
    )


def _person(
    generator: np.random.Generator, number: int, first: str, last: str, phone: int, now: datetime.datetime
) -> Person:
    host = MAIL_HOSTS[int(generator.integers(len(MAIL_HOSTS)))]
    age_days = int(generator.integers(22 * 365, 65 * 365))
    return Person(
        id=number,
        first_name=first,
        last_name=last,
        email=f"{first}.{last}@{host}".lower(),
        phone_number=f"555-01{int(generator.integers(10, 100))}-{1000 + phone}",
        birthday=(now.date() - datetime.timedelta(days=age_days)).isoformat(),
        street=f"{int(generator.integers(1, 200))} {generator.choice(STREETS)} Street",
        city=str(generator.choice(CITIES)),
        zip_code=f"{int(generator.integers(10000, 99999))}",
    )


def _outings(
    generator: np.random.Generator, now: datetime.datetime, company: tuple[Person, ...]
) -> tuple[Outing, ...]:
    """Return past outings and two coming ones; no two have one name."""
    names = [(kind, name) for kind, all_names in _OUTINGS.items() for name in all_names]
    order = generator.permutation(len(names))[:8]
    offsets = [-150, -96, -61, -38, -20, -9, 12, 30]
    found = []
    for offset, place in zip(offsets, order, strict=True):
        kind, name = names[int(place)]
        chosen = sorted(generator.permutation(len(company))[: int(generator.integers(2, 6))].tolist())
        day = now.date() + datetime.timedelta(days=offset + int(generator.integers(-4, 4)))
        people = tuple(company[i] for i in chosen)
        found.append(Outing(name, kind, day, people, str(generator.choice(CITIES))))
    return tuple(found)
