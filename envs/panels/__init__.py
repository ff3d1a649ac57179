"""Panels by name: a small and a full one for each environment, as committed files.

``NAME.json`` are the panels, ``recipes`` says how they were drawn, ``named`` finds them. A panel never
changes: a better one gets another name, so that published figures keep meaning what they meant.
"""
