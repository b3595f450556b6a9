import os

# Child processes exec immediately, so gRPC's fork handlers only log warnings. grpc reads the variable when it
# is first imported, so it is set before any other import.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
