"""What a life's tasks are: errands, the home, work, what trips need, and lists of others; writing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from palaestra.envs.apps.life import Life, Outing, Person
from palaestra.envs.apps.world import Database

_LABELS = ("phone", "online", "quick", "weekend", "waiting", "money")
_PRIORITIES = ("low", "normal", "normal", "normal", "high", "urgent")
_Task = tuple[str, tuple[str, ...]]
"""A title, and the titles of subtasks."""
_ERRANDS: tuple[_Task, ...] = (
    ("Return the library books", ()),
    ("Pick up the parcel", ()),
    ("Renew the passport", ("take a photo", "fill in the form", "make an appointment")),
    ("Have the bike repaired", ()),
    ("Buy a new kettle", ()),
    ("Make a dentist appointment", ()),
    ("Cancel the gym membership", ()),
    ("Bring the coat to the cleaner", ()),
    ("Exchange the running shoes", ()),
    ("Pay the parking ticket", ()),
)
_HOME: tuple[_Task, ...] = (
    ("Fix the dripping tap", ("buy a washer", "turn the water off", "replace the washer")),
    ("Repot the monstera", ()),
    ("Change the smoke alarm battery", ()),
    ("Sort the bookshelf", ()),
    ("Defrost the freezer", ()),
    ("Hang up the pictures", ("choose the pictures", "borrow a drill")),
    ("Descale the coffee machine", ()),
)
_WORK: tuple[_Task, ...] = (
    ("Write the quarterly report", ("collect the numbers", "write a draft", "make the charts")),
    ("Update the project plan", ()),
    ("Book the meeting room", ()),
    ("Hand in the travel expenses", ()),
    ("Prepare the demo", ("record a video", "test the projector")),
    ("Review the security training", ()),
    ("Clean up the shared drive", ()),
)
_CHORES = (
    "Take out the recycling",
    "Clean the bathroom",
    "Vacuum the hallway",
    "Water the balcony plants",
    "Buy dish soap",
    "Mop the kitchen",
    "Descale the kettle",
)
_MOVING = ("Order moving boxes", "Change the address at the bank", "Hand over the old keys")
_PACKING = ("Buy sunscreen", "Pack the first aid kit", "Charge the power banks", "Print the booking")


def add_list(database: Database, owner: Person, name: str, made: str, members: Sequence[Person] = ()) -> int:
    """Add a list that is shared with the members; return its id."""
    list_id = database.insert("todo_lists", person_id=owner.id, name=name, created_at=made)
    for member in members:
        database.insert("todo_members", list_id=list_id, person_id=member.id)
    return list_id


def add_task(
    database: Database,
    list_id: int,
    creator: Person,
    title: str,
    *,
    made: str,
    completed_at: str | None = None,
    **columns: Any,
) -> int:
    """Add a task, which is done if it was completed at some time; return its id."""
    return database.insert(
        "todo_tasks",
        list_id=list_id,
        title=title,
        done=int(completed_at is not None),
        created_by=creator.id,
        created_at=made,
        completed_at=completed_at,
        **columns,
    )


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    book = _Book(life, database)
    me = life.supervisor
    book.tasks(book.own_list("Errands", me, -320), me, _ERRANDS)
    book.tasks(book.own_list("Home", me, -320), me, _HOME)
    work = book.own_list("Work", me, -300)
    book.tasks(work, me, [*_WORK, *((f"Answer {one.name}", ()) for one in life.relations["coworker"])])
    family = [*life.relations["mother"], *life.relations["father"], *life.relations["sister"]]
    presents = book.own_list("Presents", me, -200)
    book.tasks(presents, me, [(f"Find a present for {person.name}", ()) for person in family])
    _apartment(book, life)
    for outing in life.outings:
        if outing.day > life.today:
            _plan(book, me, outing)
    moving = book.own_list("Moving", me, -340)
    for title in _MOVING:
        book.task(moving, me, title, (), done=True)
    database.update("todo_lists", moving, archived=1)
    _others(book, life)


class _Book:
    """Writes lists and tasks; what differs from task to task is drawn from the app's random numbers."""

    def __init__(self, life: Life, database: Database) -> None:
        self.life, self.database = life, database
        self.generator = life.generator("todo")
        self.created: dict[int, str] = {}
        self.labels = [
            database.insert("todo_labels", person_id=life.supervisor.id, name=name) for name in _LABELS
        ]

    def own_list(self, name: str, owner: Person, day: int, members: Sequence[Person] = ()) -> int:
        """Write a list of ``owner`` that is shared with ``members``."""
        created = self.life.moment(self.generator, day, day + 20)
        list_id = add_list(self.database, owner, name, created, members)
        self.created[list_id] = created
        return list_id

    def tasks(self, list_id: int, owner: Person, tasks: Sequence[_Task]) -> None:
        """Write tasks in an order of their own, about a quarter of them done."""
        for place in self.generator.permutation(len(tasks)).tolist():
            title, subtasks = tasks[place]
            self.task(list_id, owner, title, subtasks, done=self.generator.random() < 0.25)

    def task(
        self,
        list_id: int,
        creator: Person,
        title: str,
        subtasks: Sequence[str],
        *,
        done: bool,
        assignee: Person | None = None,
    ) -> None:
        """Write one task; labels are the supervisor's own."""
        generator = self.generator
        due = self.life.day(int(generator.integers(-40, 0) if done else generator.integers(-6, 25)))
        task_id = add_task(
            self.database,
            list_id,
            creator,
            title,
            due_date=due if generator.random() < 0.75 else None,
            priority=_PRIORITIES[int(generator.integers(len(_PRIORITIES)))],
            assignee_id=None if assignee is None else assignee.id,
            # No task is older than its list.
            made=max(self.created[list_id], self.life.moment(generator, -120, -45)),
            completed_at=self.life.moment(generator, -40, -1) if done else None,
        )
        for subtask in subtasks:
            ticked = int(done or generator.random() < 0.3)
            self.database.insert("todo_subtasks", task_id=task_id, title=subtask, done=ticked)
        if creator == self.life.supervisor:
            count = int(generator.integers(0, 3))
            for place in sorted(generator.permutation(len(self.labels))[:count].tolist()):
                self.database.insert("todo_task_labels", task_id=task_id, label_id=self.labels[place])


