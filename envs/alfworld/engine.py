"""The engine contract, and the fast engine: a plain-Python ALFWorld that reads exactly like the real one.

The real engine (TextWorld over Fast Downward) takes tenths of a second a step. This one computes the same
texts, the same admissible commands in the same order and the same goal, some ten thousand times faster; the
differential tests hold it to that. What looks odd here is odd in the real engine and kept on purpose: an
object may be in several receptacles at once, closed microwaves heat, lamps never go off, and ``look`` lists
as "next to" a receptacle what was once taken out of it and is still at its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from palaestra.envs.alfworld.game import Facts, Game

NOTHING_HAPPENS = "Nothing happens."
_WELCOME = "-= Welcome to TextWorld, ALFRED! =-"
_ROOM = "You are in the middle of a room. Looking quickly around you, you see "

HOT, COOL, CLEAN, SLICED, TOGGLED = 1, 2, 4, 8, 16
_BITS = {"isHot": HOT, "isCool": COOL, "isClean": CLEAN, "isSliced": SLICED, "isToggled": TOGGLED}
_HELP = """Available commands:
  look:                             look around your current location
  inventory:                        check your current inventory
  go to (receptacle):               move to a receptacle
  open (receptacle):                open a receptacle
  close (receptacle):               close a receptacle
  take (object) from (receptacle):  take an object from a receptacle
  move (object) to (receptacle):  place an object in or on a receptacle
  examine (something):              examine a receptacle or an object
  use (object):                     use an object
  heat (object) with (receptacle):  heat an object using a receptacle
  clean (object) with (receptacle): clean an object using a receptacle
  cool (object) with (receptacle):  cool an object using a receptacle
  slice (object) with (object):     slice an object using a sharp object
