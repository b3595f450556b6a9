"""How durations are written for operators."""


def duration(seconds: float) -> str:
    """Returns a rounded duration in its largest fitting unit, for example "6 min"."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
