"""How often PgQueuer's buffers wake up: ten times a second for each manager, which an idle worker pays for.

With batches of one the buffer of settled jobs is flushed by every `add`; the timer only repeats a flush that
failed. QueueManager.run makes the buffer by its module's name and takes no interval.
"""

from datetime import timedelta
from functools import partial

from pgqueuer.core import buffers

#: Seconds between two tries to note that a job is settled, well below any lease.
RETRY_INTERVAL = timedelta(seconds=0.75)


def wake_seldom() -> None:
    """For every QueueManager of this process that runs from now on."""
    if not isinstance(buffers.JobStatusLogBuffer, partial):
        calm = partial(buffers.JobStatusLogBuffer, timeout=RETRY_INTERVAL)
        buffers.JobStatusLogBuffer = calm  # type: ignore[assignment, misc]
