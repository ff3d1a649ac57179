"""Tasks that let something run: robots, queues, caches, machines, accounts."""

# ruff: noqa: D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Value, family


@family(
    level=2,
    inputs=lambda draw: (draw.text("FFFLRB", 0, 14),),
    edges=[("",), ("F",), ("LLLL",), ("FFRFF",), ("B",), ("FFFFFFFFFF",)],
    world=[
        Value("The plane has no end.", "open"),
        Value(
            "The robot cannot leave the square from (-2, -2) to (2, 2): a move that would is not made.",
            "wall",
        ),
        Value(
            "The robot lives on the square from (-2, -2) to (2, 2), which goes round: a move over one "
            "edge leads to the "
            "opposite edge.",
            "round",
        ),
    ],
    back=[
        Value("`B` makes one move backwards, without turning", "back"),
        Value("`B` turns the robot round", "turn"),
        Value("`B` is ignored", "none"),
    ],
    want=[
        Value("the position at the end as a pair (x, y)", "place"),
        Value("the number of different positions on which the robot stood, the first included", "count"),
        Value("the direction at the end as one of the letters N, E, S, W", "way"),
        Value("the sum of the absolute values of x and y at the end", "far"),
    ],
)
def robot(commands: str, *, world: str, back: str, want: str) -> tuple[int, int] | int | str:
    """A robot stands at (0, 0) and looks north. `F` moves it one place in its direction (north is y + 1, east
    is x + 1), `L` turns it left and `R` right by a quarter; {back}. {world} Carry out `commands` and
    return {want}.
    """
    x, y, way = 0, 0, 0
    seen = {(0, 0)}
    for command in commands:
        if command == "L":
            way = (way + 3) % 4
        elif command == "R":
            way = (way + 1) % 4
        elif command == "B" and back == "turn":
            way = (way + 2) % 4
        elif command == "F" or (command == "B" and back == "back"):
            length = 1 if command == "F" else -1
            to_x, to_y = x + length * (0, 1, 0, -1)[way], y + length * (1, 0, -1, 0)[way]
            if world == "round":
                to_x, to_y = (to_x + 2) % 5 - 2, (to_y + 2) % 5 - 2
            if world != "wall" or (abs(to_x) <= 2 and abs(to_y) <= 2):
                x, y = to_x, to_y
            seen.add((x, y))
    if want == "place":
        return x, y
    if want == "count":
        return len(seen)
    return "NESW"[way] if want == "way" else abs(x) + abs(y)


@family(
    level=3,
    inputs=lambda draw: (
        [(name, draw.integer(0, 9)) for name in draw.distinct(["a", "b", "c", "d", "e"], 0, 5)],
        draw.integer(1, 4),
    ),
    edges=[([], 1), ([("a", 0)], 2), ([("a", 3)], 3), ([("a", 5), ("b", 2)], 2), ([("a", 1), ("b", 1)], 4)],
    want=[
        Value("the names in the order in which they finish", "order"),
        Value("a dictionary from each name to the time at which it finishes", "times"),
        Value("how many turns there are in all", "turns"),
        Value(
            (
                "the time for which the jobs wait in all: for each job the time at which it finishes less "
                "its own need"
            ),
            "waiting",
        ),
    ],
    switch=[
        Value("", 0),
        Value("Each turn but the very first begins with a pause of 1 (no job works).", 1),
        Value("Each turn but the very first begins with a pause of 2 (no job works).", 2),
    ],
    shrink=[
        Value("A job that is not finished goes to the end of the queue", "end"),
        Value(
            "A job that is not finished goes to the end of the queue, and its next turn is longer by 1",
            "longer",
        ),
        Value(
            "A job that is not finished changes places with the job that is next, so it comes second",
            "second",
        ),
    ],
)
def take_turns(
    jobs: list[tuple[str, int]], turn: int, *, want: str, switch: int, shrink: str
) -> list[str] | dict[str, int] | int:
    """`jobs` is a queue of pairs (name, need); names differ. The first of the queue works for a turn of at
    most `turn` units of time, or less if it needs less, and is finished when its need is met (a job of
    need 0 takes a turn of length 0). {shrink}. {switch} Time begins at 0. Return {want}.
    """
    queue = [(name, need, turn) for name, need in jobs]
    finished: dict[str, int] = {}
    time = turns = 0
    while queue:
        name, need, length = queue.pop(0)
        if turns > 0:
            time += switch
        turns += 1
        time += min(need, length)
        if need <= length:
            finished[name] = time
        elif shrink == "second":
            queue.insert(1, (name, need - length, length))
        elif shrink == "longer":
            queue.append((name, need - length, length + 1))
        else:
            queue.append((name, need - length, length))
    if want == "order":
        return list(finished)
    if want == "times":
        return finished
    return turns if want == "turns" else sum(finished[name] - need for name, need in jobs)


