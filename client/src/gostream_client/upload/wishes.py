"""The parameters of upload() of both clients, written once; without the imports that send a file."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from gostream_client.encoding import EncodeOptions
from gostream_client.upload.events import UploadEvents
from gostream_client.upload.source import SourceFile

DOC = """Creates a video and uploads its source from a file. Returns the video.

`title`: the name of the file unless given. `content_type`: guessed from the name unless given. `policy`,
`labels`, `external_id`: as in create_video(). `process`: also start an encode, with `profile` and `options`.
The file goes straight to the object store; above 16 MiB in parts, `parallel` at once, each checked by its
MD5. `resume`: the id of a video whose upload in parts continues, from any machine; the arguments of a new
video are not used then. The functions of `events` are called in the event loop that sends the file.

No deadline, but 60 s without progress are a failure. Transient failures are repeated. Raises
InvalidInputError before any call if the file cannot be read, and UploadError if the store refuses it.
"""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The arguments of upload()."""

    file: str | Path | SourceFile
    _: KW_ONLY
    title: str | None = None
    user_id: str = ""
    content_type: str | None = None
    policy: str = ""
    labels: Mapping[str, str] | None = None
    external_id: str = ""
    process: bool = False
    profile: str = ""
    options: EncodeOptions | None = None
    parallel: int = 4
    resume: str = ""
    events: UploadEvents | None = None
