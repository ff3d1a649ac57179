"""What an ALFWorld game is: its facts, its goal, and the PDDL problem they are read from and written to.

The official games are PDDL problems of the domain ``alfred`` (ALFWorld, Shridhar et al., 2021). ``Facts``
holds the content of one, without the text; ``parse_problem`` reads it and ``Facts.problem`` writes it in a
form that the real engine takes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from palaestra.errors import DataError

WORDINGS = ("move", "put")
"""The two wordings in circulation: ``move X to Y`` (ALFWorld 0.4 and later), ``put X in/on Y`` (before)."""

TASK_TYPES = (
    "pick_and_place_simple",
    "look_at_obj_in_light",
    "pick_clean_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_two_obj_and_place",
)
"""The six task types, in the official order."""

ABILITIES = (
    "pickupable",
    "heatable",
    "coolable",
    "cleanable",
    "sliceable",
    "toggleable",
    "isReceptacleObject",
)
CONDITIONS = ("isHot", "isCool", "isClean", "isSliced", "isToggled")

_CHANGE = {  # task type: (what the object must allow, what it must have become)
    "pick_clean_then_place_in_recep": ("cleanable", "isClean"),
    "pick_heat_then_place_in_recep": ("heatable", "isHot"),
    "pick_cool_then_place_in_recep": ("coolable", "isCool"),
}
_PLACE_GOAL = (
    "(:goal (and (exists (?r - receptacle) (exists (?o - object) (and {able}"
    "(objectType ?o {object}Type) (receptacleType ?r {target}Type) {changed}(inReceptacle ?o ?r))))))"
)
_TWO_GOAL = (
    "(:goal (and (exists (?r - receptacle) (exists (?o1 - object) (and (objectType ?o1 {object}Type) "
    "(receptacleType ?r {target}Type) (inReceptacle ?o1 ?r) (exists (?o2 - object) (and (not (= ?o1 ?o2)) "
    "(objectType ?o2 {object}Type) (receptacleType ?r {target}Type) (inReceptacle ?o2 ?r))))))))"
)
_LIGHT_GOAL = (
    "(:goal (and (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and "
    "(objectType ?ot {target}Type) (toggleable ?ot) (isToggled ?ot) (receptacleAtLocation ?r ?l) "
    "(atLocation ?a ?l) (inReceptacle ?ot ?r))) (exists (?o - object ?a - agent) (and "
    "(objectType ?o {object}Type) (holds ?a ?o)))))"
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What must hold: ``object`` and ``target`` are types; that of ``look_at_obj_in_light`` is a lamp's."""

    task_type: str
    object: str
    target: str

    @property
    def change(self) -> tuple[str, str] | None:
        """The (ability, condition) that the object must have, for the clean, heat and cool types."""
        return _CHANGE.get(self.task_type)

    def pddl(self) -> str:
        """Return the goal section of a PDDL problem."""
        if self.task_type == "pick_two_obj_and_place":
            return _TWO_GOAL.format(object=self.object, target=self.target)
        if self.task_type == "look_at_obj_in_light":
            return _LIGHT_GOAL.format(object=self.object, target=self.target)
        able = changed = ""
        if self.change:
            able, changed = (f"({name} ?o) " for name in self.change)
        return _PLACE_GOAL.format(object=self.object, target=self.target, able=able, changed=changed)


@dataclass(frozen=True, slots=True)
class Receptacle:
    """A fixed piece of furniture; ``type`` has no ``Type`` suffix."""

    id: str
    type: str
    location: str
    openable: bool = False
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Object:
    """A thing: the receptacles it is in, the locations it is at, what it allows and how it is."""

    id: str
    type: str
    receptacles: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    abilities: frozenset[str] = frozenset()
    conditions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Facts:
    """The content of one problem.

    ``contains`` holds the (receptacle type, object type) pairs of ``canContain``, ``inner`` the (inner id,
    outer id) pairs of objects inside objects, ``start`` the agent's location.
    """

    receptacles: tuple[Receptacle, ...]
    objects: tuple[Object, ...]
    contains: frozenset[tuple[str, str]]
    start: str
    goal: Goal
    inner: tuple[tuple[str, str], ...] = ()
    agent: str = "agent1"

    def locations(self) -> list[str]:
        """Return the ids of all locations that a fact speaks of, sorted."""
        found = {self.start, *(receptacle.location for receptacle in self.receptacles)}
        for thing in self.objects:
            found.update(thing.locations)
        return sorted(found)

    def problem(self, name: str = "game") -> str:
        """Return the PDDL problem, in a form that the real engine takes."""
        return _write_problem(self, name)