@family(
    level=2,
    inputs=lambda draw: (draw.integer(1, 14), draw.integer(1, 5)),
    edges=[(1, 1), (1, 3), (2, 1), (2, 2), (5, 2), (7, 3)],
    survivors=(1, 2, 3),
    start=[
        Value("Counting begins with person 1.", 0),
        Value("Counting begins with person 2 (with person 1 if there is only one).", 1),
    ],
    back=[
        Value("It always goes on in the same direction", False),
        Value("After each removal the direction of counting is reversed", True),
    ],
    want=[
        Value("the list of those who are left, in ascending order", "left"),
        Value("the list of those who were removed, in the order of their removal", "removed"),
    ],
)
def count_out(people: int, step: int, *, survivors: int, start: int, back: bool, want: str) -> list[int]:
    """`people` persons, numbered from 1, stand in a circle in ascending order. Count from 1 to `step`, one
    person each; the person at `step` is removed, and counting begins anew with the next person in the
    direction of counting. {start} {back}. Stop when {survivors} or fewer are left. Return {want}.
    """
    circle = list(range(1, people + 1))
    removed: list[int] = []
    place, forwards = start % people, True
    while len(circle) > survivors:
        move = step - 1 if forwards else 1 - step
        place = (place + move) % len(circle)
        removed.append(circle.pop(place))
        if back:
            forwards = not forwards
        if not forwards:
            place -= 1
        place %= len(circle)
    return circle if want == "left" else removed


@family(
    level=2,
    inputs=lambda draw: (draw.integer(0, 12), draw.integers(-10, 8, 0, 9)),
    edges=[(0, []), (10, [-10]), (10, [-11]), (5, [-20, 3]), (0, [10, -4]), (20, [-20, -1])],
    credit=[Value("0", 0), Value("-10", -10), Value("-5", -5)],
    fee=(0, 1, 2, 3),
    over=[
        Value("is refused and costs nothing", "refuse"),
        Value("is refused, but its fee is still taken", "fee"),
        Value("is refused, and so are all payments out after it", "stop"),
    ],
    want=[
        Value("the balance at the end", "balance"),
        Value("how many payments out were refused", "refused"),
        Value("the lowest balance there ever was, the first included", "lowest"),
    ],
)
def account(start: int, payments: list[int], *, credit: int, fee: int, over: str, want: str) -> int:
    """An account has the balance `start`. `payments` are carried out in order: a positive number is paid in,
    a negative one is paid out and costs a fee of {fee} besides (0 does nothing). A payment out after
    which, with its fee, the balance would be below {credit} {over}. (A fee taken for a refused payment may
    bring the balance below {credit}.) Return {want}.
    """
    balance = lowest = start
    refused = 0
    closed = False
    for payment in payments:
        if payment >= 0:
            balance += payment
        elif not closed and balance + payment - fee >= credit:
            balance += payment - fee
        else:
            refused += 1
            if over == "fee":
                balance -= fee
            if over == "stop":
                closed = True
        lowest = min(lowest, balance)
    if want == "balance":
        return balance
    return refused if want == "refused" else lowest


@family(
    level=3,
    inputs=lambda draw: (draw.text("abcd" if draw.chance(0.6) else "abcdef", 0, 14), draw.integer(1, 4)),
    edges=[("", 1), ("a", 1), ("aa", 1), ("abab", 1), ("abcabc", 2), ("abcad", 3)],
    policy=[
        Value("the one that has been in the cache for the longest time", "fifo"),
        Value("the one that was asked for least recently", "lru"),
        Value("the one that was asked for most recently", "mru"),
        Value(
            (
                "the one that was asked for least often since it came in (of several, the one that came in "
                "first)"
            ),
            "lfu",
        ),
        Value("the alphabetically last one", "name"),
    ],
    want=[
        Value("the number of requests that found their page in the cache", "hits"),
        Value("the pages in the cache at the end, as a text in alphabetical order", "pages"),
        Value("the pages that were thrown out, as a text in that order", "out"),
    ],
    first=[
        Value("", 0),
        Value("The cache is not used for the first request: that page is not stored.", 1),
        Value("The cache is not used for the first two requests: those pages are not stored.", 2),
    ],
)
def cache(requests: str, size: int, *, policy: str, want: str, first: int) -> int | str:
    """Each character of `requests` asks for the page of that name. A cache has room for `size` pages and
    begins empty. A page that is asked for and is not in it is stored; if there is no room, {policy} is
    thrown out before. {first} Return {want}.
    """
    pages: list[str] = []
    uses: dict[str, int] = {}
    recent: list[str] = []
    hits, out = 0, ""
    for page in requests[first:]:
        if page in pages:
            hits += 1
            uses[page] += 1
        else:
            if len(pages) == size:
                if policy == "fifo":
                    leaving = pages[0]
                elif policy == "lru":
                    leaving = recent[0]
                elif policy == "mru":
                    leaving = recent[-1]
                elif policy == "lfu":
                    leaving = min(pages, key=lambda name: uses[name])
                else:
                    leaving = max(pages)
                pages.remove(leaving)
                recent.remove(leaving)
                out += leaving
            pages.append(page)
            uses[page] = 1
        if page in recent:
            recent.remove(page)
        recent.append(page)
    if want == "hits":
        return hits
    return "".join(sorted(pages)) if want == "pages" else out


