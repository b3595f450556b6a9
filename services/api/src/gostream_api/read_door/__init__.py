"""Answers GetVideo and BatchGetVideos on a port of its own: gRPC over HTTP/2, without gRPC's C core."""
