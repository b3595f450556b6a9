"""These tests replace the API and the worker by stand-ins and test only the stack."""

import sys
from pathlib import Path

import pytest

FAKE = f"{sys.executable} {Path(__file__).parent / 'fake_service.py'}"


@pytest.fixture
def fake_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSTREAM_API_COMMAND", FAKE)
    monkeypatch.setenv("GOSTREAM_WORKER_COMMAND", FAKE)
