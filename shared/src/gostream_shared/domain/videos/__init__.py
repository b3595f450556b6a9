"""Listings and deletions of videos."""