"""

Action = tuple[str, int, int]
State = tuple[Any, ...]


class Engine(Protocol):
    """What plays one game. After ``reset``, commands go to ``step``; nothing ends by itself."""

    def reset(self) -> str:
        """Return to the start and return the introduction."""
        ...

    def step(self, command: str) -> str:
        """Carry a command out and return what is seen; what is not admissible changes nothing."""
        ...

    @property
    def admissible(self) -> list[str]:
        """The commands that do something now, sorted."""
        ...

    @property
    def won(self) -> bool:
        """Whether the goal holds now (it may cease to)."""
        ...

    def save(self) -> Any:
        """Return the present state, to come back to."""
        ...

    def load(self, state: Any) -> None:
        """Return to a saved state."""
        ...

    def close(self) -> None:
        """Let go of what the engine holds; it cannot be used afterwards."""
        ...


def names_of(facts: Facts) -> dict[str, str]:
    """Return the spoken name of every receptacle, object and location id, such as ``cabinet 3``.

    The numbers of a name go down while the lower-cased ids go up; that is how the real engine hands them out.
    """
    ids = [item.id for item in facts.receptacles] + [item.id for item in facts.objects] + facts.locations()
    heads: dict[str, str] = {}
    left: dict[str, int] = {}
    for identifier in ids:
        lowered = identifier.lower()
        head, bar, _ = lowered.partition("_bar_")
        # An id without "_bar_" is no numbered thing: the real engine leaves it as it is, with a space.
        heads[lowered] = (head + "basin" if "basin" in lowered else head) if bar else ""
        left[heads[lowered]] = left.get(heads[lowered], 0) + 1
    names: dict[str, str] = {}
    for lowered in sorted(heads):
        head = heads[lowered]
        names[lowered] = f"{head} {left[head]}" if head else f"{lowered} "
        left[head] -= 1
    return {identifier: names[identifier.lower()] for identifier in ids}


def listing(names: Iterable[str]) -> str:
    """Return ``nothing``, ``a x``, or ``a x, a y, and a z``; the article is always ``a``."""
    items = [f"a {name}" for name in names]
    if len(items) < 2:
        return items[0] if items else "nothing"
    return ", ".join(items[:-1]) + ", and " + items[-1]


class World:
    """The part of a game that never changes, compiled once: things are numbered in the order of their ids."""

    def __init__(self, game: Game) -> None:
        facts = game.facts
        names = names_of(facts)
        self.game = game
        self.receptacles = sorted(facts.receptacles, key=lambda item: item.id.lower())
        self.objects = sorted(facts.objects, key=lambda item: item.id.lower())
        self.receptacle_names = [names[item.id] for item in self.receptacles]
        self.object_names = [names[item.id] for item in self.objects]
        self.receptacle_types = [item.type for item in self.receptacles]
        self.object_types = [item.type for item in self.objects]
        location_ids = facts.locations()
        locations = {identifier: number for number, identifier in enumerate(location_ids)}
        self.location_names = [names[identifier] for identifier in location_ids]
        self.start = locations[facts.start]
        self.place = [locations[item.location] for item in self.receptacles]
        self.at_location: list[list[int]] = [[] for _ in locations]
        for number, location in enumerate(self.place):
            self.at_location[location].append(number)
        self.openable = [item.openable for item in self.receptacles]
        self.contains = facts.contains
        self.abilities = [item.abilities for item in self.objects]
        self.sliceable = [n for n, item in enumerate(self.objects) if "sliceable" in item.abilities]
        self.lamps = {n for n, item in enumerate(self.objects) if "toggleable" in item.abilities}
        self._start_state(facts, locations)
        self._inner_texts(facts)
        self._goal(facts)
        move = game.wording == "move"
        self.put_command = "move {} to {}" if move else "put {} in/on {}"
        self.put_text = "You move the {} to the {}." if move else "You put the {} in/on the {}."
        self.says_help = self.names_receptacle = move

    def _start_state(self, facts: Facts, locations: dict[str, int]) -> None:
        numbers = {item.id: number for number, item in enumerate(self.receptacles)}
        contents: list[list[int]] = [[] for _ in self.receptacles]
        self.start_places: list[frozenset[int]] = []
        self.start_flags: list[int] = []
        for number, item in enumerate(self.objects):
            for holder in item.receptacles:
                contents[numbers[holder]].append(number)
            self.start_places.append(frozenset([locations[place] for place in item.locations]))
            self.start_flags.append(sum([_BITS[word] for word in item.conditions]))
        self.start_contents = [tuple(found) for found in contents]
        self.start_open = [item.opened for item in self.receptacles]

    def _inner_texts(self, facts: Facts) -> None:
        """Write down what ``examine`` says of a bowl or box: its content never changes, whatever is done."""
        inside: dict[str, list[int]] = {
            item.id: [] for item in facts.objects if "isReceptacleObject" in item.abilities
        }
        numbers = {item.id: number for number, item in enumerate(self.objects)}
        for inner, outer in facts.inner:
            if outer in inside and inner in numbers:
                inside[outer].append(numbers[inner])
        self.inner_texts = {
            numbers[outer]: listing(self.object_names[inner] for inner in sorted(found))
            for outer, found in inside.items()
        }

    def _goal(self, facts: Facts) -> None:
        goal = facts.goal
        ability = goal.change[0] if goal.change else ""
        self.goal_objects = frozenset(
            number
            for number, item in enumerate(self.objects)
            if item.type == goal.object and (not ability or ability in item.abilities)
        )
        self.goal_bit = _BITS[goal.change[1]] if goal.change else 0
        self.goal_check = {CLEAN: "object_cleaned", HOT: "object_heated", COOL: "object_cooled"}.get(
            self.goal_bit, ""
        )
        self.goal_receptacles = [n for n, kind in enumerate(self.receptacle_types) if kind == goal.target]
        self.goal_lamps = {number for number in self.lamps if self.object_types[number] == goal.target}
        self.wanted = 2 if goal.task_type == "pick_two_obj_and_place" else 1
        self.light = goal.task_type == "look_at_obj_in_light"


class FastEngine:
    """Plays one game in plain Python (see the module)."""

    def __init__(self, game: Game) -> None:
        self.world = World(game)
        self.reset()

    # ---- the state -------------------------------------------------------------------------------------

    def reset(self) -> str:
        """Return to the start and return the introduction."""
        world = self.world
        self.here = world.start
        self.held = -1
        self.contents = list(world.start_contents)
        self.opened = list(world.start_open)
        self.flags = list(world.start_flags)
        self.places = list(world.start_places)
        self.taken: frozenset[tuple[int, int]] = frozenset()
        self._choices: dict[tuple[int, int], tuple[dict[str, Action], list[str]]] = {}
        self._current: tuple[dict[str, Action], list[str]] | None = None
        self._texts: dict[int, str] = {}
        return self._introduction()

    def save(self) -> State:
        """Return the present state, an immutable tuple."""
        return (
            self.here,
            self.held,
            tuple(self.contents),
            tuple(self.opened),
            tuple(self.flags),
            tuple(self.places),
            self.taken,
        )

    def load(self, state: State) -> None:
        """Return to a saved state (of this game)."""
        self.here, self.held, contents, opened, flags, places, self.taken = state
        self.contents, self.opened = list(contents), list(opened)
        self.flags, self.places = list(flags), list(places)
        self._choices, self._current, self._texts = {}, None, {}

    def close(self) -> None:
        """There is nothing to let go of."""

    # ---- what can be done --------------------------------------------------------------------------------

    @property
    def admissible(self) -> list[str]:
        """The commands that do something now, sorted."""
        return list((self._current or self._look_up())[1])

    def step(self, command: str) -> str:
        """Carry a command out and return what is seen; what is not admissible changes nothing."""
        action = (self._current or self._look_up())[0].get(command.strip())
        if action is None:
            return NOTHING_HAPPENS
        name, first, second = action
        return getattr(self, name)(first, second)

    def _look_up(self) -> tuple[dict[str, Action], list[str]]:
        key = (self.here, self.held)
        found = self._choices.get(key)
        if found is None:
            actions = self._actions()
            found = self._choices[key] = (actions, sorted(actions))
        self._current = found
        return found

    def _changed(self, *receptacles: int) -> None:
        """Forget what was worked out for the present place, and the texts of these receptacles."""
        self._choices = {key: value for key, value in self._choices.items() if key[0] != self.here}
        self._current = None
        for receptacle in receptacles:
            self._texts.pop(receptacle, None)

    def _actions(self) -> dict[str, Action]:
        """Every command admissible at the present place, with what it does."""
        world, here = self.world, self.here
        names = world.receptacle_names
        actions: dict[str, Action] = {"inventory": ("_inventory", 0, 0), "look": ("_look", 0, 0)}
        if world.says_help:
            actions["help"] = ("_help", 0, 0)
        for receptacle, location in enumerate(world.place):
            if location != here:
                actions["go to " + names[receptacle]] = ("_go", receptacle, location)
        for receptacle in world.at_location[here]:
            name = names[receptacle]
            actions["examine " + name] = ("_examine_receptacle", receptacle, 0)
            if world.openable[receptacle]:
                verb, method = ("close ", "_close") if self.opened[receptacle] else ("open ", "_open")
                actions[verb + name] = (method, receptacle, 0)
            if self.held < 0:
                self._add_takes(actions, receptacle)
            for thing in world.lamps.intersection(self.contents[receptacle]):
                actions["use " + world.object_names[thing]] = ("_use", thing, 0)
        if self.held >= 0:
            self._add_held(actions, self.held)
        return actions

    def _accessible(self, receptacle: int) -> bool:
        return self.opened[receptacle] or not self.world.openable[receptacle]

    def _add_takes(self, actions: dict[str, Action], receptacle: int) -> None:
        if not self._accessible(receptacle):
            return
        world = self.world
        end = " from " + world.receptacle_names[receptacle]
        for thing in self.contents[receptacle]:
            if "pickupable" in world.abilities[thing]:
                actions["take " + world.object_names[thing] + end] = ("_take", thing, receptacle)

    def _add_held(self, actions: dict[str, Action], held: int) -> None:
        world = self.world
        name, kind, able = world.object_names[held], world.object_types[held], world.abilities[held]
        actions["examine " + name] = ("_examine_object", held, 0)
        for receptacle in world.at_location[self.here]:
            where, where_kind = world.receptacle_names[receptacle], world.receptacle_types[receptacle]
            if (where_kind, kind) in world.contains and self._accessible(receptacle):
                actions[world.put_command.format(name, where)] = ("_put", held, receptacle)
            if where_kind == "SinkBasin" and "cleanable" in able:
                actions[f"clean {name} with {where}"] = ("_clean", held, receptacle)
            elif where_kind == "Microwave" and "heatable" in able:
                actions[f"heat {name} with {where}"] = ("_heat", held, receptacle)
            elif where_kind == "Fridge" and "coolable" in able:
                actions[f"cool {name} with {where}"] = ("_cool", held, receptacle)
        if kind in ("Knife", "ButterKnife"):
            for thing in world.sliceable:
                if self.here in self.places[thing]:
                    actions[f"slice {world.object_names[thing]} with {name}"] = ("_slice", thing, held)

    # ---- what commands do --------------------------------------------------------------------------------

    def _go(self, receptacle: int, location: int) -> str:
        self.here = location
        self._current = self._choices.get((location, self.held))
        world = self.world
        if world.names_receptacle:
            return f"You arrive at {world.receptacle_names[receptacle]}. {self._receptacle_text(receptacle)}"
        return f"You arrive at {world.location_names[location]}. {self._receptacle_text(receptacle)}"

    def _open(self, receptacle: int, _: int) -> str:
        self.opened[receptacle] = True
        self._changed(receptacle)
        return f"You open the {self.world.receptacle_names[receptacle]}. {self._receptacle_text(receptacle)}"

    def _close(self, receptacle: int, _: int) -> str:
        self.opened[receptacle] = False
        self._changed(receptacle)
        return f"You close the {self.world.receptacle_names[receptacle]}."

    def _take(self, thing: int, receptacle: int) -> str:
        self.contents[receptacle] = tuple([other for other in self.contents[receptacle] if other != thing])
        self.held = thing
        self.places[thing] = self.places[thing] - {self.here}
        self.taken = self.taken | {(thing, receptacle)}
        self._changed(receptacle)
        world = self.world
        return f"You pick up the {world.object_names[thing]} from the {world.receptacle_names[receptacle]}."

    def _put(self, thing: int, receptacle: int) -> str:
        self.contents[receptacle] = tuple(sorted({thing, *self.contents[receptacle]}))
        self.held = -1
        self.places[thing] = self.places[thing] | {self.here}
        self.taken = self.taken - {(thing, receptacle)}
        self._changed(receptacle)
        return self.world.put_text.format(
            self.world.object_names[thing], self.world.receptacle_names[receptacle]
        )

    def _clean(self, thing: int, receptacle: int) -> str:
        self.flags[thing] |= CLEAN
        return self._treated("clean", thing, receptacle)

    def _heat(self, thing: int, receptacle: int) -> str:
        self.flags[thing] = (self.flags[thing] | HOT) & ~COOL
        return self._treated("heat", thing, receptacle)

    def _cool(self, thing: int, receptacle: int) -> str:
        self.flags[thing] = (self.flags[thing] | COOL) & ~HOT
        return self._treated("cool", thing, receptacle)

    def _treated(self, verb: str, thing: int, receptacle: int) -> str:
        world = self.world
        return f"You {verb} the {world.object_names[thing]} using the {world.receptacle_names[receptacle]}."

    def _use(self, thing: int, _: int) -> str:
        self.flags[thing] |= TOGGLED
        return f"You turn on the {self.world.object_names[thing]}."

    def _slice(self, thing: int, knife: int) -> str:
        self.flags[thing] |= SLICED
        return f"You sliced the {self.world.object_names[thing]} with the {self.world.object_names[knife]}."

    # ---- what is seen ------------------------------------------------------------------------------------

    def _introduction(self) -> str:
        seen = listing(self.world.receptacle_names)
        return f"{_WELCOME}\n\n{_ROOM}{seen}.\n\nYour task is to: {self.world.game.task}"

    def _receptacle_text(self, receptacle: int) -> str:
        text = self._texts.get(receptacle)
        if text is None:
            text = self._texts[receptacle] = self._describe(receptacle)
        return text

    def _describe(self, receptacle: int) -> str:
        world, name = self.world, self.world.receptacle_names[receptacle]
        if world.openable[receptacle] and not self.opened[receptacle]:
            return f"The {name} is closed."
        seen = listing([world.object_names[thing] for thing in self.contents[receptacle]])
        if world.openable[receptacle]:
            return f"The {name} is open. In it, you see {seen}."
        return f"On the {name}, you see {seen}."

    def _examine_receptacle(self, receptacle: int, _: int) -> str:
        return self._receptacle_text(receptacle)

    def _examine_object(self, thing: int, _: int) -> str:
        world, name, flags = self.world, self.world.object_names[thing], self.flags[thing]
        if thing in world.inner_texts:
            return f"This is a normal {name}. In it, you see {world.inner_texts[thing]}."
        warmth = "hot" if flags & HOT else "cool" if flags & COOL else ""
        words = " and ".join(word for word in (warmth, "clean" if flags & CLEAN else "") if word)
        if words and flags & SLICED:
            words += " sliced"
        if words:
            return f"This is a {'cold' if words == 'cool' else words} {name}."
        if thing in world.lamps and flags & TOGGLED:
            return f"This {name} is on."
        if flags & SLICED and "sliceable" in world.abilities[thing]:
            return f"This is a sliced {name}."
        return f"There's nothing special about {name}."

    def _inventory(self, _: int, __: int) -> str:
        if self.held < 0:
            return "You are not carrying anything."
        return f"You are carrying: a {self.world.object_names[self.held]}."

    def _help(self, _: int, __: int) -> str:
        return _HELP

    def _look(self, _: int, __: int) -> str:
        world, here = self.world, self.here
        near = world.at_location[here]
        if not near:
            return f"{_ROOM}nothing."
        names = [world.receptacle_names[receptacle] for receptacle in near]
        facing = names[0] if len(names) == 1 else ", ".join(names[:-1]) + ", and " + names[-1]
        taken = sorted(self.taken)
        floor = [thing for thing, holder in taken if here in self.places[thing] and holder in near]
        seen = listing([world.object_names[thing] for thing in floor])
        return f"You are facing the {facing}. Next to it, you see {seen}."

    # ---- the goal ----------------------------------------------------------------------------------------

    @property
    def won(self) -> bool:
        """Whether the goal holds now (it may cease to)."""
        world = self.world
        if world.light:
            return self.held in world.goal_objects and self.lamp_here()
        return self.placed() >= world.wanted

    def lamp_here(self) -> bool:
        """Whether a lamp of the goal's type that was turned on is at the agent's place."""
        world = self.world
        return any(
            thing in world.goal_lamps and self.flags[thing] & TOGGLED
            for receptacle in world.at_location[self.here]
            for thing in self.contents[receptacle]
        )

    def placed(self, *, changed: bool = True) -> int:
        """Return how many objects of the goal are together in one receptacle of the goal's type.

        With ``changed=False``, objects count that were not yet cleaned, heated or cooled as the goal asks.
        """
        world, flags = self.world, self.flags
        bit = world.goal_bit if changed else 0
        best = 0
        for receptacle in world.goal_receptacles:
            found = 0
            for thing in self.contents[receptacle]:
                if thing in world.goal_objects and flags[thing] & bit == bit:
                    found += 1
            best = max(best, found)
        return best

    def checks(self) -> dict[str, bool]:
        """Return the parts of the goal, each with whether it holds now."""
        world = self.world
        if world.light:
            return {"object_held": self.held in world.goal_objects, "lamp_on_here": self.lamp_here()}
        found = {"object_in_place": self.placed(changed=False) > 0}
        if world.goal_bit:
            done = any(self.flags[thing] & world.goal_bit for thing in world.goal_objects)
            found[world.goal_check] = done
        if world.wanted == 2:
            found["both_in_one_place"] = self.placed() > 1
        return found
