"""The apps: one file each, which holds the app's tables, what fills them, and its APIs."""
