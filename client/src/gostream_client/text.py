"""Untrusted text with escapes."""


def printable(text: str) -> str:
    """Returns `text` with escapes for terminal control sequences and other unprintable characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