@family(
    level=1,
    inputs=lambda draw: (draw.integer(0, 300),),
    edges=[(0,), (1,), (29,), (30,), (60,), (100,)],
    green=(20, 30, 40),
    yellow=(3, 5),
    red=(15, 25),
    want=[
        Value("the light at that moment: 'green', 'yellow' or 'red'", "now"),
        Value("how many more seconds the light of that moment shines", "left"),
        Value("how many full seconds the light was green before that moment", "green"),
        Value(
            "how often the light has changed its colour by that moment (a change at that very moment counts)",
            "changes",
        ),
    ],
    start=[Value("green", 0), Value("red", 1)],
)
def traffic_light(second: int, *, green: int, yellow: int, red: int, want: str, start: int) -> str | int:
    """A traffic light shows green for {green} seconds, then yellow for {yellow}, then red for {red}, and then
    begins anew; at second 0 its {start} phase begins. A moment at which the light changes belongs to the
    new colour. For the moment `second`, return {want}.
    """
    colours = [("green", green), ("yellow", yellow), ("red", red)]
    place = 2 if start else 0
    changes = green_seconds = 0
    while second >= colours[place][1]:
        second -= colours[place][1]
        if place == 0:
            green_seconds += colours[place][1]
        place = (place + 1) % 3
        changes += 1
    if place == 0:
        green_seconds += second
    if want == "now":
        return colours[place][0]
    if want == "left":
        return colours[place][1] - second
    return green_seconds if want == "green" else changes


def _instructions(draw: Draw) -> tuple[list[str]]:
    program = [f"push {draw.integer(-5, 9)}" for _ in range(draw.integer(0, 3))]
    for _ in range(draw.integer(0, 8)):
        word = draw.pick(["push", "push", "push", "pop", "dup", "swap", "add", "sub", "over"])
        program.append(f"push {draw.integer(-5, 9)}" if word == "push" else word)
    return (program,)


@family(
    level=3,
    inputs=_instructions,
    edges=[
        ([],),
        (["push 1"],),
        (["pop"],),
        (["push 1", "push 2", "sub"],),
        (["push 1", "push 2", "swap"],),
        (["push 4", "dup", "add"],),
        (["push 1", "push 2", "over"],),
    ],
    lacking=[
        Value("is skipped", "skip"),
        Value("ends the program", "end"),
        Value("empties the stack", "empty"),
    ],
    third=[
        Value("`over` puts a copy of the second value from the top on top", "over"),
        Value("`over` takes the second value from the top out and drops it", "nip"),
        Value("`over` moves the topmost value to the bottom of the stack", "roll"),
    ],
    want=[
        Value("the stack at the end, as a list from bottom to top", "stack"),
        Value("the greatest number of values that were ever on the stack", "high"),
        Value("the topmost value at the end, or None if there is none", "top"),
    ],
)
def stack_machine(program: list[str], *, lacking: str, third: str, want: str) -> list[int] | int | None:
    """Carry out the instructions of `program` on a stack that begins empty: `push n` puts the number n on
    top, `pop` drops the top, `dup` puts a copy of it on top, `swap` exchanges the two topmost values,
    `add` and `sub` replace the two topmost by their sum or by the lower one minus the top; {third}. An
    instruction that needs more values than there are (`pop` and `dup` need one; `swap`, `add`, `sub` and
    `over` two) {lacking}. Return {want}.
    """
    stack: list[int] = []
    high = 0
    for instruction in program:
        word, _, number = instruction.partition(" ")
        if len(stack) < {"push": 0, "pop": 1, "dup": 1}.get(word, 2):
            if lacking == "end":
                break
            if lacking == "empty":
                stack = []
            continue
        if word == "push":
            stack.append(int(number))
        elif word == "pop":
            stack.pop()
        elif word == "dup":
            stack.append(stack[-1])
        elif word == "swap":
            stack[-1], stack[-2] = stack[-2], stack[-1]
        elif word == "add":
            stack[-2:] = [stack[-2] + stack[-1]]
        elif word == "sub":
            stack[-2:] = [stack[-2] - stack[-1]]
        elif third == "over":
            stack.append(stack[-2])
        elif third == "nip":
            del stack[-2]
        else:
            stack.insert(0, stack.pop())
        high = max(high, len(stack))
    if want == "stack":
        return stack
    return high if want == "high" else (stack[-1] if stack else None)


