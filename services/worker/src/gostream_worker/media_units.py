"""Units of published media: the 90 kHz clock, AAC frames, channels."""

#: Samples in a frame of AAC.
AAC_FRAME = 1024
#: Ticks per second of the MPEG transport stream clock.
CLOCK = 90_000
#: Channels of the published sound, independent of the source.
CHANNELS = 2
#: Shortest sound in seconds that players recognise. ffmpeg cannot open a playlist of a few frames (n9.0.2).
SHORTEST_SOUND = 0.25
