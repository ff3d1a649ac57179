"""Environments: tasks, rules and verifiers behind the Gymnasium interface."""
