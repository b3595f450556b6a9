"""The names of the encoding profiles that the API offers; a test compares them with the domain's."""

NAMES = frozenset({"default", "quality"})