@family(
    level=2,
    inputs=lambda draw: (draw.text("#..", 1, 10), draw.integer(0, 5)),
    edges=[("#", 1), (".", 3), ("#.#", 0), ("..#..", 1), ("..#..", 2)],
    alive=[
        Value("exactly one", (1,)),
        Value("at least one", (1, 2)),
        Value("none or two", (0, 2)),
        Value("exactly two", (2,)),
        Value("at most one", (0, 1)),
    ],
    own=[
        Value("whether it is alive itself does not matter", "no"),
        Value("and, besides, every cell that was alive stays alive", "stay"),
        Value("but a cell that was alive is always dead afterwards", "die"),
    ],
    ring=[
        Value("beyond the ends all is dead for ever", False),
        Value(
            "the row is a ring: its ends are neighbours (in a "
            "row of one cell, the cell is its own left and "
            "right neighbour)",
            True,
        ),
    ],
)
def row_of_cells(row: str, steps: int, *, alive: tuple[int, ...], own: str, ring: bool) -> str:
    """`row` is a row of cells: `#` is alive, `.` dead; {ring}. In one step, all at once, a cell is alive
    afterwards when {alive} of its two neighbours (left and right) was alive before; {own}. Return the row
    after `steps` steps.
    """
    for _ in range(steps):
        wide = row[-1] + row + row[0] if ring else "." + row + "."
        after = ""
        for index, cell in enumerate(row):
            near = (wide[index] == "#") + (wide[index + 2] == "#")
            lives = near in alive
            if own == "stay":
                lives = lives or cell == "#"
            if own == "die":
                lives = lives and cell != "#"
            after += "#" if lives else "."
        row = after
    return row


@family(
    level=2,
    inputs=lambda draw: (draw.integers(1, 6, 0, 10),),
    edges=[([],), ([3],), ([6, 6],), ([1, 2, 3],), ([6, 6, 6, 6],)],
    last=[Value("12", 12), Value("15", 15), Value("20", 20)],
    beyond=[
        Value("A throw that would lead beyond the last field is not used: the piece stays.", "stay"),
        Value("A throw that would lead beyond the last field counts as reaching it.", "reach"),
        Value("A throw that leads beyond the last field moves the piece back from it by the rest.", "back"),
    ],
    jumps=[
        Value("from field 4 to 9 and from field 10 to 3", ((4, 9), (10, 3))),
        Value("from field 3 to 8 and from field 11 to 2", ((3, 8), (11, 2))),
        Value("from field 6 to 1 and from field 2 to 7", ((6, 1), (2, 7))),
    ],
    want=[
        Value("the field on which the piece stands at the end", "field"),
        Value(
            "the number of throws that were needed to reach the last field, or -1 if it was not reached",
            "throws",
        ),
        Value("how often the piece was moved by a jump", "jumps"),
    ],
)
def board_game(
    throws: list[int], *, last: int, beyond: str, jumps: tuple[tuple[int, int], ...], want: str
) -> int:
    """A piece stands on field 0 of a board whose last field is {last}. For each of `throws`, in order, it
    moves on by so many fields. {beyond} When it then stands on a field where a jump begins, it is moved at
    once (and only once) to where the jump leads: {jumps}. The game ends when it stands on the last field;
    further throws are not used. Return {want}.
    """
    field = jumped = 0
    for number, throw in enumerate(throws, start=1):
        target = field + throw
        if target > last:
            if beyond == "stay":
                target = field
            elif beyond == "reach":
                target = last
            else:
                target = 2 * last - target
        for start, end in jumps:
            if target == start:
                target = end
                jumped += 1
                break
        field = target
        if field == last:
            if want == "throws":
                return number
            break
    if want == "throws":
        return -1
    return field if want == "field" else jumped
