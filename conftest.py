"""What every test run begins with."""

import signal

import hypothesis

# A shell without job control starts background commands with SIGINT ignored, and every program that a test
# starts and interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine may be busy: no example has a time limit of its own.
hypothesis.settings.register_profile("gostream", deadline=None)
hypothesis.settings.load_profile("gostream")
