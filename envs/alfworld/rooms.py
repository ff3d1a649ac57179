"""What the official games have in common: which thing fits where, what can be done to it, what rooms hold.

These are facts counted in the official training games, written down as tables. The games repeat part of them
in every problem (``canContain``, ``heatable``); the rest is how often a kind of furniture stands in a room.
"""

from __future__ import annotations

from dataclasses import dataclass

from palaestra.envs.alfworld.game import TASK_TYPES


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_PLACE, _LIGHT, _CLEAN, _HEAT, _COOL, _TWO = TASK_TYPES

_FITS_TEXT = """
ArmChair: Book Box CellPhone Cloth CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
BathtubBasin: Cloth DishSponge HandTowel SoapBar
Bed: BaseballBat BasketBall Book CellPhone Laptop Pillow TennisRacket
Cabinet: Book Bowl Box CD Candle Cloth Cup DishSponge Glassbottle HandTowel Kettle Ladle Mug Newspaper Pan
 PepperShaker Plate Plunger Pot SaltShaker SoapBar SoapBottle SprayBottle TissueBox ToiletPaper Vase
 WateringCan WineBottle
Cart: Candle Cloth DishSponge HandTowel Plunger SoapBar SoapBottle SprayBottle TissueBox ToiletPaper
CoffeeMachine: Mug
CoffeeTable: Book Bowl Box Candle CellPhone CreditCard KeyChain Laptop Newspaper Pen Pencil Plate
 RemoteControl Statue TissueBox Vase Watch WateringCan
CounterTop: AlarmClock Apple Book Bowl Bread ButterKnife CD Candle CellPhone Cloth CreditCard Cup DishSponge
 Egg Fork Glassbottle HandTowel Kettle KeyChain Knife Ladle Laptop Lettuce Mug Pan Pen Pencil PepperShaker
 Plate Pot Potato RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle Statue TissueBox
 ToiletPaper Tomato Vase WineBottle
Desk: AlarmClock BasketBall Book Bowl Box CD CellPhone Cloth CreditCard KeyChain Laptop Mug Pen Pencil
 RemoteControl Statue TennisRacket TissueBox Vase Watch WateringCan
DiningTable: AlarmClock Apple BaseballBat BasketBall Book Bowl Box Bread ButterKnife CD Candle CellPhone
 Cloth CreditCard Cup DishSponge Egg Fork Glassbottle Kettle KeyChain Knife Ladle Laptop Lettuce Mug
 Newspaper Pan Pen Pencil PepperShaker Plate Pot Potato RemoteControl SaltShaker SoapBottle Spatula Spoon
 SprayBottle Statue TennisRacket TissueBox Tomato Vase Watch WateringCan WineBottle
Drawer: Book ButterKnife CD Candle CellPhone Cloth CreditCard DishSponge Fork HandTowel KeyChain Knife Ladle
 Newspaper Pen Pencil PepperShaker RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle
 TissueBox ToiletPaper Watch WateringCan
Dresser: AlarmClock BasketBall Book Bowl Box CD Candle CellPhone Cloth CreditCard KeyChain Laptop Mug
 Newspaper Pen Pencil Plate RemoteControl SprayBottle Statue TennisRacket TissueBox ToiletPaper Vase Watch
 WateringCan
Fridge: Apple Bowl Bread Cup Egg Glassbottle Lettuce Mug Pan Plate Pot Potato Tomato WineBottle
GarbageCan: Apple Bread CD Cloth DishSponge Egg HandTowel Lettuce Newspaper Pen Pencil Potato SoapBar
 SoapBottle SprayBottle TissueBox ToiletPaper Tomato WineBottle
HandTowelHolder: HandTowel
LaundryHamper: Cloth
Microwave: Apple Bowl Bread Cup Egg Glassbottle Mug Plate Potato Tomato
Ottoman: Book Box CellPhone CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
Safe: CD CellPhone CreditCard KeyChain Statue Vase
Shelf: AlarmClock Book Bowl Box CD Candle CellPhone Cloth CreditCard Cup DishSponge Glassbottle HandTowel
 Kettle KeyChain Mug Newspaper Pen Pencil PepperShaker Plate Pot RemoteControl SaltShaker SoapBar SoapBottle
 SprayBottle Statue TissueBox ToiletPaper Vase Watch WateringCan WineBottle
SideTable: AlarmClock Apple BaseballBat BasketBall Book Bowl Box Bread ButterKnife CD Candle CellPhone Cloth
 CreditCard Cup DishSponge Egg Fork HandTowel Kettle KeyChain Knife Laptop Lettuce Mug Newspaper Pan Pen
 Pencil PepperShaker Plate Pot Potato RemoteControl SaltShaker SoapBar SoapBottle Spatula Spoon SprayBottle
 Statue TennisRacket TissueBox ToiletPaper Tomato Vase Watch WateringCan WineBottle
SinkBasin: Apple Bowl ButterKnife Cloth Cup DishSponge Egg Fork Glassbottle HandTowel Kettle Knife Ladle
 Lettuce Mug Pan Plate Pot Potato SoapBar Spatula Spoon Tomato
Sofa: Book Box CellPhone CreditCard KeyChain Laptop Newspaper Pillow RemoteControl
StoveBurner: Kettle Pan Pot
TVStand: TissueBox
Toilet: Candle Cloth DishSponge HandTowel SoapBar SoapBottle SprayBottle TissueBox ToiletPaper
ToiletPaperHanger: ToiletPaper
TowelHolder: Towel
"""
FITS: dict[str, frozenset[str]] = {
    line.partition(":")[0]: frozenset(line.partition(":")[2].split())
    for line in _FITS_TEXT.strip().replace("\n ", " ").splitlines()
}
"""Receptacle type -> the object types that may be put there, as in the official games."""

