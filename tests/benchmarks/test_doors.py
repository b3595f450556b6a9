"""The requests that the load generator of `make bench-doors` sends."""

from pathlib import Path

from benchmarks.doors.load import BATCH, batches, get_video
from gostream.v1.video_service_pb2 import BatchGetVideosRequest, GetVideoRequest

IDS = [f"00000000-0000-0000-0000-{number:012}" for number in range(BATCH)]


def parts(file: Path) -> list[bytes]:
    data, found = file.read_bytes(), []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        found.append(data[4:end])
        data = data[end:]
    return found


def test_both_kinds_ask_for_the_same_videos(tmp_path: Path) -> None:
    requests = get_video(tmp_path, "each", IDS)

    assert requests.method == "GetVideo"
    assert [GetVideoRequest.FromString(part).id for part in parts(requests.files["grpc"])] == IDS
    assert [part.decode() for part in parts(requests.files["json"])] == [f"/v1/videos/{each}" for each in IDS]


def test_batches_of_both_kinds_are_full(tmp_path: Path) -> None:
    requests = batches(tmp_path, "batch", IDS)

    assert requests.method == "BatchGetVideos"
    for message, path in zip(parts(requests.files["grpc"]), parts(requests.files["json"]), strict=True):
        ids = list(BatchGetVideosRequest.FromString(message).ids)
        assert sorted(ids) == IDS
        assert path.decode() == "/v1/videos:batchGet?" + "&".join(f"ids={each}" for each in ids)
