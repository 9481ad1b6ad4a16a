#!/usr/bin/python3
"""An upstream that means harm, or is broken (threat F08), and a name server that does (E06), on loopback.

usage: upstream-hostile.py DIR

DIR holds what `certs` made, and gets `hostile-port` (TLS, hostile.test), `garbage-port` (what is no TLS), `dns-port`,
`websocket-port` (plain), and logs: `hostile.log`, one line "PATH PORT BYTES" for each answer when it is over, and
`dns.log`, one line "NAME TYPE" for each query. It ends when its standard input does.

Paths: /silent says nothing; /stall stops in its body; /short ends early; /headers has a head of 1 GiB; /informational
1xx heads without an end; /bomb a body of 1 MiB that says it is gzip; anything else is a good answer.
Names: mixed.dns.test has a good and a bad address, sixth.dns.test a bad one of IPv6 beside a good one, flip.dns.test
a good one the first time and then a bad one.
"""
import os
import socket
import ssl
import struct
import sys
import threading

GIB = 1 << 30


def log(directory, name, text):
    with open(os.path.join(directory, name), "a") as file:
        file.write(text + "\n")


def answer(connection, path):
    """Says it, and returns how many bytes the other side took."""
    sent = 0

    def say(data):
        nonlocal sent
        connection.sendall(data)
        sent += len(data)

    try:
        if path == "/silent":
            connection.recv(1)
        elif path == "/stall":
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.recv(1)
        elif path == "/short":
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif path == "/headers":
            say(b"HTTP/1.1 200 OK\r\n")
            while sent < GIB:
                say(b"X-Pad: " + b"x" * 1000 + b"\r\n")
        elif path == "/informational":
            while sent < GIB:
                say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 20)
        elif path == "/bomb":
            say(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1048576\r\n\r\n" + b"\x1f\x8b" + b"\0" * 1048574)
            return sent, True
        else:
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood\n")
            return sent, True
    except OSError:
        pass
    return sent, False


def hostile(directory, connection, port, context):
    try:
        connection = context.wrap_socket(connection, server_side=True)
        have, good = b"", True
        while good:
            while b"\r\n\r\n" not in have:
                part = connection.recv(65536)
                if not part:
                    return
                have += part
            head, have = have.split(b"\r\n\r\n", 1)
            path = head.split(b" ")[1].decode()
            sent, good = answer(connection, path)
            log(directory, "hostile.log", "%s %d %d" % (path, port, sent))
    except OSError:
        pass
    finally:
        connection.close()


def garbage(connection):
    try:
        connection.recv(1)
        connection.sendall(b"\x16\x03\x03\xff\xff" + bytes(range(256)) * 64)
        connection.recv(65536)
    except OSError:
        pass
    connection.close()


def websocket(connection):
    """Takes any upgrade, and gives back what comes then."""
    have = b""
    while b"\r\n\r\n" not in have:
        have += connection.recv(65536)
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    while (data := connection.recv(65536)):
        connection.sendall(data)
    connection.close()


GOOD, PRIVATE, METADATA, SIXTH = "127.0.0.1", "10.9.8.7", "169.254.169.254", "fd00:ec2::254"


def names(directory, server):
    asked = 0
    while True:
        query, client = server.recvfrom(512)
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), struct.unpack(">H", query[at + 1:at + 3])[0]
        log(directory, "dns.log", "%s %d" % (name, kind))
        found = {("mixed.dns.test", 1): [GOOD, PRIVATE], ("sixth.dns.test", 1): [GOOD], ("sixth.dns.test", 28): [SIXTH],
                 ("flip.dns.test", 1): [METADATA if asked else GOOD]}.get((name, kind), [])
        asked += (name, kind) == ("flip.dns.test", 1)
        out = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:at + 5]
        for address in found:
            packed = socket.inet_pton(socket.AF_INET6 if kind == 28 else socket.AF_INET, address)
            out += struct.pack(">HHHIH", 0xc00c, kind, 1, 0, len(packed)) + packed
        server.sendto(out, client)


def serve(directory, name, each):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    write_port(directory, name, listener)

    def accept():
        while True:
            connection, client = listener.accept()
            threading.Thread(target=each, args=(connection, client[1]), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def write_port(directory, name, bound):
    path = os.path.join(directory, name)
    with open(path + ".new", "w") as file:
        file.write("%d\n" % bound.getsockname()[1])
    os.rename(path + ".new", path)


def main():
    directory = sys.argv[1]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory + "/hostile.test.pem")
    context.set_alpn_protocols(["http/1.1"])
    serve(directory, "hostile-port", lambda connection, port: hostile(directory, connection, port, context))
    serve(directory, "garbage-port", lambda connection, _: garbage(connection))
    serve(directory, "websocket-port", lambda connection, _: websocket(connection))
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    threading.Thread(target=names, args=(directory, server), daemon=True).start()
    write_port(directory, "dns-port", server)
    sys.stdin.read()


main()
