"""Devstack's own tests run stand-ins for the API and the worker: what is tested here is the stack."""

import sys
from pathlib import Path

import pytest

FAKE = f"{sys.executable} {Path(__file__).parent / 'fake_service.py'}"


@pytest.fixture
def fake_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSTREAM_API_COMMAND", FAKE)
    monkeypatch.setenv("GOSTREAM_WORKER_COMMAND", FAKE)
