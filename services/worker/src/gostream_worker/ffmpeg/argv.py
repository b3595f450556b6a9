"""The arguments of ffmpeg, as a pure function of the plan."""
