"""Trainers: episodes become better weights; one file per algorithm over a shared core."""
