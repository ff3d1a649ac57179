"""What a life's notes are: recipes, a diary of outings, lists; and ``add_note`` for scenarios."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from palaestra.envs.apps.life import Life, Person
from palaestra.envs.apps.world import Database

_FOLDERS = ("personal", "work", "recipes", "travel", "ideas")
_RECIPES = {
    "lentil soup": ("red lentils", "carrots", "onions", "cumin", "lemon"),
    "mushroom risotto": ("rice", "mushrooms", "parmesan", "butter", "onions"),
    "apple cake": ("apples", "flour", "eggs", "sugar", "cinnamon"),
    "chickpea curry": ("chickpeas", "coconut milk", "tomatoes", "ginger", "spinach"),
    "pancakes": ("flour", "milk", "eggs", "butter"),
    "greek salad": ("cucumber", "tomatoes", "feta", "olives"),
    "pumpkin pasta": ("pumpkin", "pasta", "garlic", "cream"),
}
_BOOKS = (
    "The Lighthouse Keeper",
    "Salt and Iron",
    "A Map of Quiet Places",
    "The Seventh Harbor",
    "Winter Orchard",
    "The Clockmaker's Niece",
    "Notes from the Delta",
    "The Paper Bridge",
)
_IDEAS = (
    "paint the hallway green",
    "learn to bake sourdough",
    "start a neighborhood bike repair day",
    "build a bookshelf from the old door",
    "take a pottery class",
    "plant herbs on the balcony",
)


def add_note(
    database: Database,
    person: Person,
    title: str,
    body: str,
    made: str,
    *,
    tags: Collection[str] = (),
    **columns: Any,
) -> int:
    """Add a note, which was not changed since it was made; return its id."""
    return database.insert(
        "notes_notes",
        person_id=person.id,
        title=title,
        body=body,
        tags=json.dumps(sorted(tags)),
        created_at=made,
        **{"updated_at": made, **columns},
    )


def seed(life: Life, database: Database) -> None:
    """Fill the app."""
    generator = life.generator("notes")
    me = life.supervisor
    folders = {name: database.insert("notes_folders", person_id=me.id, name=name) for name in _FOLDERS}
    notes = [*_recipes(), *_diary(life), *_lists(life)]
    for place in generator.permutation(len(notes)).tolist():
        folder, title, body, tags = notes[place]
        made = life.moment(generator, -300, -30)
        add_note(
            database,
            me,
            title,
            body,
            made,
            tags=tags,
            folder_id=folders[folder],
            pinned=int(generator.random() < 0.1),
            archived=int(generator.random() < 0.08),
            updated_at=max(made, life.moment(generator, -120, -1)),
        )


_Note = tuple[str, str, str, set[str]]


def _recipes() -> list[_Note]:
    return [
        ("recipes", f"Recipe: {name}", "Ingredients:\n" + "\n".join(f"- {one}" for one in parts), {"cooking"})
        for name, parts in _RECIPES.items()
    ]


def _diary(life: Life) -> list[_Note]:
    found: list[_Note] = []
    for outing in life.outings:
        names = ", ".join(person.first_name for person in outing.people)
        title = f"{outing.name[4:].capitalize()} in {outing.place}"
        when = "Planned for" if outing.day > life.today else "We went on"
        body = f"{when} {outing.day.isoformat()}.\nWith: {names}\nPlace: {outing.place}"
        found.append(
            ("travel" if outing.kind == "trip" else "personal", title, body, {outing.kind, "friends"})
        )
    return found


def _lists(life: Life) -> list[_Note]:
    generator = life.generator("notes lists")
    books = generator.permutation(_BOOKS).tolist()
    found: list[_Note] = [
        ("personal", "Books to read", "\n".join(f"[ ] {book}" for book in books[:4]), {"books"}),
        ("personal", "Books I have read", "\n".join(f"[x] {book}" for book in books[4:]), {"books"}),
        ("ideas", "Ideas for the weekend", "\n".join(f"- {idea}" for idea in _IDEAS), {"home"}),
        (
            "personal",
            "Wifi at home",
            f"Network: {life.supervisor.last_name}-5G\nGuests: welcome2031",
            {"home"},
        ),
    ]
    for person in life.relations["coworker"]:
        body = f"- status of the project\n- questions of {person.first_name}\n- next steps"
        found.append(("work", f"1:1 with {person.name}", body, {"work", "meeting"}))
    return found
