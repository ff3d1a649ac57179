"""Replace a tag by another one in all notes, archived ones too."""

from __future__ import annotations

import json

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.notes_seed import add_note
from palaestra.envs.apps.skills import apis, every_page, login

_PAIRS = (
    ("gift", "presents"),
    ("flat", "apartment"),
    ("sport", "exercise"),
    ("film", "movies"),
    ("car", "driving"),
)
_TITLES = (
    "Measurements",
    "Phone numbers",
    "Plan B",
    "Opening hours",
    "Questions",
    "Prices",
    "What she said",
    "Ideas",
)


def prepare(draft: Draft) -> Plan:
    """Tag some notes with the old tag, some with both, one with a longer tag; one of them is archived."""
    old, new = draft.choose(_PAIRS)
    if draft.number(0, 1):
        old, new = new, old
    tags = [[old], [old, "home"], [old, new], [f"{old} shop"], [new], ["home"], ["work"], [old, "work"]]
    kinds = draft.sample(tags, len(tags))
    titles = draft.sample(_TITLES, len(_TITLES))
    archived = draft.choose([tag for tag in tags if old in tag and tag != [old, new]])
    must = []
    for title, kind in zip(titles, kinds, strict=True):
        note = add_note(
            draft,
            draft.me,
            title,
            f"About {old}." if old not in kind else "",
            draft.moment(-200, -20),
            tags=kind,
            archived=int(kind is archived),
        )
        if old in kind:
            must.append(changed("notes_notes", note, tags=json.dumps(sorted({*kind, new} - {old}))))
    return Plan(
        parameters={"old": old, "new": new},
        must=must,
        near_misses=[
            NearMiss("no archived ones", edit=("archived=None", "archived=False")),
            NearMiss("the old tag stays", edit=("if tag != old", "if True")),
            NearMiss(
                "other tags are lost", edit=("[tag for tag in note['tags'] if tag != old] + [new]", "[new]")
            ),
            NearMiss("found by the text", edit=("tag=old", "query=old")),
            NearMiss("archives them", edit=("tags=tags)", "tags=tags, archived=True)")),
        ],
    )


def gold(old: str, new: str) -> None:
    """Look them up, then write the tags anew."""
    token = login("notes")
    notes = every_page(apis.notes.search_notes, access_token=token, tag=old, archived=None)
    print(notes)

    for note in notes:
        tags = [tag for tag in note["tags"] if tag != old] + [new]
        apis.notes.update_note(access_token=token, note_id=note["note_id"], tags=tags)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="retag_notes",
    split="dev",
    phrasings=(
        'Replace the tag "{old}" by "{new}" in all my notes, the archived ones included. Leave their other '
        "tags.",
        'My notes are tagged "{old}" and "{new}" for the same thing. Whatever has "{old}", archived or '
        "not, shall "
        'have "{new}" instead; all other tags stay.',
    ),
    prepare=prepare,
    gold=gold,
)
