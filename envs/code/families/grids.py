"""Tasks about grids and matrices: turning, walking, neighbours, filling, automata."""

# ruff: noqa: B905
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Rule, Value, family


@family(
    level=1,
    inputs=lambda draw: (draw.grid(0, 9),),
    edges=[([[1]],), ([[1, 2, 3]],), ([[1], [2]],), ([[1, 2], [3, 4]],)],
    move=[
        Rule("turned clockwise by a quarter", "[list(row) for row in zip(*x[::-1])]"),
        Rule("turned counterclockwise by a quarter", "[list(row) for row in zip(*x)][::-1]"),
        Rule("turned by a half", "[row[::-1] for row in x[::-1]]"),
        Rule("with rows and columns exchanged", "[list(row) for row in zip(*x)]"),
        Rule("with left and right exchanged", "[row[::-1] for row in x]"),
        Rule("with top and bottom exchanged", "x[::-1]"),
    ],
    change=[
        Rule("as it is", "x"),
        Rule("doubled", "2 * x"),
        Rule("replaced by 1 if it is odd and 0 if it is even", "x % 2"),
        Rule("replaced by 9 minus it", "9 - x"),
    ],
)
def turn_grid(
    grid: list[list[int]], *, move: Callable[[list[list[int]]], list[list[int]]], change: Callable[[int], int]
) -> list[list[int]]:
    """`grid` is a rectangle of numbers, given as its rows from top to bottom. Return a new grid: `grid`
    {move}, with every number {change}.
    """
    return [[change(value) for value in row] for row in move(grid)]


@family(
    level=3,
    inputs=lambda draw: (draw.grid(0, 9),),
    edges=[([[5]],), ([[1, 2, 3]],), ([[1], [2], [3]],), ([[1, 2, 3], [4, 5, 6], [7, 8, 9]],)],
    right=[
        Value("clockwise, beginning with the top row from left to right", True),
        Value("counterclockwise, beginning with the leftmost column from top to bottom", False),
    ],
    inward=[
        Value("from the outside to the inside", True),
        Value("from the inside to the outside: the exact reverse of the order from outside to inside", False),
    ],
    every=[
        Value("all numbers", 1),
        Value("every second number, the first included", 2),
        Value("every third number, the first included", 3),
    ],
)
def spiral(grid: list[list[int]], *, right: bool, inward: bool, every: int) -> list[int]:
    """`grid` is a rectangle of numbers, given as its rows from top to bottom. A spiral walk begins at the top
    left corner and goes {right}. Return {every} of the walk {inward}.
    """
    rows = [list(row) for row in grid] if right else [list(column) for column in zip(*grid)]
    walk: list[int] = []
    while rows:
        walk += rows.pop(0)
        rows = [list(column) for column in zip(*rows)][::-1]
    if not inward:
        walk.reverse()
    return walk[::every]


@family(
    level=2,
    inputs=lambda draw: (draw.grid(0, 5),),
    edges=[([[3]],), ([[1, 2]],), ([[1], [1]],), ([[0, 0], [0, 0]],)],
    diagonal=[
        Value("the cells directly above, below, left and right of it", False),
        Value("the up to eight cells around it, also diagonally", True),
    ],
    round_=[
        Value("There is nothing beyond the edges.", False),
        Value(
            "The grid goes round: beyond an edge the opposite edge follows (a cell may then be its own "
            "neighbour, or be one several times, and counts each time).",
            True,
        ),
    ],
    want=[
        Rule("the sum of its neighbours", "sum(x)"),
        Rule("how many of its neighbours are greater than it", "sum(1 for one in x if one > y)"),
        Rule("how many of its neighbours are equal to it", "x.count(y)"),
        Rule("the greatest among itself and its neighbours", "max([y, *x])"),
        Rule("how many of its neighbours are even", "sum(1 for one in x if one % 2 == 0)"),
    ],
)
def look_around(
    grid: list[list[int]], *, diagonal: bool, round_: bool, want: Callable[[list[int], int], int]
) -> list[list[int]]:
    """`grid` is a rectangle of numbers, given as its rows. The neighbours of a cell are {diagonal}. {round_}
    Return a new grid with, for each cell, {want}.
    """
    height, width = len(grid), len(grid[0])
    result = []
    for row in range(height):
        line = []
        for column in range(width):
            around = []
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    if (down, across) == (0, 0) or (not diagonal and down != 0 and across != 0):
                        continue
                    if round_:
                        around.append(grid[(row + down) % height][(column + across) % width])
                    elif 0 <= row + down < height and 0 <= column + across < width:
                        around.append(grid[row + down][column + across])
            line.append(want(around, grid[row][column]))
        result.append(line)
    return result


