"""Prepare a note for every meeting of a day, with those who come."""

from __future__ import annotations

from palaestra.envs.apps.changes import added, same_text
from palaestra.envs.apps.scenario import Draft, NearMiss, Plan, Scenario
from palaestra.envs.apps.services.calendar_seed import add_event, cancel_events
from palaestra.envs.apps.skills import apis, every_page, login

_TITLES = (
    "Budget",
    "Design review",
    "Hiring",
    "Roadmap",
    "Release",
    "Customer call",
    "Safety",
    "Office move",
)


def prepare(draft: Draft) -> Plan:
    """Clear the day, then fill it with meetings: with guests, without, of somebody else, on the next day."""
    offset = draft.number(1, 9)
    day, folder, tag = (
        draft.life.day(offset),
        draft.choose(["work", "ideas"]),
        draft.choose(["agenda", "team"]),
    )
    cancel_events(draft, day, day)
    folder_id = draft.value(
        "SELECT id FROM notes_folders WHERE person_id = ? AND name = ?", draft.me.id, folder
    )
    titles = draft.sample(_TITLES, len(_TITLES))
    must = []
    for place, title in enumerate(titles[: draft.number(2, 4)]):
        team = draft.sample(draft.life.relations["coworker"], 5)
        answers = ["accepted", "accepted", "declined", "pending", draft.choose(["accepted", "tentative"])]
        start = f"{day}T{8 + 2 * place:02}:00"
        add_event(draft, draft.me, title, start, 45, dict(zip(team, answers, strict=True)), calendar="Work")
        coming = [person.name for person, answer in zip(team, answers, strict=True) if answer == "accepted"]
        must.append(
            added(
                "notes_notes",
                folder_id=folder_id,
                title=f"{title}, {day}",
                body=same_text("\n".join(sorted(coming))),
                tags=f'["{tag}"]',
            )
        )
    manager, guest = draft.life.relations["manager"][0], draft.life.relations["coworker"][0]
    add_event(draft, draft.me, titles[4], f"{day}T17:00", 45, calendar="Work")
    add_event(draft, manager, titles[5], f"{day}T18:00", 45, {draft.me: "accepted", guest: "accepted"})
    later = f"{draft.life.day(offset + 1)}T09:00"
    add_event(draft, draft.me, titles[6], later, 45, {guest: "accepted"}, calendar="Work")
    return Plan(
        parameters={"day": day, "folder": folder, "tag": tag},
        must=must,
        near_misses=[
            NearMiss("everybody invited", edit=(" if guest['answer'] == 'accepted'", "")),
            NearMiss("meetings without guests, too", edit=("if shown['attendees']:", "if True:")),
            NearMiss("meetings of others", edit=(", organized_by_me=True", "")),
            NearMiss("the next days as well", edit=(", to_day=day", "")),
            NearMiss("in no folder", edit=(", folder_id=folder_id", "")),
            NearMiss("without the day", edit=("{event['title']}, {day}", "{event['title']}")),
        ],
    )


def gold(day: str, folder: str, tag: str) -> None:
    """Read the meetings, then write a note for each."""
    token = login("calendar")
    events = every_page(
        apis.calendar.search_events, access_token=token, from_day=day, to_day=day, organized_by_me=True
    )
    print(events)

    notes = login("notes")
    folders = apis.notes.list_folders(access_token=notes)
    folder_id = next(one["folder_id"] for one in folders if one["name"] == folder)
    for event in events:
        shown = apis.calendar.show_event(access_token=token, event_id=event["event_id"])
        if shown["attendees"]:
            names = [guest["name"] for guest in shown["attendees"] if guest["answer"] == "accepted"]
            names.sort()
            apis.notes.create_note(
                access_token=notes,
                title=f"{event['title']}, {day}",
                body="\n".join(names),
                tags=[tag],
                folder_id=folder_id,
            )

    apis.supervisor.complete_task()


SCENARIO = Scenario(
    name="notes_for_meetings",
    split="train",
    phrasings=(
        "Prepare notes for the meetings of {day}: one for each event of that day that I organize and that "
        'people are invited to. The title is that of the event and the day, such as "Budget, {day}"; the '
        "text "
        "is the full names of those who have accepted, one a line, by name; without me. Tag each note "
        '"{tag}" and put it into the folder "{folder}".',
        'Each of my own meetings on {day} with invited people needs a note in the folder "{folder}", with '
        "the "
        'tag "{tag}" and a title like "Budget, {day}" (title of the event, comma, day). Write into it who '
        "has accepted: full names, sorted from A to Z, one on each line, nothing else. I am not to be "
        "listed. "
        "Cancelled events do not count.",
    ),
    prepare=prepare,
    gold=gold,
)
