#!/usr/bin/python3
"""The HTTPS service of the client matrix: tests/lib/upstream.py with package registries, WebSocket, ranges and an answer
for the aws command. Every name of UNTOUCHED is reached through a tunnel: what comes there must hold no credential."""
import base64
import hashlib
import os
import re
import struct
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import upstream  # noqa: E402

UNTOUCHED = ("tunnel.test", "own.test")
TYPES = {"/npm/": "application/json", "/pypi/": "text/html", "/composer/": "application/json"}
CALLER = b"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::123456789012:user/octo</Arn><UserId>octo</UserId><Account>123456789012</Account>
</GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""


class Clients(upstream.Service):
    def host(self):
        return self.headers.get("Host", "").partition(":")[0]

    def authorised(self):
        if self.host() in UNTOUCHED:
            return not any(self.secret in text for text in self.headers.values())
        return super().authorised()

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        route = {"npm": self.registry, "pypi": self.registry, "apt": self.registry, "crates": self.registry,
                 "composer": self.registry, "gems": self.registry, "websocket": self.websocket, "range": self.range, "aws": self.aws}.get(url.path.split("/")[1])
        if route is None:
            super().handle_any()
            return
        digest, length = hashlib.sha256(), 0
        for data in self.body():
            digest.update(data)
            length += len(data)
        self.record(length, digest.hexdigest())
        if self.authorised():
            route(url)
        else:
            self.answer(401, {"message": "Bad credentials"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def registry(self, url):
        """Files that `registry` made; a document may hold the name by which it was asked for."""
        path = os.path.join(self.directory, "registry", urllib.parse.unquote(url.path).strip("/"))
        if ".." in path or not os.path.exists(path):
            self.answer(404, {"error": "not found"})
            return
        if os.path.isdir(path):
            path = os.path.join(path, "index")
        with open(path, "rb") as file:
            data = file.read()
        kind = next((kind for prefix, kind in TYPES.items() if url.path.startswith(prefix)), "")
        if os.path.basename(path) == "index":
            data = data.replace(b"{HOST}", self.host().encode())
        else:
            kind = "application/octet-stream"
        self.answer(200, data, [("Content-Type", kind)])

    def range(self, _):
        """1000 bytes, the last four of which are a word; a part of them where one is asked for."""
        data = bytes(996) + b"octo"
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not asked:
            self.answer(200, data, [("Content-Type", "application/octet-stream")])
            return
        first, last = int(asked[1]), int(asked[2])
        self.answer(206, data[first:last + 1], [("Content-Type", "application/octet-stream"),
                                                ("Content-Range", "bytes %d-%d/%d" % (first, last, len(data)))])

    def aws(self, _):
        self.answer(200, CALLER, [("Content-Type", "text/xml")])

    # ---- RFC 6455, as much of it as an echo needs ----

    def frame(self, opcode, data):
        head = bytes([0x80 | opcode])
        head += bytes([len(data)]) if len(data) < 126 else b"\x7f" + struct.pack("!Q", len(data))
        self.wfile.write(head + data)
        self.wfile.flush()

    def read_frame(self):
        head = self.rfile.read(2)
        if len(head) < 2:
            return None, b""
        length = head[1] & 0x7f
        if length >= 126:
            length = int.from_bytes(self.rfile.read(2 if length == 126 else 8), "big")
        mask = self.rfile.read(4)
        return head[0] & 0xf, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self.rfile.read(length)))

    def websocket(self, url):
        """Greets, gives every message back, and ends when the client does; /once: after the greeting."""
        key = self.headers.get("Sec-WebSocket-Key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.frame(1, b"hello from the service")
        self.close_connection = True
        while not url.path.endswith("/once"):
            opcode, data = self.read_frame()
            if opcode is None:
                return
            self.frame(opcode, data)
            if opcode == 8:
                return


upstream.main(Clients)
