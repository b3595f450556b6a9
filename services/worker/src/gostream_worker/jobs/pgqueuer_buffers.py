"""Makes PgQueuer's buffers wake less often than ten times a second per manager, which costs idle CPU.

With batches of one, every `add` flushes the buffer of settled jobs; the timer only repeats a failed flush.
QueueManager.run creates the buffer by its module's name and takes no interval.
"""

from datetime import timedelta
from functools import partial

from pgqueuer.core import buffers

#: Seconds between two tries to store a settled job, well below any lease.
RETRY_INTERVAL = timedelta(seconds=0.75)


def wake_seldom() -> None:
    """Applies to every QueueManager that this process runs from now on."""
    if not isinstance(buffers.JobStatusLogBuffer, partial):
        calm = partial(buffers.JobStatusLogBuffer, timeout=RETRY_INTERVAL)
        buffers.JobStatusLogBuffer = calm  # type: ignore[assignment, misc]
