"""What can go wrong in a way the person at the terminal can act on."""


class StackError(Exception):
    """A server did not start, a lock is held: the message says it all, no traceback needed."""


class PortLostError(StackError):
    """A port that was free when it was chosen belongs to another program now: choose again."""
