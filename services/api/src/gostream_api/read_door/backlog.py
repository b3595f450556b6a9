"""The bytes of replies that wait for clients, in all connections of the door."""

from gostream_api.read_door.limits import MAX_QUEUED_IN_ALL


class Backlog:
    """The queued bytes of all connections."""

    def __init__(self) -> None:
        self.size = 0

    @property
    def is_full(self) -> bool:
        return self.size >= MAX_QUEUED_IN_ALL
