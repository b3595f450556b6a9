import os

# Our children exec at once; gRPC's fork handlers would only complain in the log that they cannot run.
# Read when grpc is first imported, so it stands before every other import.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
