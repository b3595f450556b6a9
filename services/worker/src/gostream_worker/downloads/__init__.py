"""Downloads of published encodes: the published segments in one file, without encoding them again."""
