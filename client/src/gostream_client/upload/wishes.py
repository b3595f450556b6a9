"""The parameters of upload() and upload_track() of both clients; without the imports that send files."""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from gostream_client.encoding import EncodeOptions
from gostream_client.upload.events import UploadEvents
from gostream_client.upload.source import SourceFile

DOC = """Creates a video and uploads its source from a file. Returns the video.

`title`: the name of the file unless given. `content_type`: guessed from the name unless given. `policy`,
`labels`, `external_id`: as in create_video(). `process`: also start an encode, with `profile` and
`options` as in trigger_process(). The file goes straight to the object store; above 16 MiB in parts,
`parallel` at once, each checked by its MD5. `resume`: the id of a video whose upload in parts continues, from
any machine; the arguments of a new video are not used then. The functions of `events` are called in the event
loop that sends the file.

No deadline, but 60 s without progress are a failure. Transient failures are repeated. Raises
InvalidInputError before any call if the file cannot be read, and UploadError if the store refuses it.
"""


TRACK_DOC = """Adds subtitles to a video from a file: SubRip, WebVTT or ASS, at most 5 MiB. Returns the track,
which is being prepared.

`language`: BCP 47, such as "de" or "pt-BR". `name`: for people; that of the language unless given.
`is_default`: chosen for viewers without a preference; `is_forced`: shown even if subtitles are off; `is_sdh`:
for people who cannot hear the sound. list_tracks() tells when the stream has the track, or why not.

The same errors and repetitions as upload().
"""


@dataclass(frozen=True, slots=True)
class TrackWishes:
    """The arguments of upload_track()."""

    video_id: str
    file: str | Path | SourceFile
    _: KW_ONLY
    language: str
    name: str = ""
    is_default: bool = False
    is_forced: bool = False
    is_sdh: bool = False


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
