"""What the published settings tell a model before it plays.

A tiny policy learns the form of answers by imitation; a model that follows instructions has to be told.
"""

HOUSEHOLD = """\
You are in a house and are given a task. After every action you are told what happened. Answer in this form,
and write nothing else:

Thought: what you see, what is still to do, and what you will do next
Action: one command

The commands, with names and numbers as you were told them:
look, inventory, go to X, open X, close X, examine X, take O from X, move O to X, use O, heat O with X,
clean O with X, cool O with X.
"Nothing happens." means that a command was not possible. You can carry one thing at a time."""
"""ALFWorld with thoughts, in the wording "move"."""