HEATABLE = frozenset(_words("Apple Bread Cup Egg Mug Plate Potato Tomato"))
COOLABLE = HEATABLE | frozenset(_words("Bowl Lettuce Pan Pot WineBottle"))
CLEANABLE = (COOLABLE - {"Bread", "WineBottle"}) | frozenset(
    _words("ButterKnife Cloth DishSponge Fork Kettle Knife Ladle SoapBar Spatula Spoon")
)
SLICEABLE = frozenset(_words("Apple Bread Egg Lettuce Potato Tomato"))
HOLDERS = frozenset(_words("Bowl Box Cup Mug Pan Plate Pot"))
OPENABLE = frozenset(_words("Cabinet Drawer Fridge Microwave Safe"))
LAMP = "DeskLamp"
LAMP_PLACES = ("Desk", "Dresser", "Shelf", "SideTable", "CoffeeTable")


@dataclass(frozen=True, slots=True)
class Room:
    """A kind of room: furniture type -> (chance, least, most), and the object types found there."""

    furniture: dict[str, tuple[float, int, int]]
    things: tuple[str, ...]
    task_types: tuple[str, ...]


ROOMS: dict[str, Room] = {
    "kitchen": Room(
        {
            "Cabinet": (1.0, 4, 22),
            "CoffeeMachine": (1.0, 1, 1),
            "CounterTop": (1.0, 1, 4),
            "DiningTable": (0.55, 1, 2),
            "Drawer": (0.96, 1, 9),
            "Fridge": (1.0, 1, 1),
            "GarbageCan": (1.0, 1, 1),
            "Microwave": (1.0, 1, 1),
            "Shelf": (0.2, 1, 3),
            "SideTable": (0.2, 1, 1),
            "SinkBasin": (1.0, 1, 1),
            "StoveBurner": (1.0, 4, 4),
            "Toaster": (1.0, 1, 1),
        },
        _words(
            """
Apple Bowl Bread ButterKnife Cup DishSponge Egg Fork Glassbottle Kettle Knife Ladle
Lettuce Mug Pan PepperShaker Plate Pot Potato SaltShaker SoapBottle Spatula Spoon Tomato
WineBottle
"""
        ),
        (_PLACE, _CLEAN, _HEAT, _COOL, _TWO),
    ),
    "livingroom": Room(
        {
            "ArmChair": (0.93, 1, 2),
            "CoffeeTable": (0.85, 1, 2),
            "DiningTable": (0.5, 1, 2),
            "Drawer": (0.78, 1, 8),
            "Dresser": (0.35, 1, 1),
            "GarbageCan": (1.0, 1, 1),
            "Ottoman": (0.2, 1, 1),
            "Safe": (0.1, 1, 1),
            "Shelf": (0.37, 1, 8),
            "SideTable": (0.8, 1, 3),
            "Sofa": (1.0, 1, 2),
            "TVStand": (0.45, 1, 1),
        },
        _words(
            """
Book Bowl Box Candle CellPhone CreditCard KeyChain Laptop Newspaper Pen Pencil Pillow
Plate RemoteControl Statue TissueBox Vase Watch WateringCan
"""
        ),
        (_PLACE, _LIGHT, _TWO),
    ),
    "bedroom": Room(
        {
            "ArmChair": (0.25, 1, 2),
            "Bed": (1.0, 1, 2),
            "Cabinet": (0.15, 1, 4),
            "Desk": (0.7, 1, 2),
            "DiningTable": (0.15, 1, 1),
            "Drawer": (0.96, 2, 10),
            "Dresser": (0.5, 1, 2),
            "GarbageCan": (1.0, 1, 1),
            "LaundryHamper": (0.25, 1, 1),
            "Safe": (0.2, 1, 1),
            "Shelf": (0.67, 1, 8),
            "SideTable": (0.7, 1, 2),
        },
        _words(
            """
AlarmClock Book Bowl Box CD CellPhone Cloth CreditCard KeyChain Laptop Mug Pen Pencil
Pillow RemoteControl Statue TennisRacket TissueBox Vase Watch
"""
        ),
        (_PLACE, _LIGHT, _TWO),
    ),
    "bathroom": Room(
        {
            "BathtubBasin": (0.7, 1, 1),
            "Cabinet": (0.5, 1, 5),
            "Cart": (0.15, 1, 1),
            "CounterTop": (0.85, 1, 2),
            "Drawer": (0.55, 1, 6),
            "Dresser": (0.1, 1, 1),
            "GarbageCan": (1.0, 1, 1),
            "HandTowelHolder": (1.0, 1, 2),
            "Shelf": (0.26, 1, 3),
            "SideTable": (0.1, 1, 1),
            "SinkBasin": (1.0, 1, 2),
            "Toilet": (1.0, 1, 1),
            "ToiletPaperHanger": (1.0, 1, 1),
            "TowelHolder": (1.0, 1, 2),
        },
        _words(
            """
Candle Cloth DishSponge HandTowel SoapBar SoapBottle SprayBottle TissueBox ToiletPaper
Towel
"""
        ),
        (_PLACE, _CLEAN, _TWO),
    ),
}
