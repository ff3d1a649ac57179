"""ALFWorld: household tasks in text, with the official games, an endless generator and two engines."""
