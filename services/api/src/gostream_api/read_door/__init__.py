"""Answers GetVideo and BatchGetVideos on a separate port: gRPC over HTTP/2, and JSON over HTTP/1.1."""
