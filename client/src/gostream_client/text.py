"""Escapes untrusted text in messages for people."""


def printable(text: str) -> str:
    """Returns `text` with escapes for terminal control sequences and other unprintable characters."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
