"""Errors that the person at the terminal can act on."""


class StackError(Exception):
    """A server did not start, or a lock is held. The message suffices without a traceback."""


class PortLostError(StackError):
    """Another program took a port after it was chosen. Choose again."""
