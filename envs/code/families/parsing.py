"""Tasks about texts that mean something: ranges, expressions, options, versions, tables."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Value, family


def _ranges(draw: Draw) -> tuple[str]:
    mark = draw.chosen["mark"]
    parts = []
    for _ in range(draw.integer(0, 5)):
        start = draw.integer(0, 20)
        parts.append(str(start) if draw.chance(0.5) else f"{start}{draw.chosen['to']}{draw.integer(0, 24)}")
    return (mark.join(parts),)


@family(
    level=2,
    inputs=_ranges,
    edges=[("",), ("5",)],
    mark=[Value("commas", ","), Value("semicolons", ";"), Value("single spaces", " ")],
    to=[Value("a-b", "-"), Value("a..b", ".."), Value("a:b", ":")],
    upto=[
        Value("a, b and the numbers between them", True),
        Value("a and the numbers after it that are less than b", False),
    ],
    give=[
        Value("as a list in ascending order without repetitions", "set"),
        Value("as a list, in the order in which they are written, with repetitions", "list"),
        Value("as their sum, where repetitions count", "sum"),
    ],
)
def read_ranges(text: str, *, mark: str, to: str, upto: bool, give: str) -> list[int] | int:
    """`text` holds numbers and ranges, separated by {mark}; it may be empty. A range is written {to} and
    means {upto}; a range whose a is greater than its b holds nothing. Return the numbers {give}.
    """
    numbers: list[int] = []
    for piece in text.split(mark):
        if to in piece:
            first, last = piece.split(to)
            numbers += range(int(first), int(last) + 1 if upto else int(last))
        elif piece:
            numbers.append(int(piece))
    if give == "set":
        return sorted(set(numbers))
    return numbers if give == "list" else sum(numbers)


def _postfix(draw: Draw) -> tuple[str]:
    signs = ["+", "-", "*"]
    tokens: list[str] = []
    depth = 0
    for _ in range(draw.integer(1, 9)):
        if depth >= 2 and draw.chance(0.5):
            tokens.append(draw.pick(signs))
            depth -= 1
        else:
            tokens.append(str(draw.integer(0, 9)))
            depth += 1
    if draw.chance(0.7):
        tokens += [draw.pick(signs) for _ in range(depth - 1)]
    if draw.chance(0.15):
        tokens.append(draw.pick([*signs, "?"]))
    return (" ".join(tokens),)


@family(
    level=3,
    inputs=_postfix,
    edges=[("",), ("7",), ("1 2 +",), ("5 3 -",), ("+",), ("2 3 4 * +",)],
    swapped=[Value("`5 3 -` means 5 - 3", False), Value("`5 3 -` means 3 - 5", True)],
    star=[
        Value("multiplies", "times"),
        Value("takes the greater of the two", "max"),
        Value("puts their sum in twice, as two values", "twice"),
    ],
    wrong=[Value("None", None), Value("-999", -999)],
    rest=[
        Value("If more than one value is left at the end, the text is wrong.", False),
        Value("If more than one value is left at the end, the last one put in is the result.", True),
    ],
)
def postfix(text: str, *, swapped: bool, star: str, wrong: int | None, rest: bool) -> int | None:
    """Evaluate `text`: tokens separated by spaces. A number (digits only) is put onto a stack; `+`, `-` and
    `*` take the two topmost values off it and put their result on it. {swapped}; `*` {star}. {rest} Return
    the result, or {wrong} when the text is wrong: when values are missing, when nothing is left, or at an
    unknown token.
    """
    stack: list[int] = []
    for token in text.split():
        if token.isdigit():
            stack.append(int(token))
            continue
        if len(stack) < 2 or token not in "+-*":
            return wrong
        right, left = stack.pop(), stack.pop()
        if token == "+":
            stack.append(left + right)
        elif token == "-":
            stack.append(right - left if swapped else left - right)
        elif star == "times":
            stack.append(left * right)
        elif star == "max":
            stack.append(max(left, right))
        else:
            stack += [left + right, left + right]
    if not stack or (len(stack) > 1 and not rest):
        return wrong
    return stack[-1]


def _infix(draw: Draw) -> tuple[str]:
    text = str(draw.integer(0, 12))
    for _ in range(draw.integer(0, 5)):
        sign = draw.pick("+-*")
        text += f" {sign} {draw.integer(0, 12)}" if draw.chance(0.4) else f"{sign}{draw.integer(0, 12)}"
    return (text,)


@family(
    level=3,
    inputs=_infix,
    edges=[("0",), ("2+3*4",), ("2*3+4",), ("9-4-3",), ("10 - 2 * 3 - 1",), ("2*3*4",)],
    order=[
        Value("`*` binds more tightly than `+` and `-`, as usual", "usual"),
        Value("`+` and `-` bind more tightly than `*`: 2*3+4 is 14", "reverse"),
        Value("all three bind alike and are applied from left to right", "left"),
        Value("all three bind alike and are applied from right to left: 9-4-3 is 9-(4-3)", "right"),
    ],
    minus=[Value("`-` subtracts", 0), Value("`-` gives the absolute value of the difference", 1)],
    modulus=[
        Value("", 0),
        Value("The result is taken modulo 10 (a number from 0 to 9).", 10),
        Value("The result is taken modulo 7 (a number from 0 to 6).", 7),
    ],
)
def calculate(text: str, *, order: str, minus: int, modulus: int) -> int:
    """Evaluate `text`, which has whole numbers with `+`, `-` and `*` between them and perhaps spaces; there
    are no parentheses and no signs. Here {order}; operators that bind alike are applied from left to right
    unless said otherwise. {minus}. {modulus}
    """
    tokens: list[str] = []
    for character in text.replace(" ", ""):
        if character.isdigit() and tokens and tokens[-1].isdigit():
            tokens[-1] += character
        else:
            tokens.append(character)
    values, signs = [int(token) for token in tokens[::2]], tokens[1::2]
    if order == "usual":
        rounds = ["*", "+-"]
    elif order == "reverse":
        rounds = ["+-", "*"]
    else:
        rounds = ["+-*"]
    for group in rounds:
        place = len(signs) - 1 if order == "right" else 0
        while 0 <= place < len(signs):
            if signs[place] in group:
                left, right = values[place], values[place + 1]
                if signs[place] == "*":
                    result = left * right
                elif signs[place] == "+":
                    result = left + right
                else:
                    result = abs(left - right) if minus else left - right
                values[place : place + 2] = [result]
                del signs[place]
                if order == "right":
                    place -= 1
            else:
                place += 1
    return values[0] % modulus if modulus else values[0]


def _options(draw: Draw) -> tuple[str]:
    between, equals = draw.chosen["between"], draw.chosen["equals"]
    parts = []
    for _ in range(draw.integer(0, 5)):
        name = draw.pick(["red", "blue", "size", "x", " x", ""])
        parts.append(
            name if draw.chance(0.25) else f"{name}{equals}{draw.pick(['1', '20', ' a', '', 'b c'])}"
        )
    return (between.join(parts),)


@family(
    level=2,
    inputs=_options,
    edges=[("",), ("x",)],
    between=[Value("semicolons", ";"), Value("commas", ","), Value("`&`", "&")],
    equals=[Value("an equals sign", "="), Value("a colon", ":")],
    again=[
        Value("the last value counts", "last"),
        Value("the first value counts", "first"),
        Value("the values are joined by `+`, in their order", "join"),
    ],
    bare=[Value("gets the value 'yes'", "yes"), Value("is left out", "")],
)
def read_options(text: str, *, between: str, equals: str, again: str, bare: str) -> dict[str, str]:
    """`text` holds options separated by {between}. An option is a name and a value with {equals} between
    them; spaces around a name or a value do not belong to it. An option with an empty name is left out. A
    name without {equals} {bare}. When a name occurs several times, {again}. Return a dictionary from names
    to values.
    """
    options: dict[str, str] = {}
    for piece in text.split(between):
        name, sign, value = piece.partition(equals)
        name, value = name.strip(), value.strip()
        if not sign:
            value = bare
        if not name or (not sign and not bare):
            continue
        if name not in options or again == "last":
            options[name] = value
        elif again == "join":
            options[name] += "+" + value
    return options


def _brackets(draw: Draw) -> tuple[str]:
    text = ""
    open_: list[str] = []
    for _ in range(draw.integer(0, 10)):
        if open_ and draw.chance(0.5):
            text += {"(": ")", "[": "]", "{": "}"}[open_.pop()]
        elif draw.chance(0.8):
            open_.append(draw.pick("([{"))
            text += open_[-1]
        else:
            text += draw.pick("ab)")
    if draw.chance(0.7):
        while open_:
            text += {"(": ")", "[": "]", "{": "}"}[open_.pop()]
    return (text,)


@family(
    level=2,
    inputs=_brackets,
    edges=[("",), ("()",), ("(",), (")",), ("([)]",), ("{[()]}",), ("a(b)c",)],
    kinds=[
        Value("( )", "()"),
        Value("( ) and [ ]", "()[]"),
        Value("( ), [ ] and { }", "()[]{}"),
        Value("[ ] and { }", "[]{}"),
    ],
    want=[
        Value(
            "the greatest depth of nesting (0 without brackets), or -1 when the brackets do not match",
            "depth",
        ),
        Value(
            "the index of the first bracket that closes wrongly; if there is none but some are never "
            "closed, the "
            "length of `text`; and -1 when all match",
            "place",
        ),
        Value("the number of matched pairs, or -1 when the brackets do not match", "pairs"),
    ],
    most=[
        Value("", 99),
        Value("Brackets nested more than 2 deep count as not matching: the third open one is wrong.", 2),
    ],
)
def check_brackets(text: str, *, kinds: str, want: str, most: int) -> int:
    """The brackets of `text` match when every closing one closes the opening one of its kind that was opened
    last and is still open, and none stays open. Only {kinds} count as brackets. {most} Return {want}. (A
    bracket that opens too deep counts as one that closes wrongly.)
    """
    opened: list[str] = []
    deepest = pairs = 0
    for index, character in enumerate(text):
        if character not in kinds:
            continue
        place = kinds.index(character)
        if place % 2 == 0:
            opened.append(character)
            deepest = max(deepest, len(opened))
            wrong = len(opened) > most
        else:
            wrong = not opened or opened.pop() != kinds[place - 1]
            pairs += 1
        if wrong:
            return index if want == "place" else -1
    if opened:
        return len(text) if want == "place" else -1
    if want == "depth":
        return deepest
    return pairs if want == "pairs" else -1


def _duration(draw: Draw) -> tuple[str]:
    text = ""
    for unit in "dhms":
        if draw.chance(0.5):
            text += f"{draw.integer(0, 70)}{unit}" + (" " if draw.chance(0.2) else "")
    if draw.chance(0.25):
        text += draw.pick(["5", "x", "h", "3m", "2w"])
    return (text.strip(),)


@family(
    level=2,
    inputs=_duration,
    edges=[("",), ("1h30m",), ("90s",), ("m",), ("5",), ("2d",), ("1h 1m 1s",)],
    day=[Value("24 hours", 24), Value("8 hours (a working day)", 8), Value("10 hours (a working day)", 10)],
    bare=[
        Value("A number at the end without a unit makes the text wrong.", 0),
        Value("A number at the end without a unit counts as seconds.", 1),
        Value("A number at the end without a unit counts as minutes.", 60),
    ],
    again=[
        Value("The same unit may occur several times.", True),
        Value("A unit that occurs twice makes the text wrong.", False),
    ],
    wrong=(-1, 0),
)
def read_duration(text: str, *, day: int, bare: int, again: bool, wrong: int) -> int:
    """`text` is a duration such as `1h30m`: numbers, each followed by a unit, in any order and perhaps with
    spaces; s is a second, m a minute, h an hour, and d a day of {day}. {bare} {again} Return the number of
    seconds (0 for an empty text), or {wrong} when the text is wrong: also when a unit is unknown or has no
    number before it.
    """
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 3600 * day}
    total, number, seen = 0, "", ""
    for character in text.replace(" ", ""):
        if character.isdigit():
            number += character
            continue
        if character not in seconds or not number or (not again and character in seen):
            return wrong
        total += int(number) * seconds[character]
        number, seen = "", seen + character
    if number:
        return total + int(number) * bare if bare else wrong
    return total


@family(
    level=2,
    inputs=lambda draw: (
        "".join(
            draw.pick(["get", "Set", "URL", "Name", "x", "9", "_", "-", "parse", "To", "Id"])
            for _ in range(draw.integer(0, 6))
        ),
    ),
    edges=[("",), ("a",), ("A",), ("getName",), ("get_name",), ("HTTPServer",), ("__",), ("a1B2",)],
    form=[
        Value("in lower case, joined by underscores", "snake"),
        Value("in lower case, joined by hyphens", "kebab"),
        Value("in upper case, joined by underscores", "upper"),
        Value(
            "each with a capital first letter and the rest in lower case, joined without anything", "pascal"
        ),
        Value(
            "the first in lower case, all others with a capital first letter and the rest in lower "
            "case, joined "
            "without anything",
            "camel",
        ),
    ],
    capitals=[
        Value("every capital letter", True),
        Value("a capital letter that follows a letter or digit which is no capital", False),
    ],
    digits=[Value("", False), Value("A new word also begins at a digit that follows a letter.", True)],
)
def rename(name: str, *, form: str, capitals: bool, digits: bool) -> str:
    """Split `name` into words: words are separated by underscores and hyphens (any number of them), and a new
    word begins at {capitals}. {digits} Return the words {form}.
    """
    words: list[str] = []
    before = "_"
    for character in name:
        if character in "_-":
            before = "_"
            continue
        begins = before == "_" or (character.isupper() and (capitals or not before.isupper()))
        if digits and character.isdigit() and before.isalpha():
            begins = True
        if begins:
            words.append(character.lower())
        else:
            words[-1] += character.lower()
        before = character
    if form == "snake":
        return "_".join(words)
    if form == "kebab":
        return "-".join(words)
    if form == "upper":
        return "_".join(words).upper()
    capitalised = [word[0].upper() + word[1:] for word in words]
    if form == "camel" and words:
        capitalised[0] = words[0]
    return "".join(capitalised)


def _row(draw: Draw) -> tuple[str]:
    mark, quote = draw.chosen["mark"], draw.chosen["quote"]
    fields = []
    for _ in range(draw.integer(0, 4)):
        plain = draw.text("ab 1", 0, 4)
        if draw.chance(0.4):
            plain = quote + draw.text(f"ab{mark}", 0, 4) + (quote * 2 if draw.chance(0.3) else "") + quote
        fields.append(plain)
    return (mark.join(fields),)


@family(
    level=3,
    inputs=_row,
    edges=[("",), ("a",), ("a b",)],
    mark=[Value("commas", ","), Value("semicolons", ";"), Value("vertical bars (`|`)", "|")],
    quote=[Value('double quotes (`"`)', '"'), Value("single quotes (`'`)", "'")],
    trim=[
        Value("Spaces belong to the field.", False),
        Value("Spaces at both ends of a field that is not quoted do not belong to it.", True),
    ],
    empty=[Value("", True), Value("Empty fields are left out, also quoted ones.", False)],
)
def read_row(line: str, *, mark: str, quote: str, trim: bool, empty: bool) -> list[str]:
    """Return the fields of `line`, which are separated by {mark}. A field that begins with a quote is quoted:
    it ends at the next single quote mark, {mark} in it do not separate, and two quote marks in a row stand
    for one. Quote marks are {quote}. {trim} {empty} An empty line has one empty field.
    """
    fields: list[str] = []
    index = 0
    while index <= len(line):
        field = ""
        if line[index : index + 1] == quote:
            index += 1
            while index < len(line):
                if line[index] == quote:
                    if line[index + 1 : index + 2] != quote:
                        break
                    index += 1
                field += line[index]
                index += 1
            index += 1
        else:
            while index < len(line) and line[index] != mark:
                field += line[index]
                index += 1
            if trim:
                field = field.strip(" ")
        if empty or field:
            fields.append(field)
        index += 1
    return fields


@family(
    level=2,
    inputs=lambda draw: (
        lambda parts: (
            ".".join(map(str, parts)),
            ".".join(map(str, parts[: draw.integer(1, len(parts))] + draw.integers(0, 12, 0, 2))),
        )
    )(draw.integers(0, 12, 1, 4)),
    edges=[("1", "1"), ("1.0", "1"), ("1.2", "1.10"), ("2", "1.9.9"), ("1.0.1", "1"), ("0.9", "0.9.0.0")],
    short=[
        Value("Missing parts count as 0, so that 1 equals 1.0.", True),
        Value(
            "When one is the beginning of the other, the longer one is newer, so that 1.0 is newer than 1.",
            False,
        ),
    ],
    depth=[
        Value("", 99),
        Value("Only the first three parts count.", 3),
        Value("Only the first two parts count.", 2),
    ],
    give=[
        Value("1 if `left` is newer, -1 if `right` is newer, and 0 if they are equal", "sign"),
        Value("the newer one, or `left` if they are equal", "newer"),
        Value("the number of the first part (from 1) in which they differ, or 0 if they are equal", "place"),
    ],
)
def compare_versions(left: str, right: str, *, short: bool, depth: int, give: str) -> int | str:
    """Compare two version numbers, such as `1.10.2`, part by part as whole numbers. {short} {depth} Return
    {give}.
    """
    first = [int(part) for part in left.split(".")][:depth]
    second = [int(part) for part in right.split(".")][:depth]
    if short:
        length = max(len(first), len(second))
        first += [0] * (length - len(first))
        second += [0] * (length - len(second))
    if give == "sign":
        return (first > second) - (first < second)
    if give == "newer":
        return right if second > first else left
    if first == second:
        return 0
    place = 0
    while place < min(len(first), len(second)) and first[place] == second[place]:
        place += 1
    return place + 1


def _template(draw: Draw) -> tuple[str, dict[str, str]]:
    left, right = draw.chosen["marks"]
    parts = [
        "hi ",
        f"{left}a{right}",
        f"{left}b{right}",
        f"{left}c|z{right}",
        left,
        right,
        f"{left}{right}",
        "! ",
    ]
    values = {name: draw.word(1) for name in draw.distinct(["a", "b", "c"], 0, 3)}
    return "".join(draw.some(parts, 0, 6)), values


@family(
    level=3,
    inputs=_template,
    edges=[("", {}), ("abc", {"abc": "x"})],
    marks=[
        Value("`<` and `>`", ("<", ">")),
        Value("`[` and `]`", ("[", "]")),
        Value("`(` and `)`", ("(", ")")),
    ],
    missing=[
        Value("stays in the text as it is, with its marks", "stay"),
        Value("is replaced by nothing", "empty"),
        Value("is replaced by `?`", "?"),
    ],
    default=[
        Value("", False),
        Value(
            "A field may have a default after a vertical bar, as in a|z: z is used when a is not known.", True
        ),
    ],
    upper=[Value("", False), Value("Values from the dictionary are put in upper case.", True)],
)
def fill_template(
    template: str, values: dict[str, str], *, marks: tuple[str, str], missing: str, default: bool, upper: bool
) -> str:
    """A field is a name between the marks {marks}: it begins at an opening mark and ends at the next closing
    mark after it. Return `template` with every field replaced by the value of its name in `values`. An
    unknown name {missing}. {default} {upper} Marks that form no field stay.
    """
    result = ""
    index = 0
    while index < len(template):
        end = template.find(marks[1], index)
        if template[index] != marks[0] or end < 0:
            result += template[index]
            index += 1
            continue
        name = template[index + 1 : end]
        fallback = ""
        has_fallback = default and "|" in name
        if has_fallback:
            name, fallback = name.split("|", 1)
        if name in values:
            result += values[name].upper() if upper else values[name]
        elif has_fallback:
            result += fallback
        elif missing == "stay":
            result += template[index : end + 1]
        elif missing != "empty":
            result += missing
        index = end + 1
    return result
