#!/usr/bin/python3
"""WebSocket with a real library, at both ends.

usage: websocket.py serve DIR NAME    echoes what comes; insists on the credential in DIR/secret; writes DIR/NAME-port,
                                      ends with its standard input
       websocket.py talk NAME         in a sandbox: says all kinds of things to it, and prints what did not come back

A path of /close/CODE is answered with that close; /closed sends what code and reason the last client closed with.
"""
import asyncio
import os
import ssl
import sys

import websockets

SIZES = (0, 1, 125, 126, 127, 65535, 65536, 1 << 20)
CODES = (1000, 1001, 1003, 1007, 1008, 1009, 1011, 3000, 4999)
last = "none"


# ---- the service

async def serve_one(socket, path):
    global last
    if path.startswith("/close/"):
        await socket.close(int(path[7:]), "because of " + path[7:])
        return
    if path == "/closed":
        await socket.send(last)
        return
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass
    last = f"{socket.close_code} {socket.close_reason}"


async def serve(directory, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, name + ".pem"))
    context.set_alpn_protocols(["http/1.1"])
    with open(os.path.join(directory, "secret")) as file:
        secret = "Bearer " + file.read().strip()

    async def check(_, headers):
        if headers.get_all("Authorization") != [secret]:
            return 401, [("X-Why", "bad credentials")], b"no credential\n"
        return None

    async with websockets.serve(serve_one, "127.0.0.1", 0, ssl=context, process_request=check, max_size=2 << 20,
                                subprotocols=["chat"]) as server:
        path = os.path.join(directory, name + "-port")
        with open(path + ".new", "w") as file:
            file.write(f"{server.sockets[0].getsockname()[1]}\n")
        os.rename(path + ".new", path)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


# ---- the client

def connect(name, path="/", **options):
    return websockets.connect(f"wss://{name}{path}", max_size=2 << 20, subprotocols=["chat"],
                              ssl=ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]), **options)


async def pieces(socket, parts):
    """A message in pieces, with pings between them."""
    async def slowly():
        for part in parts:
            yield part
            await (await socket.ping(b"between"))
    await socket.send(slowly())
    return await socket.recv()


async def converse(name, compression):
    wrong = []
    async with connect(name, compression=compression) as socket:
        deflates = any(e.name == "permessage-deflate" for e in socket.extensions)
        if deflates != (compression == "deflate") or socket.subprotocol != "chat":
            wrong.append(f"negotiated {socket.extensions} {socket.subprotocol}")
        for size in SIZES:
            for message in (os.urandom(size), "\u00e9" * (size // 2)):
                await socket.send(message)
                if await socket.recv() != message:
                    wrong.append(f"{type(message).__name__} of {size}")
        if await pieces(socket, [b"a" * 10, b"", os.urandom(0), b"b" * 70000]) != b"a" * 10 + b"b" * 70000:
            wrong.append("pieces of bytes")
        if await pieces(socket, ["x", "", "y"]) != "xy":
            wrong.append("pieces of text")
        await (await socket.ping(os.urandom(125)))
        many = [os.urandom(100) for _ in range(500)]
        await asyncio.gather(*(socket.send(message) for message in many))
        if [await socket.recv() for _ in many] != many:
            wrong.append("many at a time")
    return wrong


async def closes(name):
    wrong = []
    for code in CODES:
        async with connect(name, f"/close/{code}") as socket:
            await socket.wait_closed()
            if (socket.close_code, socket.close_reason) != (code, f"because of {code}"):
                wrong.append(f"close {code}: {socket.close_code} {socket.close_reason}")
        socket = await connect(name)
        await socket.close(code, f"bye {code}")
        async with connect(name, "/closed") as told:
            heard = await told.recv()
            if heard != f"{code} bye {code}":
                wrong.append(f"closing with {code}: {heard}")
    return wrong


async def talk(name):
    wrong = await converse(name, None) + await converse(name, "deflate") + await closes(name)
    print("all came back" if not wrong else "\n".join(wrong))


if sys.argv[1] == "serve":
    asyncio.run(serve(sys.argv[2], sys.argv[3]))
else:
    asyncio.run(talk(sys.argv[2]))
