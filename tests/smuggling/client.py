#!/usr/bin/python3
"""In the sandbox: sends each message of the corpus as it stands, and writes down what came back.

    client.py DIR    DIR holds the corpus; the outcomes go to DIR/outcomes.json

Behind each message goes a request of good manners, GET /end/ID: on the same connection where that is still there, else
on another. It must get its own answer and no other, and it tells in every log where the message's part ends.
"""
import json
import os
import socket
import ssl
import sys
import time

sys.dont_write_bytecode = True
import frames  # noqa: E402
import messages  # noqa: E402

SECONDS = 20
CONTEXT = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
H2 = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
H2.set_alpn_protocols(["h2"])
HOSTS = {"tls": "api.test", "h2": "api.test", "two": "two.test", "proxy": "plain.test", "answer": "hostile.test"}


def connect(via):
    host = HOSTS[via]
    if via == "proxy":
        connection = socket.create_connection(("127.0.0.1", 3128))
    else:
        connection = (H2 if via == "h2" else CONTEXT).wrap_socket(socket.create_connection((host, 443)),
                                                                  server_hostname=host)
    connection.settimeout(SECONDS)
    return connection


class Reader:
    def __init__(self, connection):
        self.connection, self.have, self.over = connection, b"", False

    def more(self):
        try:
            part = self.connection.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            part = b""
        self.over = not part
        self.have += part

    def until(self, good):
        while not good() and not self.over:
            self.more()
        return good()

    def line(self):
        if not self.until(lambda: b"\r\n" in self.have):
            return None
        line, self.have = self.have.split(b"\r\n", 1)
        return line

    def exactly(self, size):
        whole = self.until(lambda: len(self.have) >= size)
        data, self.have = self.have[:size], self.have[size:]
        return data, whole

    def chunks(self):
        body = b""
        while (line := self.line()) is not None:
            if not (size := int(line, 16)):
                while (line := self.line()):
                    pass
                return body, line is not None
            data, whole = self.exactly(size)
            body += data
            if not whole:
                break
            self.exactly(2)
        return body, False

    def answer(self, to):
        """The next final answer: {"status", "fields", "body", "whole"}; None: the connection is over."""
        while True:
            line = self.line()
            if line is None:
                return None
            status, fields = int(line.split()[1]), {}
            while (line := self.line()):
                name, _, value = line.partition(b":")
                fields.setdefault(name.decode().lower(), value.strip().decode("latin-1"))
            if line is None:
                return None
            if status >= 200 or status == 101:
                break
        body, whole = b"", True
        if to == "HEAD" or status in (101, 204, 304):
            pass
        elif "transfer-encoding" in fields:
            body, whole = self.chunks()
        elif "content-length" in fields:
            body, whole = self.exactly(int(fields["content-length"]))
        else:
            self.until(lambda: False)
            body, self.have = self.have, b""
        return {"status": status, "fields": fields, "body": body.decode("latin-1"), "whole": whole}


def shown(answer, want):
    """In the form of the wants."""
    if answer is None:
        return {"end": "cut"}
    saw = answer["fields"].get("x-saw")
    if saw and "request" in want:
        return {"saw": saw}
    return {"status": answer["status"], "cut": not answer["whole"], "body": answer["body"]}


def end_request(via, number):
    form = "http://plain.test" if via == "proxy" else ""
    return ("GET %s/end/%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (form, number, HOSTS[via])).encode()


def end(connection, reader, via, number):
    """The request of good manners, and whatever else the connection says until it is over."""
    connection.sendall(end_request(via, number))
    answer = reader.answer("GET")
    reader.until(lambda: False)
    return {"saw": answer and answer["fields"].get("x-saw"), "surplus": reader.have.decode("latin-1")}


def wait_for(path):
    until = time.monotonic() + SECONDS
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.002)


def touch(path):
    open(path, "w").close()


def run(message, directory):
    via, outcome = message["via"], []
    connection = connect(via)
    if via == "h2":
        came = frames.converse(connection, message)
        connection.close()
        words = {"goaway": {"end": "goaway"}, "cut": {"end": "over"}, "reset": {"reset": came[-1]}}
        saw = came[0] == 200 and "request" in message["want"][0]
        outcome.append(words.get(came[0]) or ({"saw": came[1]} if saw else
                                              {"status": came[0], "cut": False, "body": came[-1]}))
        connection = connect("tls")
        return {"came": outcome, "end": end(connection, Reader(connection), "tls", message["id"])}
    if via == "answer":
        message["send"] = ("%s /answer/%s HTTP/1.1\r\nHost: hostile.test\r\n\r\n"
                           % (message.get("method", "GET"), message["id"])).encode()
    connection.sendall(message["send"])
    reader, over = Reader(connection), False
    for want in message["want"]:
        if "end" in want:
            reader.until(lambda: False)
            outcome.append({"end": "surplus" if reader.have else "over"})
            over = True
            continue
        to = message.get("method") or want.get("method") or want["request"][0]
        outcome.append(shown(reader.answer(to), want))
    if "later" in message:
        touch(os.path.join(directory, "got-" + message["id"]))
        wait_for(os.path.join(directory, "later-" + message["id"]))
    if over or reader.over:
        connection.close()
        connection = connect(via)
        reader = Reader(connection)
    return {"came": outcome, "end": end(connection, reader, via, message["id"])}


def main():
    directory = sys.argv[1]
    outcomes = {}
    for message in messages.read_all(directory):
        try:
            outcomes[message["id"]] = run(message, directory)
        except (OSError, ValueError, KeyError) as error:
            outcomes[message["id"]] = {"came": ["%s: %s" % (type(error).__name__, error)], "end": {}}
            try:
                connection = connect("tls")
                end(connection, Reader(connection), "tls", message["id"])
            except OSError:
                pass
    with open(os.path.join(directory, "outcomes.json"), "w") as file:
        json.dump(outcomes, file)


main()
