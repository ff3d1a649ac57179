"""The alarms of the app phone."""

from __future__ import annotations

import json
from typing import Any, Literal

from palaestra.envs.apps.api import ApiError, api
from palaestra.envs.apps.services.phone import PHONE
from palaestra.envs.apps.values import Clock, Json
from palaestra.envs.apps.world import Call

_LONGEST_LABEL = 80
_LONGEST_SNOOZE = 60
_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


@api(PHONE, "GET")
def list_alarms(
    call: Call,
    enabled: bool | None = None,
    day: _Day | None = None,
    page_index: int = 0,
    page_limit: int = 5,
) -> Json:
    """Show alarms, by the time of day.

    Args:
        enabled: only alarms that are on (True), or only others (False).
        day: only alarms that ring on this day of the week.
        page_index: which page, counted from 0.
        page_limit: alarms a page, at most 20.

    Returns:
        A list of {alarm_id, time, label, days, enabled, snooze_minutes}; an alarm without days rings once.
    """
    rows = call.page(
        "SELECT * FROM phone_alarms WHERE person_id = ? AND enabled = ifnull(?, enabled) "
        "AND (? IS NULL OR EXISTS (SELECT 1 FROM json_each(days) WHERE value = ?)) ORDER BY time, id",
        call.person_id,
        enabled,
        day,
        day,
        page_index=page_index,
        page_limit=page_limit,
    )
    return [_shown(row) for row in rows]


@api(PHONE, "GET")
def show_alarm(call: Call, alarm_id: int) -> Json:
    """Show an alarm.

    Args:
        alarm_id: the alarm.

    Returns:
        {alarm_id, time, label, days, enabled, snooze_minutes}.
    """
    return _shown(_alarm(call, alarm_id))


@api(PHONE, "POST")
def create_alarm(
    call: Call, time: Clock, label: str = "", days: list[_Day] | None = None, snooze_minutes: int = 10
) -> Json:
    """Set an alarm; it is on.

    Args:
        time: when it rings.
        label: what it is for.
        days: on which days of the week it rings; without any it rings once.
        snooze_minutes: after how many minutes it rings again, at most 60; 0 for never.

    Returns:
        {alarm_id, time, label, days, enabled, snooze_minutes}.
    """
    alarm_id = call.insert(
        "phone_alarms",
        person_id=call.person_id,
        time=time,
        label=_label(label),
        days=_days(days or []),
        snooze_minutes=_snooze(snooze_minutes),
        created_at=call.now,
    )
    return _shown(_alarm(call, alarm_id))


@api(PHONE, "PATCH")
def update_alarm(
    call: Call,
    alarm_id: int,
    time: Clock | None = None,
    label: str | None = None,
    days: list[_Day] | None = None,
    enabled: bool | None = None,
    snooze_minutes: int | None = None,
) -> Json:
    """Change parts of an alarm; what is left out stays.

    Args:
        alarm_id: the alarm.
        time: when it rings now.
        label: its new label.
        days: the days of the week, which replace the old ones; an empty list lets it ring once.
        enabled: whether it is on.
        snooze_minutes: after how many minutes it rings again, at most 60; 0 for never.

    Returns:
        {alarm_id, time, label, days, enabled, snooze_minutes}.
    """
    _alarm(call, alarm_id)
    changes: dict[str, Any] = {
        "time": time,
        "label": None if label is None else _label(label),
        "days": None if days is None else _days(days),
        "enabled": None if enabled is None else int(enabled),
        "snooze_minutes": None if snooze_minutes is None else _snooze(snooze_minutes),
    }
    changes = {name: value for name, value in changes.items() if value is not None}
    if not changes:
        raise ApiError(422, "name something to change: time, label, days, enabled or snooze_minutes")
    call.update("phone_alarms", alarm_id, **changes)
    return _shown(_alarm(call, alarm_id))


@api(PHONE, "DELETE")
def delete_alarm(call: Call, alarm_id: int) -> Json:
    """Delete an alarm.

    Args:
        alarm_id: the alarm.

    Returns:
        {message}.
    """
    call.delete("phone_alarms", _alarm(call, alarm_id)["id"])
    return {"message": "the alarm is deleted"}


# ---- what they share ---------------------------------------------------------------------------------


def _alarm(call: Call, alarm_id: int) -> dict[str, Any]:
    return call.mine("phone_alarms", alarm_id, "alarm", "list_alarms shows them")


def _shown(row: dict[str, Any]) -> dict[str, Json]:
    return {
        "alarm_id": row["id"],
        "time": row["time"],
        "label": row["label"],
        "days": json.loads(row["days"]),
        "enabled": bool(row["enabled"]),
        "snooze_minutes": row["snooze_minutes"],
    }


def _label(label: str) -> str:
    if len(label.strip()) > _LONGEST_LABEL:
        raise ApiError(422, f"label must have at most {_LONGEST_LABEL} characters")
    return label.strip()


def _days(days: list[_Day]) -> str:
    return json.dumps([day for day in _WEEK if day in days])


def _snooze(minutes: int) -> int:
    if not 0 <= minutes <= _LONGEST_SNOOZE:
        raise ApiError(422, f"snooze_minutes goes from 0 to {_LONGEST_SNOOZE}")
    return minutes
