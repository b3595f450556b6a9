"""Units of published media: the 90 kHz clock, AAC frames, channels."""

#: Samples in a frame of AAC.
AAC_FRAME = 1024


#: The clock of MPEG transport streams: ticks a second.
CLOCK = 90_000


#: Of the sound, whatever the source has.
CHANNELS = 2


#: Seconds of sound that every player takes for sound. ffmpeg does not open a list of a few frames (n9.0.2).
SHORTEST_SOUND = 0.25
