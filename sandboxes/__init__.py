"""Sandboxes: code that runs in processes of its own, with deadlines; this floor knows nobody."""
