"""The short path: which calls take it, and that nothing else differs from the library."""

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hpack import Encoder, NeverIndexedHeaderTuple
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest
from services.api.tests.read_door.conftest import ABSENT, COLD, HOT, PATH, Reads
from services.api.tests.read_door.wire import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Wired,
    frame,
    prefixed,
)

BATCH = PATH.replace("GetVideo", "BatchGetVideos")
USUAL: list[tuple[bytes, bytes]] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", PATH.encode()),
    (b":authority", b"localhost"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
