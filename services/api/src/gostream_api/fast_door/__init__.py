"""The fast door: serves GetVideo and BatchGetVideos inside Envoy's process, as gRPC over ASGI.

It shares the read path of gostream-api and differs in the transport; see docs/explanation/fast-door.md.
"""
