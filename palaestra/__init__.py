"""Palaestra: environments with verified rewards for language-model agents, agents, and trainers.

Importing this package registers every environment under ``palaestra/Name-vN``, so that
``gymnasium.make`` finds them. It imports neither torch nor any environment's own code.
"""

from palaestra.envs.registration import register_all

__version__ = "0.1.0"

register_all()
