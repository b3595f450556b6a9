"""The names of the encoding profiles that callers choose from. The worker defines their settings."""

DEFAULT = "default"
#: Better quality at the same bit rate, for more CPU time.
QUALITY = "quality"

NAMES = frozenset({DEFAULT, QUALITY})