@dataclass(frozen=True, slots=True)
class Game:
    """One game to play.

    ``task`` is the sentence after "Your task is to: ", with its final stop; ``scene`` the room it is in;
    ``wording`` one of ``WORDINGS``; ``source`` the PDDL text it was read from, "" for a generated game.
    """

    id: str
    task_type: str
    task: str
    scene: str
    split: str
    wording: str
    facts: Facts
    source: str = field(default="", repr=False)

    def problem(self) -> str:
        """Return the PDDL problem: the original text of an official game, else a written one."""
        return self.source or self.facts.problem("plan_" + re.sub(r"\W", "_", self.id))


# ---- reading -------------------------------------------------------------------------------------------

_FACT = re.compile(r"\(\s*(\w+)((?:\s+\w+)*)\s*\)")
_DECLARED = re.compile(r"([^()]*?)\s-\s+(\w+)")
_ARGUMENTS = {
    **dict.fromkeys(("openable", "opened", "atLocation", *ABILITIES, *CONDITIONS), 1),
    **dict.fromkeys(("receptacleType", "objectType", "canContain"), 2),
    **dict.fromkeys(("receptacleAtLocation", "objectAtLocation", "inReceptacle", "inReceptacleObject"), 2),
    "atLocation": 2,
}
_KINDS = ("agent", "location", "receptacle", "object", "rtype", "otype")


def parse_problem(text: str, name: str = "problem") -> Facts:
    """Read the PDDL text of an ALFWorld problem.

    Raises ``DataError`` that names ``name`` and what is wrong: a section that is missing, text that was cut,
    a name declared twice, a fact of an unknown thing, a goal other than the six task types.
    """
    objects, init, goal = _sections(text, name)
    kinds = _declarations(objects, name)
    facts = _facts(init, kinds, name)
    return _assemble(facts, _read_goal(goal, name), kinds, name)


def _sections(text: str, name: str) -> tuple[str, str, str]:
    positions = [text.find(section) for section in ("(:objects", "(:init", "(:goal")]
    for section, position in zip((":objects", ":init", ":goal"), positions, strict=True):
        if position < 0:
            raise DataError(f"{name}: the PDDL problem has no {section} section; is the text cut?")
    if positions != sorted(positions) or not text.lstrip().startswith("(define"):
        raise DataError(f"{name}: not a PDDL problem with :objects, :init and :goal in this order")
    if text.count("(") != text.count(")"):
        raise DataError(
            f"{name}: {text.count('(')} opening but {text.count(')')} closing brackets in the PDDL problem; "
            "is the text cut?"
        )
    first, second, third = positions
    return text[first + 9 : second], text[second + 6 : third], text[third:]


def _declarations(section: str, name: str) -> dict[str, str]:
    """Return the kind of every declared name. PDDL names do not tell upper from lower case."""
    kinds: dict[str, str] = {}
    seen: set[str] = set()
    for names, kind in _DECLARED.findall(section):
        if kind not in _KINDS:
            raise DataError(f"{name}: unknown type {kind!r} in :objects (known: {', '.join(_KINDS)})")
        for declared in names.split():
            if declared.lower() in seen:
                raise DataError(f"{name}: {declared!r} is declared twice in :objects")
            seen.add(declared.lower())
            kinds[declared] = kind
    if not kinds:
        raise DataError(f"{name}: the :objects section is empty")
    return kinds


