"""Subtitles that are added to videos: read, fitted to the published encode, and put into its playlists."""
