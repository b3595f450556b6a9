"""Process-wide setup of every test run."""

import signal

# A shell without job control ignores SIGINT in background commands, and programs that a test starts and
# interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
