"""The JSON of reads."""