def _facts(section: str, kinds: Mapping[str, str], name: str) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {predicate: [] for predicate in _ARGUMENTS}
    for predicate, rest in _FACT.findall(section):
        arguments = rest.split()
        if predicate not in _ARGUMENTS:
            raise DataError(f"{name}: unsupported fact {predicate!r} in :init")
        if len(arguments) != _ARGUMENTS[predicate]:
            raise DataError(f"{name}: ({predicate}{rest}) takes {_ARGUMENTS[predicate]} arguments")
        for argument in arguments:
            if argument not in kinds:
                raise DataError(
                    f"{name}: ({predicate}{rest}) speaks of {argument!r}, which is not in :objects"
                )
        found[predicate].append(arguments)
    if _FACT.sub("", section).strip() != ")":
        raise DataError(f"{name}: the :init section holds something other than plain facts; is the text cut?")
    return found


def _read_goal(text: str, name: str) -> Goal:
    # The problem's own last bracket follows the goal's.
    normal = _squeeze(text)
    for task_type in TASK_TYPES:
        for pattern in _goal_patterns(task_type):
            match = pattern.fullmatch(normal)
            if match:
                return Goal(task_type, match["object"], match["target"])
    raise DataError(
        f"{name}: the goal is none of the six task types (movable receptacles and sliced objects are not "
        f"supported): {normal[:160]}"
    )


