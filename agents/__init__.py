"""Agents: a policy and a memory that act in an environment and leave episodes."""
