#!/usr/bin/python3
"""A small HTTPS service for the tests and the demonstration: real TLS, and it insists on its credential.

usage: upstream.py DIR [--git ROOT]

DIR holds what `certs` made (one NAME.pem with key and certificate a name) and gets `port`, `plain-port`, and
`requests.log`: one JSON object a request (method, path, headers as they came, body length and hash). The
credential that it expects is in DIR/secret. It listens on 127.0.0.1 only and ends when its standard input does.
"""
import base64
import gzip
import hashlib
import hmac
import http.server
import json
import os
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

MAX_HEADERS = 200
CHUNK = 64 * 1024


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    directory = ""
    git_root = ""
    secret = ""
    log_lock = threading.Lock()
    released = threading.Event()

    def log_message(self, *unused):
        pass

    # ---- reading and answering ----

    def body(self):
        """Yields the request's body as it arrives."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while True:
                line = self.rfile.readline()
                if not line:
                    raise ConnectionError("the request was cut off")
                size = int(line.split(b";")[0], 16)
                data = self.rfile.read(size)
                self.rfile.readline()
                if size == 0:
                    return
                yield data
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            data = self.rfile.read(min(left, CHUNK))
            if not data:
                raise ConnectionError("the request was cut off")
            left -= len(data)
            yield data

    def record(self, length, digest):
        tls = self.connection if isinstance(self.connection, ssl.SSLSocket) else None
        line = {"method": self.command, "path": self.path, "headers": self.headers.items(), "tls": tls is not None,
                "version": tls and tls.version(), "resumed": tls and tls.session_reused, "length": length,
                "sha256": digest, "peer": self.client_address[1]}
        with self.log_lock, open(os.path.join(self.directory, "requests.log"), "a") as log:
            log.write(json.dumps(line) + "\n")

    def answer(self, status, value, headers=()):
        data = value if isinstance(value, bytes) else (json.dumps(value) + "\n").encode()
        self.send_response(status)
        names = {name.lower() for name, _ in headers}
        if "content-type" not in names:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def authorised(self):
        """bearer, `token`, X-Api-Key, or basic with the credential as the password: exactly one of them."""
        found = self.headers.get_all("Authorization", []) + self.headers.get_all("X-Api-Key", [])
        if len(found) != 1:
            return False
        text = found[0]
        if text.lower().startswith("basic "):
            text = base64.b64decode(text[6:]).decode().partition(":")[2]
        else:
            text = text.rpartition(" ")[2]
        return hmac.compare_digest(text, self.secret)

    # ---- routes ----

    def handle_any(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path.startswith("/git/") and self.git_root:
            self.git(url)
            return
        digest, length = hashlib.sha256(), 0
        for data in self.body():
            digest.update(data)
            length += len(data)
        self.record(length, digest.hexdigest())
        if url.path.startswith("/open"):
            self.answer(200, {"open": True, "path": self.path, "method": self.command})
        elif url.path == "/upload":
            self.answer(200, {"length": length, "sha256": digest.hexdigest()})
        elif url.path == "/download":
            self.download(int(query.get("bytes", 1024)), "chunked" in query)
        elif url.path == "/redirect":
            self.answer(302, b"", [("Location", query["to"])])
        elif url.path == "/stream":
            self.stream(int(query.get("count", 5)), float(query.get("delay", 0.1)))
        elif url.path == "/reflect":
            self.reflect(query.get("how", "plain"))
        elif url.path == "/held":
            self.held()
        elif url.path == "/release":
            self.released.set()
            self.answer(200, {"released": True})
        elif url.path == "/close":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"cut")
            self.wfile.flush()
            self.close_connection = True
        elif not self.authorised():
            self.answer(401, {"message": "Bad credentials"})
        else:
            self.answer(200, {"login": "octo", "path": self.path, "method": self.command,
                              "length": length, "fields": sorted(n.lower() for n, _ in self.headers.items())})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = handle_any

    def download(self, size, chunked):
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(size))
        self.end_headers()
        block = bytes(range(256)) * (CHUNK // 256)
        left = size
        while left > 0:
            part = block[:left]
            self.wfile.write((b"%x\r\n" % len(part) + part + b"\r\n") if chunked else part)
            left -= len(part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def stream(self, count, delay):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(count):
            data = b"data: %d\n\n" % number
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
            self.wfile.flush()
            time.sleep(delay)
        self.wfile.write(b"0\r\n\r\n")

    def reflect(self, how):
        """Gives the credential back as hostile services do (threat C06)."""
        field = self.headers.get("Authorization", "none")
        secret = field.rpartition(" ")[2].encode()
        if how == "base64":
            secret = base64.b64encode(b"you sent: " + secret)
        self.send_response(200)
        self.send_header("X-You-Sent", field)
        if how == "gzip":
            body = gzip.compress(b"begin " + secret + b" end")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if how == "plain" or how == "base64":
            self.send_header("Content-Length", str(len(secret) + 12))
            self.end_headers()
            self.wfile.write(b"begin " + secret + b" end..")
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Last")
        self.end_headers()
        for byte in secret if how == "split" else [secret]:
            part = bytes([byte]) if how == "split" else byte
            self.wfile.write(b"%x\r\n" % len(part) + part + b"\r\n")
            self.wfile.flush()
            if how == "split":
                time.sleep(0.005)
        self.wfile.write(b"0\r\nX-Last: " + secret + b"\r\n\r\n")

    def held(self):
        """Begins an answer, and ends it once somebody asks for /release: no test has to race a clock."""
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"held ")
        self.wfile.flush()
        self.released.wait(60)
        self.released.clear()
        self.wfile.write(b"free\n")

    def git(self, url):
        """git http-backend as a CGI program, behind basic authentication."""
        if not self.authorised():
            for _ in self.body():
                pass
            self.record(0, "")
            self.answer(401, {"message": "authentication required"}, [("WWW-Authenticate", 'Basic realm="git"')])
            return
        digest, length = hashlib.sha256(), 0
        with tempfile.TemporaryFile(dir=self.directory) as body:  # as large as a push is
            for data in self.body():
                digest.update(data)
                length += len(data)
                body.write(data)
            self.record(length, digest.hexdigest())
            body.seek(0)
            env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": self.git_root, "GIT_HTTP_EXPORT_ALL": "1",
                   "PATH_INFO": url.path[len("/git"):], "QUERY_STRING": url.query, "REQUEST_METHOD": self.command,
                   "REMOTE_USER": "octo", "REMOTE_ADDR": "127.0.0.1", "CONTENT_LENGTH": str(length),
                   "CONTENT_TYPE": self.headers.get("Content-Type", ""), "HOME": self.directory,
                   "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                   "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                   "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}
            with subprocess.Popen(["git", "http-backend"], stdin=body, stdout=subprocess.PIPE, env=env) as child:
                self.git_answer(child.stdout)

    def git_answer(self, out):
        """What a CGI program writes, passed on as it comes."""
        status, headers = 200, []
        while line := out.readline().decode().strip():
            name, _, text = line.partition(": ")
            if name == "Status":
                status = int(text.split()[0])
            else:
                headers.append((name, text))
        self.send_response(status)
        for name, text in headers:
            self.send_header(name, text)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while data := out.read1(CHUNK):
            self.wfile.write(b"%x\r\n" % len(data) + data + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *unused):
        pass


class TlsServer(Server):
    """The handshake runs in the connection's own thread, so that a bad client holds up no one."""

    def __init__(self, address, handler, contexts):
        self.contexts = contexts
        super().__init__(address, handler)

    def finish_request(self, request, client_address):
        default = self.contexts["default"]
        try:
            tls = default.wrap_socket(request, server_side=True)
        except (ssl.SSLError, OSError):
            return
        self.RequestHandlerClass(tls, client_address, self)
        try:
            tls.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass


def contexts_of(directory):
    """One context for each NAME.pem, chosen by SNI; `default` for the others."""
    found = {}
    for entry in sorted(os.listdir(directory)):
        if entry.endswith(".pem") and entry not in ("ca.pem", "ca-key.pem"):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.path.join(directory, entry))
            context.set_alpn_protocols(["http/1.1"])
            found[entry[:-4]] = context

    def choose(socket, name, _):
        if name in found:
            socket.context = found[name]

    found["default"].sni_callback = choose
    return found


def main(service=Service):
    directory = sys.argv[1]
    service.directory = directory
    if "--git" in sys.argv:
        service.git_root = sys.argv[sys.argv.index("--git") + 1]
    with open(os.path.join(directory, "secret")) as file:
        service.secret = file.read().strip()
    tls = TlsServer(("127.0.0.1", 0), service, contexts_of(directory))
    plain = Server(("127.0.0.1", 0), service)
    for server, name in ((tls, "port"), (plain, "plain-port")):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open(os.path.join(directory, name + ".new"), "w") as file:
            file.write(f"{server.server_address[1]}\n")
        os.rename(os.path.join(directory, name + ".new"), os.path.join(directory, name))
    sys.stdin.read()


if __name__ == "__main__":
    main()
