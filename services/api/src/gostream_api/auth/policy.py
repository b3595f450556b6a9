"""The scope that each method requires, in one table. A method without a row is refused."""

from collections.abc import Mapping
from typing import Final

from gostream_api.principal import ADMIN, PLAY, READ, WRITE

#: A method that anybody may call.
OPEN: Final = "open"
#: No caller has this scope.
CLOSED: Final = "closed"

_VIDEOS = "/gostream.v1.VideoService"
_UPLOADS = "/gostream.v1.UploadService"
_EVENTS = "/gostream.v1.EventService"
_WEBHOOKS = "/gostream.v1.WebhookService"
_TRACKS = "/gostream.v1.TrackService"
_ADMIN = "/gostream.v1.AdminService"
_HEALTH = "/grpc.health.v1.Health"

SCOPES: Mapping[str, str] = {
    f"{_VIDEOS}/GetVideo": READ,
    f"{_VIDEOS}/BatchGetVideos": READ,
    f"{_VIDEOS}/ListVideos": READ,
    f"{_VIDEOS}/WatchVideo": READ,
    f"{_VIDEOS}/CreateVideo": WRITE,
    f"{_VIDEOS}/TriggerProcess": WRITE,
    f"{_VIDEOS}/CancelProcess": WRITE,
    f"{_VIDEOS}/DeleteVideo": WRITE,
    f"{_VIDEOS}/UndeleteVideo": WRITE,
    f"{_VIDEOS}/UpdateVideo": WRITE,
    f"{_VIDEOS}/RevokePlayback": WRITE,
    f"{_VIDEOS}/GetPlaybackInfo": PLAY,
    f"{_UPLOADS}/CreateUpload": WRITE,
    f"{_UPLOADS}/GetUpload": WRITE,
    f"{_UPLOADS}/SignParts": WRITE,
    f"{_UPLOADS}/CompleteUpload": WRITE,
    f"{_UPLOADS}/AbortUpload": WRITE,
    f"{_TRACKS}/ListTracks": READ,
    f"{_TRACKS}/AddTrack": WRITE,
    f"{_TRACKS}/PrepareTrack": WRITE,
    f"{_TRACKS}/UpdateTrack": WRITE,
    f"{_TRACKS}/DeleteTrack": WRITE,
    f"{_EVENTS}/ListEvents": READ,
    f"{_EVENTS}/WatchEvents": READ,
    # URLs of receivers may contain secrets, so the scope to read is not enough.
    f"{_WEBHOOKS}/CreateWebhook": WRITE,
    f"{_WEBHOOKS}/GetWebhook": WRITE,
    f"{_WEBHOOKS}/ListWebhooks": WRITE,
    f"{_WEBHOOKS}/UpdateWebhook": WRITE,
    f"{_WEBHOOKS}/DeleteWebhook": WRITE,
    f"{_WEBHOOKS}/RotateWebhookSecret": WRITE,
    f"{_WEBHOOKS}/TestWebhook": WRITE,
    f"{_WEBHOOKS}/ListDeliveries": WRITE,
    f"{_WEBHOOKS}/Redeliver": WRITE,
    f"{_ADMIN}/ExplainVideo": ADMIN,
    f"{_HEALTH}/Check": OPEN,
    f"{_HEALTH}/List": OPEN,
    f"{_HEALTH}/Watch": OPEN,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": ADMIN,
}


def scope_of(method: str) -> str:
    """Returns the scope that the full method name requires, OPEN, or CLOSED for an unknown method."""
    return SCOPES.get(method, CLOSED)
