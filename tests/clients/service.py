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
TYPES = {"/npm/": "application/json", "/pypi/": "text/html", "/composer/": "application/json",
         "/v2/octo/manifests/": "application/vnd.oci.image.manifest.v1+json"}
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
        route = ROUTES.get(url.path.split("/")[1])
        if route is None:
            super().handle_any()
            return
        digest, length = hashlib.sha256(), 0
        for data in self.body():
            digest.update(data)
            length += len(data)
        self.record(length, digest.hexdigest())
        if self.authorised():
            route(self, url)
        else:
            self.answer(401, {"message": "Bad credentials"})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PROPFIND = do_REPORT = handle_any

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

    def lfs(self, url):
        """Where git lfs finds its one object, and the object."""
        data = b"octo\n"
        if url.path == "/lfs/octo":
            self.answer(200, data, [("Content-Type", "application/octet-stream")])
            return
        action = {"download": {"href": "https://%s/lfs/octo" % self.host()}}
        self.answer(200, {"objects": [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "actions": action}]},
                    [("Content-Type", "application/vnd.git-lfs+json")])

    def mercurial(self, url):
        """What `hg identify --bookmarks` asks of a repository."""
        answers = {"capabilities": "lookup pushkey", "lookup": "1 %040d\n" % 1, "listkeys": "bookmarks\t\nocto\t%040d\n" % 1}
        asked = dict(urllib.parse.parse_qsl(url.query)).get("cmd")
        self.answer(200 if asked in answers else 404, answers.get(asked, "").encode(),
                    [("Content-Type", "application/mercurial-0.1")])

    def subversion(self, url):
        """What `svn cat` asks of a repository with one file, /octo, in the second form of its protocol."""
        dav = "http://subversion.tigris.org/xmlns/dav/"
        if self.command == "OPTIONS":
            self.answer(200, b'<D:options-response xmlns:D="DAV:"/>', [
                ("Content-Type", "text/xml"), ("DAV", "1,2"), ("SVN-Youngest-Rev", "1"), ("SVN-Repository-Root", "/svn"),
                ("SVN-Repository-UUID", "00000000-0000-0000-0000-000000000001"), ("SVN-Me-Resource", "/svn/!svn/me"),
                ("SVN-Rev-Root-Stub", "/svn/!svn/rvr"), ("SVN-Rev-Stub", "/svn/!svn/rev"),
                ("SVN-Txn-Root-Stub", "/svn/!svn/txr"), ("SVN-Txn-Stub", "/svn/!svn/txn")])
        elif self.command == "PROPFIND":
            kind = "" if url.path.endswith("/octo") else "<D:collection/>"
            self.answer(207, ('<D:multistatus xmlns:D="DAV:" xmlns:S="%s"><D:response><D:href>%s</D:href><D:propstat>'
                              "<D:prop><D:resourcetype>%s</D:resourcetype><D:version-name>1</D:version-name>"
                              "<S:deadprop-count>0</S:deadprop-count></D:prop><D:status>HTTP/1.1 200 OK</D:status>"
                              "</D:propstat></D:response></D:multistatus>" % (dav, url.path, kind)).encode(),
                        [("Content-Type", "text/xml")])
        else:
            self.answer(200, b"octo\n", [("Content-Type", "text/plain")])

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


ROUTES = {"websocket": Clients.websocket, "range": Clients.range, "aws": Clients.aws, "lfs": Clients.lfs,
          "hg": Clients.mercurial, "svn": Clients.subversion}
ROUTES.update((name, Clients.registry) for name in "npm pypi apt crates composer gems go v2 maven".split())
upstream.main(Clients)
