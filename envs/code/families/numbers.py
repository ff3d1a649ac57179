"""Tasks about whole numbers: digits, divisors, number systems, recurrences, coins."""

# ruff: noqa: B905, D400, D401, RUF007
# The docstrings here are statements of tasks, and the code is their reference solution.

from __future__ import annotations

from collections.abc import Callable

from palaestra.envs.code.family import Rule, Value, family


@family(
    level=1,
    inputs=lambda draw: (draw.integer(0, 10 ** draw.integer(1, 6)),),
    edges=[(0,), (9,), (10,), (101,)],
    base=[Value("decimal", 10), Value("binary", 2), Value("octal (base 8)", 8), Value("base-7", 7)],
    use=[
        Rule("of the digits", "x"),
        Rule("of the squares of the digits", "x * x"),
        Rule("of the cubes of the digits", "x ** 3"),
        Rule("of the digits, each increased by 1", "x + 1"),
        Rule("of the odd digits only", "x if x % 2 == 1 else 0"),
    ],
    swing=[
        Value("", False),
        Value("The last digit is added, the one before it subtracted, the next added, and so on.", True),
    ],
)
def digit_sum(n: int, *, base: int, use: Callable[[int], int], swing: bool) -> int:
    """Write `n` (which is not negative) in its {base} form and return the sum {use}. {swing}"""
    total, sign = 0, 1
    while n > 0:
        total += sign * use(n % base)
        n //= base
        if swing:
            sign = -sign
    return total


@family(
    level=2,
    inputs=lambda draw: (draw.integer(0, 10 ** draw.integer(1, 5)),),
    edges=[(0,), (7,), (10,), (99,), (199,)],
    base=(4, 6, 8, 10),
    multiply=[Value("sum", False), Value("product", True)],
    want=[Value("how many times that was done", "steps"), Value("the number that is left", "value")],
    stop=[Value("has a single digit", 1), Value("has at most two digits", 2)],
)
def digit_chain(n: int, *, base: int, multiply: bool, want: str, stop: int) -> int:
    """`n` is not negative and is written in base {base}. As long as it has more digits than allowed, replace
    it by the {multiply} of its digits in that base; stop as soon as it {stop}. Return {want}.
    """
    steps = 0
    while n >= base**stop:
        result = 1 if multiply else 0
        while n > 0:
            if multiply:
                result *= n % base
            else:
                result += n % base
            n //= base
        n = result
        steps += 1
    return steps if want == "steps" else n


@family(
    level=1,
    inputs=lambda draw: (draw.integer(0, 120),),
    edges=[(0,), (1,), (12,), (30,)],
    first=(2, 3, 4),
    second=(5, 6, 7),
    want=[
        Value("divisible by {first} or by {second}, or by both", "either"),
        Value("divisible by {first} but not by {second}", "first"),
        Value("divisible by exactly one of {first} and {second}", "one"),
        Value("divisible neither by {first} nor by {second}", "none"),
    ],
    counted=[Value("the sum of", False), Value("how many there are of", True)],
    below=[Value("below `n`", True), Value("up to and including `n`", False)],
)
def sum_multiples(n: int, *, first: int, second: int, want: str, counted: bool, below: bool) -> int:
    """Let a be {first} and b be {second}. Return {counted} the positive whole numbers {below} that are
    {want}.
    """
    total = 0
    for number in range(1, n if below else n + 1):
        by_first, by_second = number % first == 0, number % second == 0
        if want == "either":
            fits = by_first or by_second
        elif want == "first":
            fits = by_first and not by_second
        elif want == "one":
            fits = by_first != by_second
        else:
            fits = not by_first and not by_second
        if fits:
            total += 1 if counted else number
    return total


@family(
    level=1,
    inputs=lambda draw: (draw.integer(-300, 900),),
    edges=[(0,), (1,), (-1,), (64,), (-27,)],
    base=(2, 3, 5, 7, 9, 12, 16),
    minus=[
        Value(
            "A negative number is written as a minus sign followed by the digits of its absolute value.",
            "sign",
        ),
        Value("The sign of a negative number is left out.", "drop"),
        Value("For a negative number return the empty string.", "none"),
    ],
    least=[
        Value("", 1),
        Value("Fewer than 4 digits are filled up to 4 with zeros on the left.", 4),
        Value("Fewer than 6 digits are filled up to 6 with zeros on the left.", 6),
    ],
)
def to_base(n: int, *, base: int, minus: str, least: int) -> str:
    """Return `n` written in base {base}, with the digits 0 to 9 and then a, b, c, ... {minus} {least}"""
    if minus == "none" and n < 0:
        return ""
    left = abs(n)
    digits = ""
    while left > 0 or digits == "":
        digits = "0123456789abcdef"[left % base] + digits
        left //= base
    digits = digits.rjust(least, "0")
    if minus == "sign" and n < 0:
        return "-" + digits
    return digits


