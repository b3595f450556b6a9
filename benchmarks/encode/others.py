"""Other ways to the same rungs: a run of ffmpeg for each, and one run with the worker's own arguments."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from gostream_worker.ffmpeg.argv import encode_arguments
from gostream_worker.ffmpeg.probe import probe_source
from gostream_worker.hls import AUDIO
from gostream_worker.ladder import DEFAULT_PROFILE, make_plan

from .media import Cost, ffmpeg


def run_per_rung(source: Path, folder: Path, heights: Sequence[int]) -> Cost:
    """As the first GoStream did it: preset fast, no cap, no say in where key frames stand."""
    wall = cpu = 0.0
    for height in heights:
        (folder / f"{height}p").mkdir()
        coding = ["-c:v", "libx264", "-preset", "fast", "-vf", f"scale=-2:{height}", "-c:a", "aac"]
        hls = ["-b:a", "128k", "-f", "hls", "-hls_time", "6", "-hls_playlist_type", "vod"]
        cost, _ = ffmpeg("-v", "error", "-i", str(source), *coding, *hls, f"{folder}/{height}p/index.m3u8")
        wall, cpu = wall + cost.wall, cpu + cost.cpu
    return Cost(wall, cpu)


def bare_command(source: Path, folder: Path) -> Cost:
    """What the worker runs, without the worker."""
    plan = make_plan(asyncio.run(probe_source(f"file:{source}", folder=folder)), DEFAULT_PROFILE)
    for name in [*(rung.name for rung in plan.rungs), AUDIO]:
        (folder / name).mkdir()
    cost, _ = ffmpeg(*encode_arguments(plan, source=f"file:{source}", folder="."), folder=folder)
    return cost
