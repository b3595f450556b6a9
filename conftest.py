"""What every test run begins with."""

import signal

# A shell without job control starts background commands with SIGINT ignored, and every program that a test
# starts and interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
