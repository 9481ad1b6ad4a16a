#!/usr/bin/python3
"""gRPC with its own library, at both ends. No protocol compiler: messages are bytes.

usage: grpc_world.py serve DIR NAME   insists on the credential in DIR/secret; writes DIR/NAME-port, ends with its
                                      standard input
       grpc_world.py talk NAME        in a sandbox: makes each kind of call, and prints what was not as it should be
"""
import os
import sys
import threading
import time
from concurrent import futures

import grpc

LARGE = 1 << 20
OPTIONS = [("grpc.max_receive_message_length", 2 * LARGE), ("grpc.max_send_message_length", 2 * LARGE)]


# ---- the service

class Service(grpc.GenericRpcHandler):
    def __init__(self, secret):
        self.secret = secret
        self.over = None

    def check(self, context):
        if [v for k, v in context.invocation_metadata() if k == "authorization"] != ["Bearer " + self.secret]:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no credential")
        context.set_trailing_metadata((("x-last", "word"), ("x-bytes-bin", b"\0\1\xff")))

    def one(self, message, context):
        self.check(context)
        return message

    def fail(self, message, context):
        self.check(context)
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "because: \u00e9%")

    def count(self, messages, context):
        self.check(context)
        return b"%d" % sum(len(m) for m in messages)

    def many(self, message, context):
        self.check(context)
        for number in range(int(message)):
            yield b"%d" % number

    def both(self, messages, context):
        self.check(context)
        for message in messages:
            yield b"you said " + message

    def wait(self, message, context):
        self.check(context)
        self.over = over = threading.Event()  # of the newest call
        context.add_callback(over.set)
        yield b"begun"
        over.wait(60)

    def was_cancelled(self, message, context):
        self.check(context)
        return b"yes" if self.over.wait(20) else b"no"

    def service(self, details):
        methods = {
            "One": grpc.unary_unary_rpc_method_handler(self.one),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Count": grpc.stream_unary_rpc_method_handler(self.count),
            "Many": grpc.unary_stream_rpc_method_handler(self.many),
            "Both": grpc.stream_stream_rpc_method_handler(self.both),
            "Wait": grpc.unary_stream_rpc_method_handler(self.wait),
            "WasCancelled": grpc.unary_unary_rpc_method_handler(self.was_cancelled),
        }
        return methods.get(details.method.rpartition("/")[2])


def serve(directory, name):
    with open(os.path.join(directory, "secret")) as file:
        secret = file.read().strip()
    with open(os.path.join(directory, name + ".pem"), "rb") as file:
        pem = file.read()
    server = grpc.server(futures.ThreadPoolExecutor(16), handlers=[Service(secret)], options=OPTIONS)
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
    server.start()
    path = os.path.join(directory, name + "-port")
    with open(path + ".new", "w") as file:
        file.write(f"{port}\n")
    os.rename(path + ".new", path)
    sys.stdin.read()
    server.stop(None)


# ---- the client

def talk(name):
    wrong = []

    def want(what, got, wanted):
        if got != wanted:
            wrong.append(f"{what}: {got!r} instead of {wanted!r}")

    # The roots are those that the library finds by itself (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH), and so is the proxy.
    channel = grpc.secure_channel(f"{name}:443", grpc.ssl_channel_credentials(), options=OPTIONS)
    limit = {"timeout": 60}

    answer, call = channel.unary_unary("/t.S/One").with_call(b"hello", metadata=[("x-mine", "1")], **limit)
    want("unary", answer, b"hello")
    trailing = {k: v for k, v in call.trailing_metadata()}
    want("trailing metadata", (trailing.get("x-last"), trailing.get("x-bytes-bin")), ("word", b"\0\1\xff"))
    want("an empty message", channel.unary_unary("/t.S/One")(b"", **limit), b"")
    large = os.urandom(LARGE)
    want("a large message", channel.unary_unary("/t.S/One")(large, **limit) == large, True)
    try:
        channel.unary_unary("/t.S/Fail")(b"", **limit)
        wrong.append("a call that fails did not")
    except grpc.RpcError as error:
        want("status", (error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "because: \u00e9%"))
    try:
        channel.unary_unary("/t.S/None")(b"", **limit)
        wrong.append("a method that is not there is")
    except grpc.RpcError as error:
        want("no method", error.code(), grpc.StatusCode.UNIMPLEMENTED)
    want("client streaming", channel.stream_unary("/t.S/Count")((b"x" * 1000 for _ in range(2000)), **limit), b"2000000")
    got = list(channel.unary_stream("/t.S/Many")(b"2000", **limit))
    want("server streaming", got, [b"%d" % n for n in range(2000)])

    # Each message only after the answer to the one before: nothing may be held back in either direction.
    said, may_go_on = [], threading.Semaphore(1)

    def one_by_one():
        for number in range(200):
            may_go_on.acquire()
            said.append(b"%d" % number)
            yield said[-1]

    for message in channel.stream_stream("/t.S/Both")(one_by_one(), **limit):
        want("bidirectional", message, b"you said " + said[-1])
        may_go_on.release()
    want("bidirectional, in all", len(said), 200)

    # Many calls at a time on one channel.
    calls = [channel.unary_unary("/t.S/One").future(b"%d" % n, **limit) for n in range(300)]
    want("many at a time", [c.result() for c in calls], [b"%d" % n for n in range(300)])

    begin = time.monotonic()
    try:
        list(channel.unary_stream("/t.S/Wait")(b"", timeout=1))
        wrong.append("no deadline")
    except grpc.RpcError as error:
        want("a deadline", error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    want("a deadline is kept", time.monotonic() - begin < 30, True)
    stream = channel.unary_stream("/t.S/Wait")(b"", **limit)
    want("the first message at once", next(stream), b"begun")
    stream.cancel()
    want("the service is told of a cancelled call", channel.unary_unary("/t.S/WasCancelled")(b"", **limit), b"yes")
    print("all as it should be" if not wrong else "\n".join(wrong))


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3])
else:
    talk(sys.argv[2])
