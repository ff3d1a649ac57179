"""Archive all notes with a tag that were not changed for some time."""

from __future__ import annotations

from palaestra.envs.apps.changes import changed
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.skills import apis, every_page, login


def prepare(draft: Draft) -> Plan:
    """Choose a tag with notes on both sides of the day, and a note that is archived already."""
    tag = draft.choose(["work", "friends", "cooking"])
    tagged = draft.rows(
        "SELECT * FROM notes_notes WHERE person_id = ? AND EXISTS "
        "(SELECT 1 FROM json_each(tags) WHERE value = ?) ORDER BY id",
        draft.me.id,
        tag,
    )
    day = draft.life.day(-draft.number(20, 40))
    old = draft.sample(tagged, draft.number(2, 4))
    for note in tagged:
        moment = draft.moment(-200, -45) if note in old else draft.moment(-15, -1)
        draft.update("notes_notes", note["id"], updated_at=moment, created_at=moment, archived=0)
    return Plan(
        parameters={"tag": tag, "day": day},
        must=[changed("notes_notes", note["id"], archived=1) for note in old],
        near_misses=[
            NearMiss("all with the tag", edit=("note['updated_at'] < day", "True")),
            NearMiss("only one of them", edit=("for note in notes:", "for note in notes[-1:]:")),
            NearMiss("tagged instead", edit=(", archived=True)", ", tags=['old'])")),
            NearMiss("pinned as well", edit=("archived=True)", "archived=True, pinned=True)")),
        ],
    )


def gold(tag: str, day: str) -> None:
    """Archive them."""
    token = login("notes")
    notes = every_page(apis.notes.search_notes, access_token=token, tag=tag)
    print(notes)

    for note in notes:
        if note["updated_at"] < day:
            apis.notes.update_note(access_token=token, note_id=note["note_id"], archived=True)

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="archive_notes_by_tag",
    split="train",
    phrasings=(
        "Archive all my notes tagged {tag} that I have not changed since before {day}.",
        "Please tidy up my notes: those with the tag {tag} last changed before {day} should be archived.",
        'My "{tag}" notes are getting too many. Archive the ones whose last change was before {day}, and '
        "leave the others alone.",
    ),
    prepare=prepare,
    gold=gold,
)
