"""Scheduling is inherited, so it is looked at in threads and processes of their own."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest

from gostream_api.cpu_scheduling import schedule

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has it")

_TELL = "import os; print(os.sched_getscheduler(0))"


@pytest.mark.parametrize(("how", "policy"), [("batch", "SCHED_BATCH"), ("normal", "SCHED_OTHER")])
def test_a_process_has_its_parents_scheduling(how: Literal["batch", "normal"], policy: str) -> None:
    def start() -> int:
        schedule(how)
        return int(subprocess.run([sys.executable, "-c", _TELL], capture_output=True, check=True).stdout)

    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(start).result() == getattr(os, policy)


def test_a_kernel_that_refuses_is_no_reason_not_to_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    schedule("batch")
