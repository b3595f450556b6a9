"""Python's garbage collector in a process that serves."""

import gc

#: Threshold of the youngest generation. Python's default is 700, and a large page makes 10,000 objects.
_YOUNG = 50_000


def collect_rarely() -> None:
    """Freeze the existing objects and collect garbage rarely.

    Calls leave little cyclic garbage, and the default collector looks at the rows of a page several times
    while they are converted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 20)
