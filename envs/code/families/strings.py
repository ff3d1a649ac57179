"""Tasks about texts: counting, coding, words."""

# ruff: noqa: D400, D401
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable

from palaestra.envs.code.draw import Draw
from palaestra.envs.code.family import Rule, Value, family

CHARACTERS = (
    Rule("vowels (a, e, i, o, u in either case)", "x in 'aeiouAEIOU'"),
    Rule("upper-case letters", "x.isupper()"),
    Rule("lower-case letters", "x.islower()"),
    Rule("digits", "x.isdigit()"),
    Rule("neither letters nor digits", "not x.isalnum()"),
)
_MIXED = "aAbeEiou019 -_xyzQ"


@family(
    level=1,
    inputs=lambda draw: (draw.text(_MIXED, 0, 16),),
    edges=[("",), ("a",), ("7A-",)],
    kind=CHARACTERS,
    start=[
        Value("at any place", 0),
        Value("at index 1 or later", 1),
        Value("at index 2 or later", 2),
        Value("at index 3 or later", 3),
    ],
    step=[
        Value("Look at every character from there on.", 1),
        Value("From there on, look at every second character only.", 2),
        Value("From there on, look at every third character only.", 3),
    ],
)
def count_characters(text: str, *, kind: Callable[[str], bool], start: int, step: int) -> int:
    """Return how many characters of `text` {start} are {kind}. {step}"""
    count = 0
    for index in range(start, len(text), step):
        if kind(text[index]):
            count += 1
    return count


@family(
    level=2,
    inputs=lambda draw: (draw.text("aab" if draw.chance(0.7) else "aAbB", 0, 14),),
    edges=[("",), ("z",), ("aabb",), ("aAaA",)],
    last=[Value("first", False), Value("last", True)],
    fold=[
        Value("Letters of different case are different characters.", False),
        Value(
            "Letters count as equal when they differ in case only; return the character in lower case.", True
        ),
    ],
    least=(1, 2, 3),
)
def longest_run(text: str, *, last: bool, fold: bool, least: int) -> tuple[str, int]:
    """Return the longest run of equal characters that stand side by side in `text`, as a pair: the
    character and the length of the run. Of several longest runs take the {last} one. {fold}

    Return `('', 0)` when no run is at least {least} long.
    """
    best, best_length = "", 0
    start = 0
    letters = text.lower() if fold else text
    while start < len(letters):
        end = start
        while end < len(letters) and letters[end] == letters[start]:
            end += 1
        longer = end - start >= best_length if last else end - start > best_length
        if longer and end - start >= least:
            best, best_length = letters[start], end - start
        start = end
    return best, best_length


@family(
    level=1,
    inputs=lambda draw: (draw.text("abcxyzABCXYZ mn5-", 0, 14),),
    edges=[("",), ("zZ",), ("aA",), ("1 2",)],
    shift=tuple(range(-12, 0)) + tuple(range(1, 13)),
    upper=[
        Value("Upper-case letters are shifted within the upper-case alphabet.", True),
        Value("Upper-case letters stay as they are.", False),
    ],
)
def shift_letters(text: str, *, shift: int, upper: bool) -> str:
    """Return `text` with every lower-case letter a to z replaced by the one {shift} places further in
    the alphabet (a negative number means backwards), going round at its ends. {upper} All other characters
    stay as they are.
    """
    result = []
    for character in text:
        if "a" <= character <= "z":
            result.append(chr((ord(character) - ord("a") + shift) % 26 + ord("a")))
        elif upper and "A" <= character <= "Z":
            result.append(chr((ord(character) - ord("A") + shift) % 26 + ord("A")))
        else:
            result.append(character)
    return "".join(result)


@family(
    level=2,
    inputs=lambda draw: (draw.text("aaab", 0, 14),),
    edges=[("",), ("a",), ("aaa",), ("abab",), ("a" * 12 + "b",)],
    least=[
        Value("Every run is written so, also one of a single character.", 1),
        Value("A single character is written without a number.", 2),
        Value("A run shorter than 3 is written out as it stands, without numbers.", 3),
        Value("A run shorter than 4 is written out as it stands, without numbers.", 4),
    ],
    number_first=[
        Value("its length followed by the character", True),
        Value("the character followed by its length", False),
    ],
    mark=[
        Value("Nothing stands between two runs.", ""),
        Value("Runs are separated by a comma.", ","),
        Value("Runs are separated by a single space.", " "),
    ],
)
def encode_runs(text: str, *, least: int, number_first: bool, mark: str) -> str:
    """Return the run-length code of `text`: each longest stretch of equal characters is replaced by
    {number_first}. {least} {mark}
    """
    runs = []
    start = 0
    while start < len(text):
        end = start
        while end < len(text) and text[end] == text[start]:
            end += 1
        length = end - start
        if length < least:
            runs.append(text[start] * length)
        elif number_first:
            runs.append(str(length) + text[start])
        else:
            runs.append(text[start] + str(length))
        start = end
    return mark.join(runs)


