"""Policies: whatever turns a prompt into a completion, behind one interface."""
