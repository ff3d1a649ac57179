"""Rows of the app calendar that scenarios prepare: events of the supervisor, and who comes."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from palaestra.envs.apps.scenario import Draft


def event(
    draft: Draft, title: str, day: int, answers: Mapping[int, str], *, hour: int = 18, hours: int = 3
) -> int:
    """Add an event of the supervisor on a day from today; ``answers`` are of people's ids. Return its id."""
    start = datetime.datetime.fromisoformat(draft.life.day(day)) + datetime.timedelta(hours=hour)
    made = draft.moment(-420, -400)
    event_id = draft.insert(
        "calendar_events",
        person_id=draft.me.id,
        calendar_id=draft.value(
            "SELECT id FROM calendar_calendars WHERE person_id = ? ORDER BY id", draft.me.id
        ),
        title=title,
        starts_at=start.isoformat(),
        ends_at=(start + datetime.timedelta(hours=hours)).isoformat(),
        created_at=made,
        updated_at=made,
    )
    for person, answer in answers.items():
        draft.insert(
            "calendar_attendees", event_id=event_id, person_id=person, answer=answer, invited_at=made
        )
    return event_id
