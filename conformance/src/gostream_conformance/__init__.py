"""Does an HLS tree keep the rules that every player relies on? A library over bytes, for worker and command.

Read `check.py` first; `rules/` holds what is demanded, one small function each.
"""
