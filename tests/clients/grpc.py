"""A unary call with gRPC's C core: grpc.py HOST METHOD. The message is bytes as they are."""
import os
import sys

sys.path.pop(0)  # this file has the library's name
import grpc  # noqa: E402

with grpc.secure_channel(sys.argv[1] + ":443", grpc.ssl_channel_credentials()) as channel:
    print(channel.unary_unary(sys.argv[2])(b"octo", timeout=20).decode(), flush=True)
os._exit(0)  # its threads take a second to end