def _squeeze(text: str) -> str:
    return re.sub(r"\s*([()])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()


_PATTERNS: dict[str, list[re.Pattern[str]]] = {}


def _goal_patterns(task_type: str) -> list[re.Pattern[str]]:
    """Return the written form of a goal, and the official other order of ``pick_and_place_simple``."""
    if task_type not in _PATTERNS:
        texts = [Goal(task_type, "OBJECT", "TARGET").pddl()]
        if task_type == "pick_and_place_simple":
            inside = "(inReceptacle ?o ?r)"
            texts.append(
                texts[0].replace(inside, "").replace("(and (objectType", f"(and {inside}(objectType")
            )
        _PATTERNS[task_type] = [_pattern(text) for text in texts]
    return _PATTERNS[task_type]


def _pattern(text: str) -> re.Pattern[str]:
    pattern = re.escape(_squeeze(text) + ")")
    for group in ("OBJECT", "TARGET"):
        pattern = pattern.replace(group, rf"(?P<{group.lower()}>\w+)", 1).replace(
            group, rf"(?P={group.lower()})"
        )
    return re.compile(pattern)


def _assemble(facts: Mapping[str, list[list[str]]], goal: Goal, kinds: Mapping[str, str], name: str) -> Facts:
    starts = [place for _, place in facts["atLocation"]]
    if len(starts) != 1:
        raise DataError(f"{name}: {len(starts)} start locations, where there must be one")
    inside = _grouped(facts["inReceptacle"])
    places = _grouped(facts["objectAtLocation"])
    abilities = _by_thing(facts, ABILITIES)
    conditions = _by_thing(facts, CONDITIONS)
    nothing: frozenset[str] = frozenset()
    objects = tuple(
        Object(
            thing,
            _plain(kind),
            tuple(inside.get(thing, ())),
            tuple(places.get(thing, ())),
            abilities.get(thing, nothing),
            conditions.get(thing, nothing),
        )
        for thing, kind in _single(facts["objectType"], "objectType", name).items()
    )
    receptacles = _receptacles(facts, name)
    _check_known(inside, {item.id for item in objects}, {item.id for item in receptacles}, name)
    return Facts(
        receptacles=receptacles,
        objects=objects,
        contains=frozenset((_plain(outer), _plain(inner)) for outer, inner in facts["canContain"]),
        start=starts[0],
        goal=goal,
        inner=tuple((inner, outer) for inner, outer in facts["inReceptacleObject"]),
        agent=next((declared for declared, kind in kinds.items() if kind == "agent"), "agent1"),
    )


def _receptacles(facts: Mapping[str, list[list[str]]], name: str) -> tuple[Receptacle, ...]:
    locations = _single(facts["receptacleAtLocation"], "receptacleAtLocation", name)
    types = _single(facts["receptacleType"], "receptacleType", name)
    if set(types) != set(locations):
        odd = min(set(types) ^ set(locations))
        raise DataError(f"{name}: receptacle {odd!r} needs both a receptacleType and a receptacleAtLocation")
    openable = {thing for (thing,) in facts["openable"]}
    opened = {thing for (thing,) in facts["opened"]}
    return tuple(
        Receptacle(thing, _plain(kind), locations[thing], thing in openable, thing in opened)
        for thing, kind in types.items()
    )


def _check_known(
    inside: Mapping[str, list[str]], objects: set[str], receptacles: set[str], name: str
) -> None:
    for thing, holders in inside.items():
        if thing not in objects:
            raise DataError(f"{name}: {thing!r} is in a receptacle but has no objectType")
        for holder in holders:
            if holder not in receptacles:
                raise DataError(f"{name}: {thing!r} is in {holder!r}, which is no receptacle")


def _plain(type_name: str) -> str:
    return type_name.removesuffix("Type")


def _grouped(pairs: Iterable[list[str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _by_thing(facts: Mapping[str, list[list[str]]], predicates: Iterable[str]) -> dict[str, frozenset[str]]:
    groups: dict[str, set[str]] = {}
    for predicate in predicates:
        for (thing,) in facts[predicate]:
            groups.setdefault(thing, set()).add(predicate)
    return {thing: frozenset(found) for thing, found in groups.items()}


def _single(pairs: Iterable[list[str]], predicate: str, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise DataError(f"{name}: {key!r} has two {predicate} facts")
    return found


# ---- writing -------------------------------------------------------------------------------------------


def _write_problem(facts: Facts, name: str) -> str:
    declared = [(facts.agent, "agent")]
    declared += [(location, "location") for location in facts.locations()]
    declared += [(item.id, "receptacle") for item in facts.receptacles]
    declared += [(item.id, "object") for item in facts.objects]
    object_types = {item.type for item in facts.objects} | {inner for _, inner in facts.contains}
    receptacle_types = {item.type for item in facts.receptacles} | {outer for outer, _ in facts.contains}
    # The domain speaks of these types by name, so a problem without them would not be accepted.
    object_types |= {"Knife", "ButterKnife", "Sink", facts.goal.object}
    receptacle_types |= {"SinkBasin", "Microwave", "Fridge"}
    if facts.goal.task_type == "look_at_obj_in_light":
        object_types.add(facts.goal.target)
    else:
        receptacle_types.add(facts.goal.target)
    declared += [(f"{kind}Type", "otype") for kind in sorted(object_types)]
    declared += [(f"{kind}Type", "rtype") for kind in sorted(receptacle_types)]
    repeated = [
        thing for thing, count in Counter(thing.lower() for thing, _ in declared).items() if count > 1
    ]
    if repeated:
        raise DataError(f"{name}: {repeated[0]!r} would be declared twice in the PDDL problem")
    lines = [f"(define (problem {name})", "(:domain alfred)", "(:objects"]
    lines += [f"    {thing} - {kind}" for thing, kind in declared]
    lines += [")", "(:init", *(f"    ({fact})" for fact in _fact_lines(facts)), ")", facts.goal.pddl(), ")"]
    return "\n".join(lines) + "\n"


def _fact_lines(facts: Facts) -> list[str]:
    lines = [f"atLocation {facts.agent} {facts.start}"]
    for item in facts.receptacles:
        lines.append(f"receptacleType {item.id} {item.type}Type")
        lines.append(f"receptacleAtLocation {item.id} {item.location}")
        if item.openable:
            lines.append(f"openable {item.id}")
        if item.opened:
            lines.append(f"opened {item.id}")
    for item in facts.objects:
        lines.append(f"objectType {item.id} {item.type}Type")
        lines += [f"inReceptacle {item.id} {holder}" for holder in item.receptacles]
        lines += [f"objectAtLocation {item.id} {location}" for location in item.locations]
        lines += [
            f"{word} {item.id}"
            for word in (*ABILITIES, *CONDITIONS)
            if word in item.abilities | item.conditions
        ]
    lines += [f"inReceptacleObject {inner} {outer}" for inner, outer in facts.inner]
    lines += [f"canContain {outer}Type {inner}Type" for outer, inner in sorted(facts.contains)]
    return lines
