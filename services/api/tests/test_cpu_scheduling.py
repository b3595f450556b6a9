"""The scheduling policy is inherited, so tests read it in separate threads and processes."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

from gostream_api.cpu_scheduling import schedule

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="Linux only")

_TELL = "import os; print(os.sched_getscheduler(0))"


@pytest.mark.parametrize(("how", "policy"), [("batch", "SCHED_BATCH"), ("normal", "SCHED_OTHER")])
def test_process_inherits_its_scheduling_policy(how: Literal["batch", "normal"], policy: str) -> None:
    def start() -> int:
        schedule(how)
        return int(subprocess.run([sys.executable, "-c", _TELL], capture_output=True, check=True).stdout)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(start).result() == getattr(os, policy)


def test_refused_scheduling_policy_does_not_stop_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    schedule("batch")