def _apartment(book: _Book, life: Life) -> None:
    roommates = life.relations["roommate"]
    home = [life.supervisor, *roommates]
    chores = book.own_list("Apartment chores", roommates[0], -250, [life.supervisor, *roommates[1:]])
    for place, title in enumerate(_CHORES):
        assignee = home[place % len(home)] if place < len(_CHORES) - 1 else None
        done = book.generator.random() < 0.2
        book.task(chores, home[(place + 1) % len(home)], title, (), done=done, assignee=assignee)


def _plan(book: _Book, me: Person, outing: Outing) -> None:
    """Write the list of a coming outing, which all who take part share."""
    name = outing.name.removeprefix("the ")
    list_id = book.own_list(name[0].upper() + name[1:], me, -30, outing.people)
    titles = [*_PACKING] if outing.kind == "trip" else ["Book a table", "Tell everybody the time"]
    company = [me, *outing.people]
    for place, title in enumerate([*titles, "Arrange who drives", "Buy snacks"]):
        book.task(list_id, me, title, (), done=False, assignee=company[place % len(company)])


def _others(book: _Book, life: Life) -> None:
    """Write what the supervisor must never see: lists of others that are not shared with them."""
    for person in (
        *life.relations["partner"],
        *life.relations["friend"][:2],
        *life.relations["roommate"][:1],
    ):
        list_id = book.own_list("Errands", person, -200)
        for title, subtasks in _ERRANDS[:4]:
            book.task(list_id, person, title, subtasks, done=False)
    friends = life.relations["friend"]
    party = book.own_list("Surprise party", friends[0], -20, friends[1:3])
    book.task(party, friends[1], f"Find out what {life.supervisor.first_name} wants", (), done=False)