@family(
    level=2,
    inputs=lambda draw: (draw.integer(0, 60), draw.integer(20, 160)),
    edges=[(0, 1), (2, 2), (10, 5), (1, 10), (7, 11), (11, 31), (31, 41), (3, 130), (120, 170)],
    modulus=(3, 5, 7, 9),
    rest=(1, 2),
    want=[
        Value("how many there are", "count"),
        Value("their sum", "sum"),
        Value("the largest of them, or 0 when there is none", "largest"),
        Value(
            "the greatest difference between one of them and the next, or 0 when there are fewer than two",
            "gap",
        ),
    ],
)
def primes_between(low: int, high: int, *, modulus: int, rest: int, want: str) -> int:
    """Look at the prime numbers from `low` to `high` (both included) that leave the remainder {rest} when
    divided by {modulus}. Return {want}.
    """
    found = []
    for number in range(max(2, low), high + 1):
        divisor = 2
        while divisor * divisor <= number and number % divisor != 0:
            divisor += 1
        if divisor * divisor > number and number % modulus == rest:
            found.append(number)
    if want == "count":
        return len(found)
    if want == "sum":
        return sum(found)
    if want == "largest":
        return found[-1] if found else 0
    return max([later - sooner for sooner, later in zip(found, found[1:])], default=0)


@family(
    level=2,
    inputs=lambda draw: (draw.integer(1, 60),),
    edges=[(1,), (2,), (3,), (64,)],
    factor=(3, 5, 7),
    plus=(1, 3, 5),
    limit=(10, 15, 25),
    want=[
        Value("the number of steps that were made", "steps"),
        Value("the largest number seen, `n` included", "top"),
        Value("the number reached at the end", "end"),
    ],
)
def step_down(n: int, *, factor: int, plus: int, limit: int, want: str) -> int:
    """Begin with `n` (at least 1). One step replaces an even number by its half, and an odd number x by
    {factor} * x + {plus}. Make steps until the number is 1, but no more than {limit}. Return {want}.
    """
    steps, top = 0, n
    while n != 1 and steps < limit:
        n = n // 2 if n % 2 == 0 else factor * n + plus
        steps += 1
        top = max(top, n)
    if want == "steps":
        return steps
    return top if want == "top" else n


