"""Tasks about intervals: merging, covering, overlapping, booking."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from palaestra.envs.code.family import Value, family


@family(
    level=2,
    inputs=lambda draw: (draw.intervals(0, 18),),
    edges=[
        ([],),
        ([(1, 2)],),
        ([(1, 3), (3, 5)],),
        ([(4, 6), (1, 2)],),
        ([(1, 9), (2, 3)],),
        ([(1, 2), (3, 4)],),
    ],
    gap=[
        Value("overlap or touch (one begins where the other ends)", 0),
        Value("overlap, touch, or lie at most 1 apart", 1),
        Value("overlap, touch, or lie at most 2 apart", 2),
        Value("overlap by at least 1", -1),
    ],
    least=(1, 3, 4),
    give=[
        Value("the merged intervals as (start, end) pairs, in ascending order", "pairs"),
        Value(
            "the lengths (end - start) of the merged intervals, in ascending order of where they begin",
            "lengths",
        ),
    ],
)
def merge_intervals(
    intervals: list[tuple[int, int]], *, gap: int, least: int, give: str
) -> list[tuple[int, int]] | list[int]:
    """Each interval is a pair (start, end) with start < end. Merge, again and again, any two that {gap}: the
    two are replaced by the smallest interval that holds both. At the end drop those shorter than {least}.
    Return {give}.
    """
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start - merged[-1][1] <= gap:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    kept = [(start, end) for start, end in merged if end - start >= least]
    return kept if give == "pairs" else [end - start for start, end in kept]


@family(
    level=2,
    inputs=lambda draw: (draw.intervals(-5, 14),),
    edges=[([],), ([(0, 1)],), ([(1, 3), (3, 5)],), ([(1, 4), (2, 3)],), ([(0, 2), (0, 2)],)],
    closed=[
        Value("An interval (start, end) covers start, end and the whole numbers between them.", 1),
        Value(
            "An interval (start, end) covers start and the whole numbers after it that are less than end.", 0
        ),
    ],
    times=[
        Value("at least one", (1, 99)),
        Value("at least two", (2, 99)),
        Value("exactly one", (1, 1)),
        Value("exactly two", (2, 2)),
    ],
    want=[
        Value("how many whole numbers are", "count"),
        Value("the sum of the whole numbers that are", "sum"),
        Value("the list, in ascending order, of the whole numbers that are", "list"),
    ],
)
def covered(
    intervals: list[tuple[int, int]], *, closed: int, times: tuple[int, int], want: str
) -> int | list[int]:
    """{closed} Return {want} covered by {times} of `intervals`."""
    counts: dict[int, int] = {}
    for start, end in intervals:
        for number in range(start, end + closed):
            counts[number] = counts.get(number, 0) + 1
    found = sorted(number for number, count in counts.items() if times[0] <= count <= times[1])
    if want == "count":
        return len(found)
    return sum(found) if want == "sum" else found


@family(
    level=3,
    inputs=lambda draw: (draw.intervals(0, 14, 0, 7),),
    edges=[([],), ([(2, 5)],), ([(1, 3), (3, 5)],), ([(1, 5), (2, 3), (2, 4)],), ([(0, 1), (1, 2), (2, 3)],)],
    closed=[
        Value("A visitor leaves before one who comes at the same time arrives.", False),
        Value("A visitor who leaves at the time at which another arrives still meets that one.", True),
    ],
    want=[
        Value("the greatest number of visitors that are there at once", "most"),
        Value(
            (
                "the earliest time at which the greatest number of visitors are there at once, or -1 "
                "without visitors"
            ),
            "when",
        ),
        Value("how many pairs of visitors are there at the same time for at least a moment", "pairs"),
    ],
    late=[
        Value("", 0),
        Value("Every visitor stays 1 longer than written.", 1),
        Value("Every visitor stays 2 longer than written.", 2),
    ],
)
def crowd(visits: list[tuple[int, int]], *, closed: bool, want: str, late: int) -> int:
    """Each of `visits` is a pair (arrival, departure) with arrival < departure. {late} {closed} Return
    {want}.
    """
    stays = [(arrival, departure + late) for arrival, departure in visits]
    if want == "pairs":
        pairs = 0
        for index, (arrival, departure) in enumerate(stays):
            for other_arrival, other_departure in stays[:index]:
                latest, earliest = max(arrival, other_arrival), min(departure, other_departure)
                if latest < earliest or (closed and latest == earliest):
                    pairs += 1
        return pairs
    most, when = 0, -1
    for moment, _ in sorted(stays):
        here = 0
        for arrival, departure in stays:
            if arrival <= moment and (moment <= departure if closed else moment < departure):
                here += 1
        if here > most:
            most, when = here, moment
    return most if want == "most" else when


@family(
    level=3,
    inputs=lambda draw: (draw.intervals(2, 18, 0, 5), draw.integer(0, 6), draw.integer(14, 24)),
    edges=[
        ([], 0, 5),
        ([(0, 5)], 0, 5),
        ([(1, 2), (3, 4)], 0, 5),
        ([(2, 9)], 4, 6),
        ([(1, 3), (2, 6)], 2, 8),
    ],
    least=(1, 2, 3),
    pause=[
        Value("", 0),
        Value("Each appointment is followed by a pause of 1, which is not free either.", 1),
        Value("Each appointment is followed by a pause of 2, which is not free either.", 2),
    ],
    want=[
        Value("the list of the free times as (start, end) pairs, in ascending order", "list"),
        Value("the earliest free time as a (start, end) pair, or None when there is none", "first"),
        Value(
            (
                "the longest free time as a (start, end) pair (the earliest of several), or None when "
                "there is none"
            ),
            "longest",
        ),
        Value("the total length of the free times", "total"),
    ],
)
def free_times(
    taken: list[tuple[int, int]], opening: int, closing: int, *, least: int, pause: int, want: str
) -> list[tuple[int, int]] | tuple[int, int] | int | None:
    """Each of `taken` is an appointment (start, end) with start < end; they may overlap and may lie outside
    opening hours. {pause} A free time is a longest possible part of the time from `opening` to `closing`
    in which nothing lies, at least {least} long. Return {want}.
    """
    free = []
    begin = opening
    for start, end in sorted(taken):
        if min(start, closing) - begin >= least:
            free.append((begin, min(start, closing)))
        begin = max(begin, end + pause)
    if closing - begin >= least:
        free.append((begin, closing))
    if want == "list":
        return free
    if want == "total":
        return sum(end - start for start, end in free)
    if not free:
        return None
    return free[0] if want == "first" else max(free, key=lambda pair: pair[1] - pair[0])


@family(
    level=1,
    inputs=lambda draw: (*draw.intervals(0, 9, 2, 2, 8),),
    edges=[((0, 2), (2, 4)), ((0, 9), (3, 5)), ((5, 6), (0, 1)), ((1, 4), (1, 4)), ((0, 2), (3, 5))],
    want=[
        Value("the length of what they have in common (0 when they have nothing in common)", "common"),
        Value("the total length that at least one of them covers", "union"),
        Value("the length of what lies in exactly one of them", "one"),
        Value("the distance between them (0 when they touch or overlap)", "distance"),
        Value("the length of the shortest interval that holds both", "hull"),
    ],
    grow=[
        Value("", 0),
        Value("First make both longer by 1 at each end.", 1),
        Value("First make both longer by 2 at each end.", 2),
    ],
    scale=[
        Value("", 1),
        Value("The result is to be doubled.", 2),
        Value("The result is to be multiplied by 10.", 10),
    ],
)
def two_intervals(
    first: tuple[int, int], second: tuple[int, int], *, want: str, grow: int, scale: int
) -> int:
    """`first` and `second` are intervals (start, end) on a line, with start < end. {grow} Return {want}.
    {scale}
    """
    start, end = first[0] - grow, first[1] + grow
    other_start, other_end = second[0] - grow, second[1] + grow
    common = max(0, min(end, other_end) - max(start, other_start))
    both = (end - start) + (other_end - other_start)
    if want == "common":
        result = common
    elif want == "union":
        result = both - common
    elif want == "one":
        result = both - 2 * common
    elif want == "distance":
        result = max(0, max(start, other_start) - min(end, other_end))
    else:
        result = max(end, other_end) - min(start, other_start)
    return result * scale


@family(
    level=2,
    inputs=lambda draw: (draw.intervals(0, 16, 0, 8),),
    edges=[([],), ([(1, 3)],), ([(1, 3), (3, 5)],), ([(1, 9), (2, 3), (4, 5)],), ([(2, 4), (1, 3), (0, 1)],)],
    order=[
        Value("the order in which they are listed", "listed"),
        Value("the order of their starts (equal starts: the shorter one first)", "start"),
        Value("the order of their ends (equal ends: the one that starts earlier first)", "end"),
        Value("the order of their lengths (equal lengths: the one that starts earlier first)", "length"),
    ],
    gap=[
        Value("does not overlap (touching is allowed)", 0),
        Value("stays at least 1 away from", 1),
        Value("stays at least 2 away from", 2),
    ],
    give=[
        Value("how many are accepted", "count"),
        Value("the accepted requests, in the order of their acceptance", "list"),
        Value("the total length of the accepted requests", "total"),
    ],
)
def accept_requests(
    requests: list[tuple[int, int]], *, order: str, gap: int, give: str
) -> int | list[tuple[int, int]]:
    """Requests for a room are pairs (start, end) with start < end. Go through them in {order}; accept each
    that {gap} every request accepted before it. Return {give}.
    """
    queue = list(requests)
    if order == "start":
        queue.sort()
    if order == "end":
        queue.sort(key=lambda pair: (pair[1], pair[0]))
    if order == "length":
        queue.sort(key=lambda pair: (pair[1] - pair[0], pair[0]))
    accepted: list[tuple[int, int]] = []
    for start, end in queue:
        if all(start - other_end >= gap or other_start - end >= gap for other_start, other_end in accepted):
            accepted.append((start, end))
    if give == "count":
        return len(accepted)
    return accepted if give == "list" else sum(end - start for start, end in accepted)
