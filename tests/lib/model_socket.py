"""The server's end of a WebSocket (RFC 6455) in a handler of http.server: texts both ways, no extension."""
import base64
import hashlib
import struct

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def accept(handler):
    key = handler.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    handler.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key).digest()).decode())
    if "Sec-WebSocket-Protocol" in handler.headers:  # of several, the first
        handler.send_header("Sec-WebSocket-Protocol", handler.headers["Sec-WebSocket-Protocol"].partition(",")[0])
    handler.end_headers()
    return Socket(handler.rfile, handler.wfile)


class Socket:
    def __init__(self, rfile, wfile):
        self.rfile, self.wfile = rfile, wfile

    def frame(self, most):
        """(final, opcode, data), or None where the other side is gone."""
        head = self.rfile.read(2)
        if len(head) < 2:
            return None
        length = head[1] & 127
        if length > 125:
            size = 2 if length == 126 else 8
            length = int.from_bytes(self.rfile.read(size), "big")
        if length > most or not head[1] & 128:
            raise ConnectionError("a frame that is too large, or not masked")
        mask = self.rfile.read(4)
        data = self.rfile.read(length)
        if len(data) < length:
            return None
        whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (length // 4 + 1))[:length], "big")
        return head[0] & 128, head[0] & 15, whole.to_bytes(length, "big")

    def put(self, opcode, data):
        size = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BQ", 127, len(data))
        self.wfile.write(bytes([128 | opcode]) + size + data)
        self.wfile.flush()

    def send(self, text):
        self.put(TEXT, text.encode())

    def messages(self, most):
        """Each text that comes, of at most so many bytes, until the other side closes."""
        parts = b""
        while frame := self.frame(most - len(parts)):
            final, opcode, data = frame
            if opcode == CLOSE:
                self.put(CLOSE, data[:2])
                return
            if opcode == PING:
                self.put(PONG, data)
            elif opcode != PONG:
                parts += data
                if final:
                    yield parts.decode()
                    parts = b""
