"""The names of the encoding profiles that callers choose from. What they mean is the worker's business."""

DEFAULT = "default"
#: More of the picture in the same bytes, for more CPU.
QUALITY = "quality"

NAMES = frozenset({DEFAULT, QUALITY})
