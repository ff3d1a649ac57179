"""Tasks about dates and times of day, done by hand: calendars, clocks, shifts."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from typing import Any

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Value, family

_LEAP = [
    Value(
        (
            "every year divisible by 4 is a leap year, except those divisible by 100 that are not "
            "divisible by 400"
        ),
        (4, 100, 400),
    ),
    Value("every year divisible by 4 is a leap year, without exception", (4, 10**6, 10**6)),
    Value(
        (
            "every year divisible by 5 is a leap year, except those divisible by 50 that are not divisible "
            "by 200"
        ),
        (5, 50, 200),
    ),
    Value("every year divisible by 4 is a leap year, except those divisible by 128", (4, 128, 10**6)),
]


@family(
    level=1,
    inputs=lambda draw: (
        draw.integer(1, 20) * draw.pick([4, 5, 50, 100, 128, 200]) - draw.integer(0, 3),
        draw.pick([1, 2, 3, 5, 60, 150]) + draw.integer(0, 4),
    ),
    edges=[(2000, 1), (1900, 1), (1896, 9), (128, 1), (200, 3), (2023, 2)],
    leap=_LEAP,
    want=[
        Value(
            "how many leap years there are among the `span` years from `year` on (`year` included)", "count"
        ),
        Value("the first leap year after `year` + `span`", "next"),
        Value(
            "how many common years there are among the `span` years from `year` on (`year` included)",
            "common",
        ),
        Value(
            "the number of days of the `span` years from `year` on (`year` included), where a common year "
            "has 365 days and a leap year one more",
            365,
        ),
        Value(
            "the number of days of the `span` years from `year` on (`year` included), where a common year "
            "has 360 days and a leap year one more",
            360,
        ),
    ],
)
def leap_years(year: int, span: int, *, leap: tuple[int, int, int], want: Any) -> int:
    """In this calendar {leap}. Return {want}."""
    count, now = 0, year
    while want == "next" or now < year + span:
        is_leap = now % leap[0] == 0 and (now % leap[1] != 0 or now % leap[2] == 0)
        if want == "next" and is_leap and now > year + span:
            return now
        count += is_leap
        now += 1
    if want == "common":
        return span - count
    return count if want == "count" else span * want + count


def _date(draw: Draw) -> tuple[int, int, int]:
    year = draw.pick([1900, 2000, 2004, 2023, 2024, 2100, 1999])
    return (
        year,
        draw.pick([1, 2, 2, 3, 6, 12, draw.integer(1, 12)]),
        draw.pick([1, 15, 28, draw.integer(1, 28)]),
    )


@family(
    level=2,
    inputs=_date,
    edges=[(2024, 1, 1), (2024, 2, 29), (2023, 12, 31), (2024, 12, 31), (1900, 3, 1), (2000, 3, 1)],
    want=[
        Value("the number of the day within its year (1 January is 1)", "number"),
        Value("how many days of its year come after it", "left"),
        Value(
            "the number of the week within its year, where week 1 is made of the first seven days of "
            "the year, week 2 "
            "of the next seven, and so on",
            "week",
        ),
        Value("the number of days of its month", "month"),
        Value(
            "how many days of its quarter (January to March, and so on) have begun, that day included",
            "quarter",
        ),
    ],
    julian=[
        Value(
            "February has 29 days in years divisible by 4, except those divisible by 100 but not by 400",
            False,
        ),
        Value("February has 29 days in all years divisible by 4", True),
    ],
    offset=[Value("", 0), Value("Add 1 to the result.", 1), Value("Add 100 to the result.", 100)],
)
def day_number(year: int, month: int, day: int, *, want: str, julian: bool, offset: int) -> int:
    """For the date `year`, `month` (1 to 12), `day`, return {want}. {julian}; otherwise the months have their
    usual 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30 and 31 days. {offset} Do not use the module datetime.
    """
    lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if year % 4 == 0 and (julian or year % 100 != 0 or year % 400 == 0):
        lengths[1] = 29
    number = sum(lengths[: month - 1]) + day
    if want == "number":
        result = number
    elif want == "left":
        result = sum(lengths) - number
    elif want == "week":
        result = (number - 1) // 7 + 1
    elif want == "month":
        result = lengths[month - 1]
    else:
        result = number - sum(lengths[: (month - 1) // 3 * 3])
    return result + offset


@family(
    level=3,
    inputs=lambda draw: (*_date(draw), draw.integer(-400, 800)),
    edges=[
        (2024, 2, 28, 1),
        (2023, 2, 28, 1),
        (2023, 12, 31, 1),
        (2024, 3, 1, -1),
        (2024, 1, 1, 0),
        (2024, 1, 1, -1),
    ],
    form=[
        Value("`YYYY-MM-DD`", "iso"),
        Value("`DD.MM.YYYY`", "dots"),
        Value("`MM/DD/YYYY`", "slashes"),
        Value("`D.M.YYYY` (day and month without leading zeros)", "short"),
    ],
    count=[
        Value("every day counts", 1),
        Value("only every second day counts: go twice as many days on", 2),
        Value("count in weeks of seven days: go `days` weeks on", 7),
    ],
    julian=[
        Value(
            "February has 29 days in years divisible by 4, except those divisible by 100 but not by 400",
            False,
        ),
        Value("February has 29 days in all years divisible by 4", True),
    ],
)
def date_after(year: int, month: int, day: int, days: int, *, form: str, count: int, julian: bool) -> str:
    """Return the date that lies `days` (perhaps negative: before) after the date `year`, `month` (1 to 12),
    `day`; here {count}. {julian}; otherwise the months have their usual lengths. Write the date as {form}.
    Do not use the module datetime.
    """
    left = days * count

    def length() -> int:
        if month == 2:
            leap = year % 4 == 0 and (julian or year % 100 != 0 or year % 400 == 0)
            return 29 if leap else 28
        return 30 if month in (4, 6, 9, 11) else 31

    while left > 0:
        day, left = day + 1, left - 1
        if day > length():
            day, month = 1, month + 1
        if month > 12:
            month, year = 1, year + 1
    while left < 0:
        day, left = day - 1, left + 1
        if day < 1:
            month -= 1
            if month < 1:
                month, year = 12, year - 1
            day = length()
    if form == "iso":
        return f"{year:04d}-{month:02d}-{day:02d}"
    if form == "dots":
        return f"{day:02d}.{month:02d}.{year:04d}"
    return f"{month:02d}/{day:02d}/{year:04d}" if form == "slashes" else f"{day}.{month}.{year}"


_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@family(
    level=2,
    inputs=lambda draw: (draw.pick(_NAMES), draw.integer(-60, 200)),
    edges=[("Mon", 0), ("Sun", 1), ("Mon", -1), ("Wed", 7), ("Fri", 3), ("Sat", 2)],
    names=[Value("Mon, Tue, Wed, Thu, Fri, Sat, Sun", _NAMES)],
    work=[
        Value("`days` days later (earlier, if negative)", "all"),
        Value(
            "the absolute value of `days` working days later, where Saturday and Sunday are no working "
            "days and are "
            "passed over; a start on one of them is allowed, and 0 days changes nothing",
            "five",
        ),
        Value(
            "the absolute value of `days` working days later, where Sunday is no working day and is "
            "passed over; a "
            "start on it is allowed, and 0 days changes nothing",
            "six",
        ),
    ],
    form=[
        Value("its short name", "name"),
        Value("its short name in upper case", "upper"),
        Value("its number, where Monday is 1 and Sunday is 7", "one"),
        Value("its number, where Sunday is 0 and Saturday is 6", "sunday"),
    ],
)
def weekday_after(start: str, days: int, *, names: tuple[str, ...], work: str, form: str) -> str | int:
    """The days of the week are {names}. Which day is it {work} than the day `start`? Return {form}."""
    place = names.index(start)
    if work == "all":
        place = (place + days) % 7
    else:
        left = abs(days)
        while left > 0:
            place = (place + 1) % 7
            if place < (5 if work == "five" else 6):
                left -= 1
    if form == "name":
        return names[place]
    if form == "upper":
        return names[place].upper()
    return place + 1 if form == "one" else (place + 1) % 7


@family(
    level=1,
    inputs=lambda draw: (f"{draw.integer(0, 23):02d}:{draw.integer(0, 59):02d}", draw.integer(-2000, 3000)),
    edges=[("00:00", 0), ("23:59", 1), ("00:00", -1), ("12:00", 720), ("11:30", 30), ("01:05", 0)],
    form=[
        Value("in the same form", "24"),
        Value(
            "in the form `h:MMam` or `h:MMpm` (hours 12, 1, ... 11 without leading zero; 00:00 is 12:00am)",
            "12",
        ),
        Value(
            "in the form `HH:MM+d`, where d is the number of days after today (`+0`, or a negative "
            "number such as "
            "`-1` without plus sign)",
            "day",
        ),
    ],
    round_=[
        Value("", 1),
        Value("Round the result down to a full quarter of an hour.", 15),
        Value("Round the result down to full 5 minutes.", 5),
        Value("Round the result down to full 10 minutes.", 10),
    ],
)
def clock_after(time: str, minutes: int, *, form: str, round_: int) -> str:
    """`time` is a time of day in the form `HH:MM`. Return the time `minutes` (perhaps negative) later, on
    another day if need be, {form}. {round_}
    """
    total = int(time[:2]) * 60 + int(time[3:]) + minutes
    total -= total % round_
    day, rest = divmod(total, 1440)
    hour, minute = divmod(rest, 60)
    if form == "24":
        return f"{hour:02d}:{minute:02d}"
    if form == "12":
        return f"{(hour + 11) % 12 + 1}:{minute:02d}{'am' if hour < 12 else 'pm'}"
    return f"{hour:02d}:{minute:02d}{'+' if day >= 0 else ''}{day}"


def _shifts(draw: Draw) -> tuple[list[tuple[str, ...]]]:
    return (
        [
            tuple(f"{draw.integer(0, 23):02d}:{draw.pick([0, 15, 30, 45]):02d}" for _ in range(2))
            for _ in range(draw.integer(0, 4))
        ],
    )


@family(
    level=2,
    inputs=_shifts,
    edges=[
        ([],),
        ([("08:00", "16:00")],),
        ([("22:00", "06:00")],),
        ([("09:00", "09:00")],),
        ([("12:00", "18:01")],),
    ],
    same=[
        Value("A shift that ends at the time at which it begins lasts 0 minutes.", 0),
        Value("A shift that ends at the time at which it begins lasts 24 hours.", 1440),
    ],
    pause=[
        Value("", (10**6, 0)),
        Value("Of a shift of more than 6 hours, 30 minutes are a break and do not count.", (360, 30)),
        Value("Of a shift of 6 hours or more, 45 minutes are a break and do not count.", (359, 45)),
        Value("Of a shift of more than 4 hours, 20 minutes are a break and do not count.", (240, 20)),
    ],
    give=[
        Value("the total in minutes", "minutes"),
        Value("the total as `H:MM` (hours without leading zeros)", "text"),
        Value("the minutes of the longest shift (0 if there is none)", "longest"),
        Value("the total in full hours, rounded up", "hours"),
    ],
)
def worked_time(shifts: list[tuple[str, str]], *, same: int, pause: tuple[int, int], give: str) -> int | str:
    """Each of `shifts` is a pair of times `HH:MM`: begin and end. A shift whose end is earlier in the day
    than its begin ends on the next day. {same} {pause} Return {give}.
    """
    lengths = []
    for begin, end in shifts:
        first = int(begin[:2]) * 60 + int(begin[3:])
        last = int(end[:2]) * 60 + int(end[3:])
        length = (last - first) % 1440
        if length == 0:
            length = same
        if length > pause[0]:
            length -= pause[1]
        lengths.append(length)
    total = sum(lengths)
    if give == "minutes":
        return total
    if give == "text":
        return f"{total // 60}:{total % 60:02d}"
    return max(lengths, default=0) if give == "longest" else -(-total // 60)


@family(
    level=1,
    inputs=lambda draw: (draw.integer(0, draw.pick([59, 4000, 90_000, 400_000])),),
    edges=[(0,), (59,), (60,), (3600,), (3661,), (86400,), (90061,)],
    zero=[
        Value("Units of which there are 0 are left out", "skip"),
        Value(
            "Units of which there are 0 are left out before the first other unit, but not after it", "inner"
        ),
        Value("All units are written", "all"),
    ],
    mark=[Value("single spaces", " "), Value("colons", ":"), Value("a comma and a space", ", ")],
    least=[Value("nothing but `0s`", "0s"), Value("the word `none`", "none"), Value("the word `now`", "now")],
    most=[Value("", 9), Value("Write only the two largest units that would be written.", 2)],
)
def show_seconds(seconds: int, *, zero: str, mark: str, least: str, most: int) -> str:
    """Write a number of seconds in days (d), hours (h), minutes (m) and seconds (s), such as `1d 2h 3m 4s`,
    with {mark} between them. {zero}. {most} For 0 seconds write {least}.
    """
    if seconds == 0:
        return least
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count = seconds // size
        seconds %= size
        if count > 0 or zero == "all" or (zero == "inner" and parts):
            parts.append(f"{count}{unit}")
    return mark.join(parts[:most])


@family(
    level=2,
    inputs=lambda draw: (draw.integer(1, 28), draw.integer(1, 12), draw.integer(1, 28), draw.integer(1, 12)),
    edges=[(1, 1, 1, 1), (31, 12, 1, 1), (28, 2, 1, 3), (1, 3, 28, 2), (15, 6, 15, 7)],
    month=[Value("30", 30), Value("28", 28), Value("31", 31)],
    back=[
        Value("If the second date comes before the first, it is that date of the next year.", "next"),
        Value("If the second date comes before the first, the result is negative.", "negative"),
        Value("The order of the two dates does not matter.", "either"),
    ],
    both=[
        Value("The first day does not count, the last does", 0),
        Value("Both the first and the last day count", 1),
        Value("Neither the first nor the last day counts, and the result is never moved below 0 by that", -1),
    ],
)
def days_between(
    day: int, month_number: int, other_day: int, other_month: int, *, month: int, back: str, both: int
) -> int:
    """In this calendar a year has 12 months, each of {month} days (a date with a greater day number lies in
    the following month, as counting on gives). Return how many days it is from the date `day`,
    `month_number` to the date `other_day`, `other_month`. {back} {both}.
    """
    difference = (other_month - month_number) * month + other_day - day
    if difference < 0 and back == "next":
        difference += 12 * month
    sign = -1 if difference < 0 else 1
    length = abs(difference)
    if both > 0:
        length += both
    if both < 0 and length > 0:
        length += both
    return sign * length if back == "negative" else length
