"""Metrics over all viewers. A session is known for a short time, to be counted once, and is in no label."""

import hashlib
import os
from collections import OrderedDict
from dataclasses import dataclass

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from tools.qoe.report import Report

#: Sessions that are known at the same time, and seconds after which a silent one is forgotten.
MOST, SILENT = 50_000, 60.0


@dataclass(slots=True)
class _Session:
    began_at: float
    seen_at: float
    bucket: str
    has_started: bool = False
    media: int = 0
    waits: int = 0


class Viewers:
    """Counts reports. Sessions are kept as keyed hashes, with a key that ends with the process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._key = os.urandom(16)
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        self._startup = Histogram(
            "gostream_qoe_startup_seconds",
            "From the first request of a session to its first one with playback under way",
            ["top"],
            buckets=(0.25, 0.5, 1, 2, 4, 8, 16),
            registry=registry,
        )
        self._rebuffering = Histogram(
            "gostream_qoe_rebuffer_ratio",
            "Share of the media requests of an ended session that followed a wait",
            ["top"],
            buckets=(0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
            registry=registry,
        )
        self._throughput = Histogram(
            "gostream_qoe_throughput_kbps",
            "Throughput as the players measured it",
            ["top"],
            buckets=(500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000),
            registry=registry,
        )
        self._begun = Counter("gostream_qoe_sessions", "Sessions that have begun", ["top"], registry=registry)
        self._active = Gauge("gostream_qoe_active_sessions", "Sessions of the last minute", registry=registry)

    def note(self, report: Report) -> None:
        """Counts a report."""
        self._forget(report.at)
        key = hashlib.blake2b(report.session.encode(errors="replace"), key=self._key, digest_size=16).digest()
        session = self._sessions.pop(key, None)
        if session is None:
            session = _Session(report.at, report.at, report.bucket)
        if session.bucket == "unknown":
            session.bucket = report.bucket
        session.seen_at = report.at
        self._sessions[key] = session
        if report.throughput:
            self._throughput.labels(session.bucket).observe(report.throughput)
        if report.is_media:
            session.media += 1
            session.waits += report.has_rebuffered
            if not session.has_started and not report.is_start:
                session.has_started = True
                self._begun.labels(session.bucket).inc()
                self._startup.labels(session.bucket).observe(report.at - session.began_at)
        self._active.set(len(self._sessions))

    def _forget(self, now: float) -> None:
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if len(self._sessions) <= MOST and now - session.seen_at <= SILENT:
                return
            del self._sessions[key]
            if session.media:
                self._rebuffering.labels(session.bucket).observe(session.waits / session.media)
