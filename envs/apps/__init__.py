"""Apps: a simulated person's digital life, behind the APIs of everyday apps.

From the bottom up: ``values`` (what arguments may be), ``api`` (an app and its APIs), ``catalogue`` (all of
them, and the scenarios), ``life`` (who people are), ``world`` (the databases of one episode, and calls),
``changes`` (what an episode changed, against what it should have), ``scenario``, ``programs`` (gold
programs), ``tasks``, ``trial`` (a program played without a sandbox), ``env``. The apps are files of
``services``, the scenarios files of ``scenarios``.
"""
