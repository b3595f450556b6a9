"""Answers GetVideo and BatchGetVideos on a separate port: gRPC over HTTP/2, without gRPC's C core."""
