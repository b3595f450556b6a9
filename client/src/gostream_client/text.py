"""Foreign text in messages for people."""


def printable(text: str) -> str:
    """Foreign text; characters that steer a terminal or cannot be printed become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
