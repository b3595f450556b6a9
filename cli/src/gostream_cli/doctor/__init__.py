"""The doctor command: why a video is in its state, and whether a deployment works from this machine."""
