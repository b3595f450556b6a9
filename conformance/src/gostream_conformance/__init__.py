"""Checks an HLS tree against the rules that every player relies on. The worker and the command use it.

Start with `check.py`; `rules/` has one small function per rule.
"""
