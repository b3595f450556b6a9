"""The names of the encoding profiles of the API; a test compares them with the domain's."""

NAMES = frozenset({"default", "quality"})