@family(
    level=1,
    inputs=lambda draw: (draw.grid(-5, 9),),
    edges=[([[0]],), ([[1, 2]],), ([[1], [2]],), ([[4, 4], [4, 4]],)],
    columns=[Value("row", False), Value("column", True)],
    fold=[
        Rule("the sum", "sum(x)"),
        Rule("the greatest", "max(x)"),
        Rule("the smallest", "min(x)"),
        Rule("the number of different values", "len(set(x))"),
        Rule("the number of negative ones", "sum(1 for one in x if one < 0)"),
    ],
    give=[
        Value("the list of these results", "list"),
        Value("the index of the first {columns} with the greatest result", "best"),
        Value("the index of the last {columns} with the smallest result", "worst"),
        Value("the difference between the greatest and the smallest result", "spread"),
    ],
)
def summarise_lines(
    grid: list[list[int]], *, columns: bool, fold: Callable[[list[int]], int], give: str
) -> list[int] | int:
    """`grid` is a rectangle of numbers, given as its rows. For each {columns} of it take {fold} of its
    numbers, and return {give}.
    """
    lines = [list(column) for column in zip(*grid)] if columns else grid
    results = [fold(line) for line in lines]
    if give == "list":
        return results
    if give == "best":
        return results.index(max(results))
    if give == "worst":
        return len(results) - 1 - results[::-1].index(min(results))
    return max(results) - min(results)


def _map(draw: Draw, signs: str = "##.", most: int = 5) -> list[str]:
    height, width = draw.integer(1, most), draw.integer(1, most)
    return [draw.text(signs, width, width) for _ in range(height)]


@family(
    level=3,
    inputs=lambda draw: (_map(draw, draw.pick(["##.", "#.", "#..."]), 6),),
    edges=[(["."],), (["#"],), (["#.", ".#"],), (["##", "##"],), (["#.#", "...", "#.#"],)],
    diagonal=[
        Value("side by side or one above the other", False),
        Value("side by side, one above the other, or diagonal to each other", True),
    ],
    sign=[Value("`#`", "#"), Value("`.`", ".")],
    want=[
        Value("how many regions there are", "count"),
        Value("the number of cells of the largest region (0 when there is none)", "largest"),
        Value("the sizes of all regions as a list in ascending order", "sizes"),
        Value("how many regions do not touch the edge of the map", "inner"),
    ],
    least=(1, 2),
)
def regions(rows: list[str], *, diagonal: bool, sign: str, want: str, least: int) -> int | list[int]:
    """`rows` are the lines of a map of `#` and `.`. A region is a largest possible set of cells with the sign
    {sign} that hang together: from each one can go to any other by steps between such cells that are
    {diagonal}. Only regions of at least {least} cell(s) count. Return {want}.
    """
    left = {(row, column) for row, line in enumerate(rows) for column, one in enumerate(line) if one == sign}
    sizes, inner = [], 0
    while left:
        waiting, region = [left.pop()], set()
        while waiting:
            row, column = waiting.pop()
            region.add((row, column))
            for down in (-1, 0, 1):
                for across in (-1, 0, 1):
                    near = (row + down, column + across)
                    if near in left and (diagonal or down == 0 or across == 0):
                        left.remove(near)
                        waiting.append(near)
        if len(region) >= least:
            sizes.append(len(region))
            if all(0 < row < len(rows) - 1 and 0 < column < len(rows[0]) - 1 for row, column in region):
                inner += 1
    if want == "count":
        return len(sizes)
    if want == "largest":
        return max(sizes, default=0)
    return sorted(sizes) if want == "sizes" else inner


