"""The calls of AdminService, which only ADMIN_PORT of the API answers."""

from gostream.v1.admin_service_pb2 import ExplainVideoRequest, Explanation
from gostream_client import table
from gostream_client.table import Call


def explain_video(video_id: str, *, timeout: float | None = None) -> Call[Explanation]:
    """Returns why a video of any owner is in its state, and what helps.

    The client's server must be the admin port of the API. Needs the scope videos:admin. Raises
    VideoNotFoundError.
    """
    return Call(table.EXPLAIN_VIDEO, ExplainVideoRequest(id=video_id), timeout)
