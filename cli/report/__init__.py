"""The report page: what it holds (``content.py``) and how it looks (HTML, CSS and JavaScript beside it)."""
