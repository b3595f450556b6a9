"""Subtitles that are added to videos."""
