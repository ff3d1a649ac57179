"""The table of all hostile programs."""

from attack_files import FILES
from attack_kernel import KERNEL
from attack_network import NETWORK
from attack_protocol import PROTOCOL
from attack_resources import RESOURCES
from cases import Hostile

FAMILIES: dict[str, list[Hostile]] = {
    "resources": RESOURCES,
    "files": FILES,
    "network": NETWORK,
    "kernel": KERNEL,
    "protocol": PROTOCOL,
}
"""Hostile programs by what they are after."""

PROGRAMS: list[Hostile] = [program for family in FAMILIES.values() for program in family]
"""All of them."""