def _nearly_palindrome(draw: Draw) -> tuple[str]:
    half = draw.text("abA-1", 0, 5)
    whole = list(half + draw.pick(["", "x"]) + half[::-1])
    for _ in range(draw.integer(0, 3)):
        if whole:
            whole[draw.integer(0, len(whole) - 1)] = draw.pick("abAB- ")
    return ("".join(whole),)


@family(
    level=2,
    inputs=_nearly_palindrome,
    edges=[("",), ("a",), ("ab",), ("Aa",), ("a-",), ("abcd",)],
    fold=[Value("Case matters.", False), Value("Case does not matter.", True)],
    letters_only=[
        Value("Every character counts.", False),
        Value("Characters that are neither letters nor digits are ignored.", True),
    ],
    slack=(0, 1, 2),
)
def is_near_palindrome(text: str, *, fold: bool, letters_only: bool, slack: int) -> bool:
    """Return whether `text` reads the same forwards and backwards, except for at most {slack}
    mismatching pairs of characters (a pair: the first and the last character, the second and the last but
    one, and so on). {fold} {letters_only}
    """
    kept = [character for character in text if character.isalnum()] if letters_only else list(text)
    if fold:
        kept = [character.lower() for character in kept]
    mismatches = 0
    for index in range(len(kept) // 2):
        if kept[index] != kept[len(kept) - 1 - index]:
            mismatches += 1
    return mismatches <= slack


@family(
    level=1,
    inputs=lambda draw: (draw.text("abcdAB ", 0, 12),),
    edges=[("",), ("aa",), ("aab",), ("aA",)],
    times=(1, 2, 3),
    fold=[
        Value("Upper and lower case are different.", False),
        Value("Upper and lower case count as the same letter.", True),
    ],
    last=[Value("first", False), Value("last", True)],
)
def index_of_rare(text: str, *, times: int, fold: bool, last: bool) -> int:
    """Return the index of the {last} character of `text` that occurs exactly {times} time(s) in the
    whole text, or -1 when there is none. {fold}
    """
    letters = text.lower() if fold else text
    found = -1
    for index in range(len(letters)):
        if letters.count(letters[index]) == times:
            if not last:
                return index
            found = index
    return found


@family(
    level=1,
    inputs=lambda draw: (draw.sentence(0, 8),),
    edges=[("",), ("one",), ("one two",), ("ONE tWO",)],
    every=(1, 2, 3, 4),
    change=[
        Rule("in upper case", "x.upper()"),
        Rule("backwards", "x[::-1]"),
        Rule("without its first character", "x[1:]"),
        Rule("twice, without a space between", "x + x"),
        Rule("between square brackets", "'[' + x + ']'"),
        Rule(
            "with its first and last character exchanged (a word of one character stays)",
            "x[-1] + x[1:-1] + x[0] if len(x) > 1 else x",
        ),
    ],
    skip=[Value("Counting starts with the first word.", 0), Value("The first word does not count.", 1)],
)
def change_words(sentence: str, *, every: int, change: Callable[[str], str], skip: int) -> str:
    """The words of `sentence` are separated by single spaces. Return the sentence with one word in every
    {every} written {change}: of those that count, the first, then the one {every} further on, and so on.
    All other words stay. {skip}
    """
    words = sentence.split(" ")
    for index in range(skip, len(words), every):
        if words[index]:
            words[index] = change(words[index])
    return " ".join(words)


@family(
    level=3,
    inputs=lambda draw: (draw.sentence(0, 9), draw.integer(3, 14)),
    edges=[("", 5), ("abcdefghij", 3), ("ab cd", 5), ("ab cd", 4), ("a b c d", 1)],
    long_words=[
        Value("A word longer than `width` gets a line of its own.", 0),
        Value("A word longer than `width` is left out.", 1),
        Value("A word longer than `width` is cut to its first `width` characters.", 2),
    ],
    align=[
        Value("Lines carry no padding.", "none"),
        Value("Each line shorter than `width` is padded with spaces on its left.", "right"),
        Value("Each line shorter than `width` is padded with full stops on its right.", "dots"),
    ],
)
def wrap_words(text: str, width: int, *, long_words: int, align: str) -> list[str]:
    """Break `text` (words separated by spaces) into lines of at most `width` characters and return the
    list of lines. Fill each line with as many words as fit, with single spaces between them. {long_words}
    {align} A text without words gives no lines.
    """
    lines: list[str] = []
    current = ""
    for word in text.split():
        if len(word) > width:
            if long_words == 1:
                continue
            if long_words == 2:
                word = word[:width]
        if not current:
            current = word
        elif len(current) + 1 + len(word) <= width:
            current += " " + word
        else:
            lines.append(current)
            current = word
    if current:
        lines.append(current)
    if align == "right":
        lines = [" " * (width - len(line)) + line for line in lines]
    if align == "dots":
        lines = [line + "." * (width - len(line)) for line in lines]
    return lines


@family(
    level=2,
    inputs=lambda draw: (" ".join(draw.words(0, 9)),),
    edges=[("",), ("b a",), ("aa a aa a",), ("a",)],
    least=(1, 3, 4, 5),
    rarest=[Value("most often", False), Value("least often", True)],
    backwards=[Value("first", False), Value("last", True)],
)
def usual_word(text: str, *, least: int, rarest: bool, backwards: bool) -> str:
    """The words of `text` are separated by spaces. Of those with at least {least} characters, return the
    one that occurs {rarest}; of several such words, the one that comes {backwards} in alphabetical order.
    Return the empty string when there is no such word.
    """
    counts: dict[str, int] = {}
    for word in text.split():
        if len(word) >= least:
            counts[word] = counts.get(word, 0) + 1
    if not counts:
        return ""
    wanted = min(counts.values()) if rarest else max(counts.values())
    candidates = sorted(word for word, count in counts.items() if count == wanted)
    return candidates[-1] if backwards else candidates[0]


@family(
    level=1,
    inputs=lambda draw: (draw.text("abcde", 0, 8), draw.text("VWXYZ", 0, 8)),
    edges=[("", ""), ("abc", ""), ("", "XY"), ("a", "XYZ")],
    first=(1, 2, 3),
    second=(1, 2, 3),
    rest=[
        Value("When one of them is used up, append what is left of the other.", True),
        Value("Stop as soon as one of them is used up before its turn.", False),
    ],
)
def interleave(left: str, right: str, *, first: int, second: int, rest: bool) -> str:
    """Return a text made by taking turns: {first} character(s) of `left`, {second} of `right`, and so on,
    beginning with `left`. A turn takes fewer characters where fewer are left. {rest}
    """
    result = ""
    while left and right:
        result += left[:first] + right[:second]
        left, right = left[first:], right[second:]
    if rest:
        return result + left + right
    return result + left[:first]


@family(
    level=2,
    inputs=lambda draw: (draw.text(_MIXED, 0, 14),),
    edges=[("",), ("ab",), ("a1",), ("A-e",)],
    kind=CHARACTERS,
    move=[
        Rule("in reverse order", "x[::-1]"),
        Rule("in ascending order of their code points", "sorted(x)"),
        Rule("in descending order of their code points", "sorted(x, reverse=True)"),
        Rule("moved on by one place (the last one comes to the first of these places)", "x[-1:] + x[:-1]"),
    ],
)
def rearrange_some(text: str, *, kind: Callable[[str], bool], move: Callable[[list[str]], list[str]]) -> str:
    """Look at the characters of `text` that are {kind}. Return the text with these characters put {move}
    into the places where such characters stood; all others stay where they are.
    """
    chosen = [character for character in text if kind(character)]
    moved = list(move(chosen))
    result = []
    for character in text:
        if kind(character):
            result.append(moved.pop(0))
        else:
            result.append(character)
    return "".join(result)


@family(
    level=2,
    inputs=lambda draw: (
        draw.some(["tea", "eat", "ate", "tan", "nat", "at", "ta", "a", "Tea", "bat"], 0, 8),
    ),
    edges=[([],), (["a"],), (["ab", "ba", "ab"],)],
    fold=[Value("Case matters.", False), Value("Case does not matter.", True)],
    least=(1, 2, 3),
    distinct=[
        Value("A word that occurs several times is listed as often.", False),
        Value("A word that occurs several times is listed once.", True),
    ],
)
def group_anagrams(words: list[str], *, fold: bool, least: int, distinct: bool) -> list[list[str]]:
    """Group the words that consist of the same letters, and return the groups with at least {least}
    word(s), in the order in which the first word of each occurs; within a group keep the order of the words.
    {fold} {distinct}
    """
    groups: dict[str, list[str]] = {}
    for word in words:
        key = "".join(sorted(word.lower() if fold else word))
        group = groups.setdefault(key, [])
        if not distinct or word not in group:
            group.append(word)
    return [group for group in groups.values() if len(group) >= least]


@family(
    level=1,
    inputs=lambda draw: (
        (
            lambda stem: [
                draw.word(1) * draw.integer(0, 1) + stem + draw.word(1) for _ in range(draw.integer(1, 4))
            ]
        )(draw.word())
        if draw.chance(0.5)
        else [
            draw.pick(["pre", "prefer", "preen", "peel"]) + draw.pick(["s", "ing", "sing"])
            for _ in range(draw.integer(1, 4))
        ],
    ),
    edges=[([],), (["abc"],), (["ab", ""],), (["abc", "abd", "ab"],), (["cab", "dab", "ab"],)],
    suffix=[Value("beginning", False), Value("end", True)],
    longest=[
        Value("Return at most 2 characters of it", 2),
        Value("Return at most 3 characters of it", 3),
        Value("Return at most 4 characters of it", 4),
        Value("Return all of it", 99),
    ],
)
def common_affix(words: list[str], *, suffix: bool, longest: int) -> str:
    """Return the longest text that stands at the {suffix} of every one of `words`. {longest}; if it has
    more, those nearest to that {suffix} of the words. An empty list gives the empty string.
    """
    if not words:
        return ""
    count = 0
    while count < longest:
        ends = {(word[::-1] if suffix else word)[count : count + 1] for word in words}
        if len(ends) != 1 or "" in ends:
            break
        count += 1
    return words[0][len(words[0]) - count :] if suffix else words[0][:count]
