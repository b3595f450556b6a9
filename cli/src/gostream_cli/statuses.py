"""The states of a video in the words of the command line.

The contract has them too, but importing it takes longer than `--help` in all. A test compares both.
"""

STATUSES = ("pending-upload", "processing", "ready", "failed", "cancelled")
