"""Final answers: where they stand in a text, and which of them can be compared at a glance.

Nothing here evaluates anything: a text is cut, tidied, and read as a plain number. What that cannot decide
goes to the checker, in a process of its own. Every search is linear in the text, which may be hostile.
"""

from __future__ import annotations

import re
from fractions import Fraction

_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_LINE = re.compile(r"^[^\w\n]*(?:(?:the )?final )?answer[^\w\n:]*:(.+)$", re.MULTILINE | re.IGNORECASE)
# The ending of GSM8K's own solutions; with anything but a number it is a heading.
_HASHES = re.compile(r"^####[ \t]*(-?\$?[\d.,/]+)[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"```(?:python|py)[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)

_SPACING = re.compile(
    r"(?<!\\)\\[!,;: ]|(?<!\\)\\(?:q?quad|left|right|displaystyle|limits)(?![A-Za-z])|\\?\$|\\[()]|~"
)
_WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit|mathbf|operatorname)\s*\{([^{}]*)\}")
_FRACTION = re.compile(r"\\[dt]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d)\s*(\d)")
_BRACED_FRACTION = re.compile(r"([-+]?)\\frac\{([^{}]+)\}\{([^{}]+)\}")
_NAMED = re.compile(r"([A-Za-z](?:_\{?\w+\}?)?(?:\([A-Za-z]\))?)=([^=]+)")
_BASED = re.compile(r"(\w+?)(?:_\{?(\d+)\}?)?")
_WORD = re.compile(r"\(?([A-Za-z]+)\)?")
_DECIMAL = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)")
_LONGEST_NUMBER = 300


def extract(text: str) -> str | None:
    r"""Return the final answer in ``text``: the content of the complete marker that begins last, or None.

    Markers are ``\boxed{...}`` (and ``\fbox``), ``<answer>...</answer>``, a line ``Answer: ...`` and GSM8K's
    ``#### number``. Of many answers only the last counts, so naming them all does not help.
    """
    found = [*_boxes(text), *_tags(text)]
    found += [(match.start(), match.group(1)) for kind in (_LINE, _HASHES) for match in kind.finditer(text)]
    if not found:
        return None
    return max(found)[1].strip().strip("*").strip() or None


def _boxes(text: str) -> list[tuple[int, str]]:
    boxes: list[tuple[int, str]] = []
    open_braces: list[re.Match[str]] = []
    for match in _BRACES.finditer(text):
        token = match.group()
        if token == "}":
            opening = open_braces.pop() if open_braces else None
            if opening is not None and opening.group() != "{":
                boxes.append((opening.start(), text[opening.end() : match.start()]))
        elif token.endswith("{") and token != "\\{":
            open_braces.append(match)
    return boxes


def _tags(text: str) -> list[tuple[int, str]]:
    lower = text.lower()
    end = lower.rfind("</answer>")
    start = lower.rfind("<answer>", 0, max(end, 0))
    return [(start, text[start + len("<answer>") : end])] if start >= 0 else []


def code(text: str) -> str | None:
    """Return the ```python blocks of ``text`` as one program, or None where there are none."""
    blocks = _FENCE.findall(text)
    return "\n".join(blocks) if blocks else None


def normal(text: str) -> str:
    r"""Return the form in which two writings of one text are equal, without what only sets it."""
    text = _SPACING.sub("", text).replace("−", "-")
    text = _FRACTION.sub(r"\\frac", text)
    text = _SHORT_FRACTION.sub(r"\\frac{\1}{\2}", text)
    text = text.replace("^{\\circ}", "°").replace("^\\circ", "°").replace("\\%", "%")
    text = _WRAPPED.sub(r"\1", text)
    return re.sub(r"\s+", "", text).removesuffix(".")


def number(text: str) -> Fraction | None:
    r"""Read a plain number exactly: ``-1,234.5``, ``3/4``, ``\frac{3}{4}``, ``90°``; None for all else."""
    text = normal(text).removesuffix("°")
    if len(text) > _LONGEST_NUMBER:
        return None
    if match := _BRACED_FRACTION.fullmatch(text):
        sign, over, under = match.groups()
    elif text.count("/") == 1:
        sign, (over, under) = "", text.split("/")
    else:
        sign, over, under = "", text, "1"
    if not (_DECIMAL.fullmatch(over) and _DECIMAL.fullmatch(under)):
        return None
    divisor = Fraction(under.replace(",", ""))
    if not divisor:
        return None
    value = Fraction(over.replace(",", "")) / divisor
    return -value if sign == "-" else value


def compare(gold: str, answer: str) -> bool | None:
    """Say whether an answer equals the gold one where a glance tells; None where it does not.

    Numbers are compared exactly, so that 0.333333 is not 1/3. Words are compared as words: an algebra
    system takes them for products of letters, in any order.
    """
    left, right = _unnamed(normal(gold), normal(answer))
    if left == right:
        return True
    if (equal := _compare_numbers(left, right)) is not None:
        return equal
    if based := _compare_bases(left, right):
        return based == "equal"
    word = _WORD.fullmatch(left)
    if word and (len(word.group(1)) > 3 or "\\text" in gold):
        other = _WORD.fullmatch(right)
        return other is not None and other.group(1).casefold() == word.group(1).casefold()
    return None


def _unnamed(left: str, right: str) -> tuple[str, str]:
    """Take the name off ``x = 5``, unless the two have different ones."""
    one, other = _NAMED.fullmatch(left), _NAMED.fullmatch(right)
    if one and other and one.group(1) != other.group(1):
        return left, right
    return one.group(2) if one else left, other.group(2) if other else right


def _compare_numbers(left: str, right: str) -> bool | None:
    one, other = number(left.removesuffix("%")), number(right.removesuffix("%"))
    if one is None or other is None:
        return None
    if left.endswith("%") == right.endswith("%"):
        return one == other
    # With the sign on one side alone: MATH often leaves it out, and a hundredth is what it means.
    percent, plain = (one, other) if left.endswith("%") else (other, one)
    return plain in (percent, percent / 100)


def _compare_bases(left: str, right: str) -> str:
    """Compare numerals such as ``52_8``, whose base an algebra system overlooks."""
    one, other = _BASED.fullmatch(left), _BASED.fullmatch(right)
    if not (one and other and (one.group(2) or other.group(2)) and one.group(1)[0].isdigit()):
        return ""
    bases = {match.group(2) for match in (one, other)} - {None}
    return "equal" if one.group(1) == other.group(1) and len(bases) == 1 else "different"