@family(
    level=3,
    inputs=lambda draw: (_map(draw, "#..", 4),),
    edges=[(["."],), (["#"],), (["##", "##"],), (["...", "###", "..."],)],
    birth=[
        Value("exactly 3", (3,)),
        Value("exactly 2", (2,)),
        Value("3 or 6", (3, 6)),
        Value("1 or 3", (1, 3)),
    ],
    survive=[
        Value("2 or 3", (2, 3)),
        Value("1, 2 or 3", (1, 2, 3)),
        Value("at least 3", (3, 4, 5, 6, 7, 8)),
        Value("1 or 2", (1, 2)),
    ],
    steps=(1, 2, 3),
    count=[Value("the rows of the map", False), Value("how many cells are alive", True)],
)
def cells_after(
    rows: list[str], *, birth: tuple[int, ...], survive: tuple[int, ...], steps: int, count: bool
) -> list[str] | int:
    """`rows` are the lines of a map; `#` is a living cell, `.` a dead one, and beyond the edges all is dead
    for ever. In one step, all at once, a dead cell with {birth} living neighbours (of the up to eight
    around it) comes to life, and a living cell with {survive} living neighbours stays alive; all others
    are dead. Return {count} after {steps} step(s).
    """
    for _ in range(steps):
        after = []
        for row, line in enumerate(rows):
            new = ""
            for column, cell in enumerate(line):
                near = [other[max(0, column - 1) : column + 2] for other in rows[max(0, row - 1) : row + 2]]
                living = "".join(near).count("#") - (cell == "#")
                new += "#" if living in (survive if cell == "#" else birth) else "."
            after.append(new)
        rows = after
    return "".join(rows).count("#") if count else rows


@family(
    level=2,
    inputs=lambda draw: (draw.square(-9, 9),),
    edges=[([[4]],), ([[1, 2], [3, 4]],), ([[1, 2, 3], [4, 5, 6], [7, 8, 9]],)],
    main=[
        Value("the diagonal from top left to bottom right", 0),
        Value("the diagonal from top right to bottom left", 1),
        Value("both diagonals (a cell on both counts once)", 2),
    ],
    part=[Value("on {main}", "on"), Value("not on {main}", "off")],
    want=[
        Rule("the sum", "sum(x)"),
        Rule("the greatest, or 0 if there are none,", "max(x, default=0)"),
        Rule("how many there are that are negative", "sum(1 for one in x if one < 0)"),
        Rule("the sum of the absolute values", "sum(abs(one) for one in x)"),
    ],
)
def diagonal_value(grid: list[list[int]], *, main: int, part: str, want: Callable[[list[int]], int]) -> int:
    """`grid` is a square of numbers, given as its rows. Take the numbers that lie {part}, and return {want}
    of them.
    """
    taken = []
    for row, line in enumerate(grid):
        for column, value in enumerate(line):
            first, second = row == column, row + column == len(grid) - 1
            if main == 0:
                lies = first
            elif main == 1:
                lies = second
            else:
                lies = first or second
            if lies == (part == "on"):
                taken.append(value)
    return want(taken)


@family(
    level=3,
    inputs=lambda draw: (_map(draw, draw.pick(["#..", "#..."]), 6),),
    edges=[(["."],), (["#"],), ([".."],), ([".#", "#."],), (["...", "##.", "..."],)],
    moves=[
        Value("up, down, left or right to the next cell", ((0, 1), (1, 0), (0, -1), (-1, 0))),
        Value(
            "to any of the eight cells around it",
            ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1)),
        ),
        Value("right, down, or diagonally right and down, to the next cell", ((0, 1), (1, 0), (1, 1))),
        Value("left, right or down to the next cell", ((0, 1), (1, 0), (0, -1))),
    ],
    goal=[
        Value("the bottom right corner", "corner"),
        Value("any cell of the bottom row", "bottom"),
        Value("any cell of the rightmost column", "right"),
    ],
    missing=[Value("-1", -1), Value("0", 0), Value("the number of cells of the map", "size")],
)
def shortest_walk(rows: list[str], *, moves: tuple[tuple[int, int], ...], goal: str, missing: Any) -> int:
    """`rows` are the lines of a map; one may stand on `.` but not on `#`. A walk begins in the top left
    corner, and each step goes {moves}. Return the smallest number of steps of a walk to {goal} (0 if it
    begins there), or {missing} if there is no such walk.
    """
    height, width = len(rows), len(rows[0])
    distances = {(0, 0): 0} if rows[0][0] == "." else {}
    waiting = list(distances)
    for row, column in waiting:
        if goal == "corner":
            there = row == height - 1 and column == width - 1
        elif goal == "bottom":
            there = row == height - 1
        else:
            there = column == width - 1
        if there:
            return distances[row, column]
        for down, across in moves:
            near = (row + down, column + across)
            inside = 0 <= near[0] < height and 0 <= near[1] < width
            if inside and rows[near[0]][near[1]] == "." and near not in distances:
                distances[near] = distances[row, column] + 1
                waiting.append(near)
    return height * width if missing == "size" else missing
