"""Who may play a video at the edge."""

import enum


class PlaybackPolicy(enum.StrEnum):
    """Who may play a video. The names are those of the API's enum without the prefix."""

    PUBLIC = "PUBLIC"  # everybody who has the URL
    SIGNED = "SIGNED"  # everybody who has an unexpired signed URL of the current epoch
    OFF = "OFF"  # nobody


#: The epoch of a new video.
FIRST_EPOCH = 1
#: The gate of videos that everybody may play. The gate of signed URLs is their epoch.
PUBLIC_GATE = "public"
