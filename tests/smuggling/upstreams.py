#!/usr/bin/python3
"""The upstreams of the corpus, on loopback.

    upstreams.py DIR WORKSPACE    DIR: certificates (tests/lib/certs), logs, sockets; WORKSPACE: the corpus

The port of DIR/port has TLS. For api.test what comes goes on, byte for byte, to a real nginx, whose answers go back, and
to a real Node beside it; so does what comes to DIR/plain-port. For hostile.test the corpus' own answers are given.
DIR/two-port is Node's HTTP/2.
Ends when its standard input does.
"""
import array
import fcntl
import os
import signal
import socket
import ssl
import subprocess
import sys
import termios
import threading
import time

sys.dont_write_bytecode = True
import messages  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
NGINX = """daemon off; master_process off; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx-error.log warn;
load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
events {{ worker_connections 4096; }}
http {{
  log_format seen escape=json '{{"connection":$connection,"method":"$request_method","target":"$request_uri",'
    '"host":"$http_host","body":"$request_body","status":$status}}';
  access_log {0}/nginx.log seen; server_tokens off; keepalive_timeout 600s; keepalive_requests 1000000;
  client_header_timeout 600s; client_body_timeout 600s; client_max_body_size 0; client_body_buffer_size 1m;
  client_body_in_single_buffer on; large_client_header_buffers 8 128k; client_header_buffer_size 4k;
  underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;
  client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
  uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
  server {{
    listen unix:{0}/nginx.sock; server_name _;
    location / {{ echo_read_request_body; echo_exec /taken; }}
    location = /taken {{ add_header X-Saw "$request_method $request_uri"; return 200 "$request_method $request_uri"; }}
  }}
}}
"""


def start(directory):
    with open(directory + "/nginx.conf", "w") as file:
        file.write(NGINX.format(directory))
    children = [subprocess.Popen(["nginx", "-c", directory + "/nginx.conf", "-e", directory + "/nginx-error.log"]),
                subprocess.Popen(["node", "--max-http-header-size=131072", HERE + "/server.js", directory + "/node.sock",
                                  directory + "/node.log"], stdin=subprocess.PIPE),
                subprocess.Popen(["node", "--max-http-header-size=131072", HERE + "/server2.js", directory + "/two.test.pem",
                                  directory + "/two-port", directory + "/two.log"], stdin=subprocess.PIPE)]
    for name in ("nginx.sock", "node.sock"):
        until = time.monotonic() + 20
        while not answers(os.path.join(directory, name)):
            if time.monotonic() > until:
                sys.exit("waited in vain for " + name)
            time.sleep(0.02)
    return children


def answers(path):
    """The first request on each, too: its connection is number 0, and the others are counted from there."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(10)
            probe.connect(path)
            probe.sendall(b"GET /first HTTP/1.1\r\nHost: first\r\nConnection: close\r\n\r\n")
            return b" 200 " in probe.recv(4096)
    except OSError:
        return False


class Tee:
    """One connection of ours, and its two servers."""
    lock = threading.Lock()
    count = 0

    def __init__(self, client, directory):
        self.client = client
        with Tee.lock:  # the servers count connections in the order in which they are made
            Tee.count += 1
            self.servers = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
            for server, name in zip(self.servers, ("nginx.sock", "node.sock")):
                server.connect(os.path.join(directory, name))
            self.bytes = open("%s/sent.%04d" % (directory, Tee.count), "wb", buffering=0)
        threading.Thread(target=self.back, daemon=True).start()
        threading.Thread(target=self.drain, daemon=True).start()
        self.forward()

    def forward(self):
        while data := receive(self.client):
            self.bytes.write(data)
            for server in reversed(self.servers):
                try:
                    server.sendall(data)
                    wait_until_read(server)
                except OSError:
                    pass
        for server in self.servers:
            try:
                server.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def back(self):
        while data := receive(self.servers[0]):
            try:
                self.client.sendall(data)
            except OSError:
                break
        close(self.client)

    def drain(self):
        while receive(self.servers[1]):
            pass


def wait_until_read(server):
    """Only nginx' answers go back. Were Node behind it, a request and the next one, sent after nginx' answer, would reach
    Node in one read, and what follows a request with Upgrade in the same read is thrown away by it."""
    unread, until = array.array("i", [1]), time.monotonic() + 20
    while fcntl.ioctl(server, termios.TIOCOUTQ, unread) == 0 and unread[0] and time.monotonic() < until:
        time.sleep(0.0005)


def receive(connection):
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def close(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


class Hostile:
    """Gives the answers of the corpus, and a good one to /end/ID."""

    def __init__(self, client, corpus, workspace):
        have = b""
        while True:
            while b"\r\n\r\n" not in have:
                data = receive(client)
                if not data:
                    close(client)
                    return
                have += data
            head, have = have.split(b"\r\n\r\n", 1)
            path = head.split(b" ")[1].decode()
            _, kind, number = path.split("/")
            if kind == "end":
                saw = "GET " + path
                client.sendall(("HTTP/1.1 200 OK\r\nX-Saw: %s\r\nContent-Length: 2\r\n\r\nok" % saw).encode())
                continue
            message = corpus[number]
            try:
                client.sendall(message["answer"])
                if "later" in message:
                    wait_for(os.path.join(workspace, "got-" + number))
                    client.sendall(message["later"])
                    open(os.path.join(workspace, "later-" + number), "w").close()
                if message.get("then") == "close":
                    client.unwrap()
            except (OSError, ValueError):
                pass
            if message.get("then") in ("close", "cut"):
                close(client)
                return


def wait_for(path):
    until = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.002)


def main():
    directory, workspace = sys.argv[1:]
    corpus = {message["id"]: message for message in messages.read_all(workspace)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    children = start(directory)
    names = {}
    for name in ("api.test", "hostile.test"):
        names[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        names[name].load_cert_chain("%s/%s.pem" % (directory, name))
        names[name].set_alpn_protocols(["http/1.1"])

    def choose(connection, name, _):
        connection.context = names[name]

    names["api.test"].sni_callback = choose

    def serve(client, secure):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hostile = False
        if secure:
            try:
                client = names["api.test"].wrap_socket(client, server_side=True)
            except (OSError, ssl.SSLError):
                return
            hostile = client.context is names["hostile.test"]
        if hostile:
            Hostile(client, corpus, workspace)
        else:
            Tee(client, directory)

    def listen(secure, name):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        with open(os.path.join(directory, name + ".new"), "w") as file:
            file.write("%d\n" % listener.getsockname()[1])
        os.rename(os.path.join(directory, name + ".new"), os.path.join(directory, name))
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, secure), daemon=True).start()

    threading.Thread(target=listen, args=(True, "port"), daemon=True).start()
    threading.Thread(target=listen, args=(False, "plain-port"), daemon=True).start()
    try:
        sys.stdin.read()
    finally:
        for child in children:
            child.terminate()
            child.wait()


main()