@family(
    level=2,
    inputs=lambda draw: (draw.integer(1, 10 ** draw.integer(1, 3) * 3 + 99),),
    edges=[(1,), (4,), (9,), (14,), (40,), (99,), (400,)],
    pairs=[
        Value("4 is written IV, 9 IX, 40 XL, 90 XC, 400 CD and 900 CM.", "all"),
        Value("Nothing is ever subtracted: 4 is written IIII, 9 is VIIII, 40 is XXXX, and so on.", "none"),
        Value(
            "4 is written IV and 9 is written IX; but 40 is XXXX, 90 is LXXXX, 400 is CCCC and 900 is DCCCC.",
            "ones",
        ),
    ],
    fives=[
        Value("", True),
        Value(
            "The signs V, L and D are not known: 5 is written IIIII, 50 XXXXX and 500 CCCCC "
            "(and what is subtracted from V, L or D in the rule above is written out too).",
            False,
        ),
    ],
)
def roman(n: int, *, pairs: str, fives: bool) -> str:
    """Return `n` (1 or more) in Roman numerals: M is 1000, D 500, C 100, L 50, X 10, V 5 and I 1, from large
    to small. {pairs} {fives}
    """
    signs = [(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")]
    if pairs == "all":
        signs += [(900, "CM"), (400, "CD"), (90, "XC"), (40, "XL")]
    if pairs != "none":
        signs += [(9, "IX"), (4, "IV")]
    if not fives:
        signs = [(value, sign) for value, sign in signs if not set(sign) & set("VLD")]
    result = ""
    for value, sign in sorted(signs, reverse=True):
        while n >= value:
            result += sign
            n -= value
    return result


@family(
    level=1,
    inputs=lambda draw: (draw.integer(0, 30),),
    edges=[(0,), (1,), (2,), (3,)],
    first=(0, 1, 2),
    second=(1, 2, 3),
    near=(1, 2, 3),
    far=(1, 2, 3),
    modulus=(10, 97, 1000),
)
def recurrence(n: int, *, first: int, second: int, near: int, far: int, modulus: int) -> int:
    """A sequence begins with f(0) = {first} and f(1) = {second}; after that, each f(k) is
    ({near} * f(k - 1) + {far} * f(k - 2)) modulo {modulus}, a number from 0 to {modulus} - 1. Return f(`n`).
    """
    before, now = first, second
    if n == 0:
        return before
    for _ in range(n - 1):
        before, now = now, (near * now + far * before) % modulus
    return now


@family(
    level=2,
    inputs=lambda draw: (draw.integer(1, 40) * draw.integer(1, 40),),
    edges=[(1,), (2,), (4,), (12,), (97,), (360,)],
    form=[
        Value("each followed by ^ and its exponent if that is greater than 1", "power"),
        Value("each written as often as it divides the number", "repeat"),
        Value("each written once", "once"),
    ],
    mark=[
        Value("a single `*`", "*"),
        Value("` * ` (with spaces)", " * "),
        Value("a comma", ","),
        Value("a dot", "."),
    ],
    down=[Value("ascending", False), Value("descending", True)],
)
def factor_text(n: int, *, form: str, mark: str, down: bool) -> str:
    """Return the prime factors of `n` (1 or more) as a text, in {down} order, {form}. Between two of them
    stands {mark}. For 1 return '1'.
    """
    if n == 1:
        return "1"
    factors: list[tuple[int, int]] = []
    divisor = 2
    while n > 1:
        power = 0
        while n % divisor == 0:
            n //= divisor
            power += 1
        if power > 0:
            factors.append((divisor, power))
        divisor += 1
    if down:
        factors.reverse()
    parts = []
    for prime, power in factors:
        if form == "power":
            parts.append(f"{prime}^{power}" if power > 1 else str(prime))
        elif form == "repeat":
            parts += [str(prime)] * power
        else:
            parts.append(str(prime))
    return mark.join(parts)


@family(
    level=2,
    inputs=lambda draw: (draw.integer(-40, 60),),
    edges=[(0,), (-1,), (1,), (10,), (20,)],
    low=(-5, 0, 2),
    width=(4, 6, 9, 12),
    outside=[
        Value("is moved to the nearer end of the range", "clamp"),
        Value(
            "goes round: one above the highest is the lowest, one below the lowest the highest, and so on",
            "wrap",
        ),
        Value(
            "is mirrored at the end that it passes, again and again until it lies in the range: one "
            "above the "
            "highest becomes one below it",
            "mirror",
        ),
    ],
)
def into_range(n: int, *, low: int, width: int, outside: str) -> int:
    """Bring `n` into the range of whole numbers from {low} to {low} + {width}, both included. A number in the
    range stays; a number outside {outside}. Return the result.
    """
    high = low + width
    if outside == "clamp":
        return min(max(n, low), high)
    if outside == "wrap":
        return low + (n - low) % (width + 1)
    while not low <= n <= high:
        n = 2 * high - n if n > high else 2 * low - n
    return n


@family(
    level=3,
    inputs=lambda draw: (draw.integer(0, 60),),
    edges=[(0,), (1,), (2,), (7,), (11,)],
    coins=[
        Value(", ".join(map(str, coins)), coins)
        for coins in ((1, 5, 8), (2, 5), (3, 7), (1, 4, 6), (2, 3, 11), (5, 6, 9), (4, 7, 10), (1, 3, 4))
    ],
    want=[
        Value("the smallest number of coins that make up `amount` exactly, or -1 when no coins do", "fewest"),
        Value(
            "in how many ways `amount` can be made up, where the order of the coins does not matter", "ways"
        ),
        Value(
            "in how many ways `amount` can be laid down coin by coin, where the order of the coins matters",
            "orders",
        ),
        Value("the largest amount up to `amount` that can be made up exactly (0 needs no coins)", "reach"),
    ],
)
def coins_for(amount: int, *, coins: tuple[int, ...], want: str) -> int:
    """There are coins of {coins}, as many of each as needed. Return {want}."""
    if want == "fewest":
        fewest = [0] + [amount + 1] * amount
        for total in range(1, amount + 1):
            for coin in coins:
                if coin <= total:
                    fewest[total] = min(fewest[total], fewest[total - coin] + 1)
        return fewest[amount] if fewest[amount] <= amount else -1
    ways = [1] + [0] * amount
    if want == "orders":
        for total in range(1, amount + 1):
            for coin in coins:
                if coin <= total:
                    ways[total] += ways[total - coin]
    else:
        for coin in coins:
            for total in range(coin, amount + 1):
                ways[total] += ways[total - coin]
    if want == "reach":
        return max(total for total in range(amount + 1) if ways[total] > 0)
    return ways[amount]


@family(
    level=2,
    inputs=lambda draw: (draw.integer(0, 2500),),
    edges=[(0,), (9,), (10,), (99,), (1999,)],
    rule=[
        Rule("read the same forwards and backwards", "x == x[::-1]"),
        Rule("are all different", "len(set(x)) == len(x)"),
        Rule("never fall from left to right", "list(x) == sorted(x)"),
        Rule("add up to a number divisible by 7", "sum(map(int, x)) % 7 == 0"),
        Rule("contain a 7", "'7' in x"),
        Rule("contain two equal ones side by side", "any(one == other for one, other in zip(x, x[1:]))"),
        Rule(
            "include an equal number of even and of odd ones", "2 * sum(int(one) % 2 for one in x) == len(x)"
        ),
    ],
    step=[Value("greater than", 1), Value("of the same parity (even or odd) as `n` and greater than", 2)],
    nth=[Value("smallest", 1), Value("second smallest", 2), Value("third smallest", 3)],
)
def next_number(n: int, *, rule: Callable[[str], bool], step: int, nth: int) -> int:
    """Return the {nth} whole number {step} `n` whose decimal digits {rule}."""
    found = 0
    while found < nth:
        n += step
        if rule(str(n)):
            found += 1
    return n
