"""A client of gostream.v1: deadlines, retries, uploads and watches that survive replicas."""
