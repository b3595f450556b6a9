"""The fast door: GetVideo and BatchGetVideos answered inside Envoy's process, as gRPC over ASGI.

The same read path as gostream-api's, another transport; docs/explanation/fast-door.md says why and how.
"""
