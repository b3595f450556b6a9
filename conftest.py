"""Process-wide setup of every test run."""

import signal

import hypothesis

pytest_plugins = ["tests.support.servers.databases"]

# A shell without job control ignores SIGINT in background commands, and programs that a test starts and
# interrupts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine may be busy: no example has its own time limit.
hypothesis.settings.register_profile("gostream", deadline=None)
hypothesis.settings.load_profile("gostream")
