"""A client of HTTP/2 without manners: it writes any field, and reads no more of an answer than its status and its body."""
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1
STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541, appendix A


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def number(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out, value = bytes([first | most]), value - most
    while value >= 128:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(fields):
    """Literals without indexing or Huffman's code."""
    return b"".join(b"\0" + number(len(name), 7) + name + number(len(value), 7) + value for name, value in fields)


def request(message):
    """The frames of stream 1."""
    fields = list(message["fields"])
    if "open" in message:
        method, path = message["open"].encode().split(b" ", 1)
        fields = [(b":method", method), (b":scheme", b"https"), (b":authority", b"api.test"), (b":path", path)] + fields
    parts = [(HEADERS, block(fields))] + [(DATA, data) for data in message["frames"]]
    if message.get("trailers"):
        parts.append((HEADERS, block(message["trailers"])))
    out = b""
    for i, (kind, payload) in enumerate(parts):
        flags = (END_HEADERS if kind == HEADERS else 0) | (END_STREAM if i == len(parts) - 1 else 0)
        out += frame(kind, flags, 1, payload)
    return PREFACE + frame(SETTINGS, 0, 0) + out


def status_of(payload):
    """The first field of an answer is :status (RFC 9113 8.3): indexed, or a literal with Huffman's digits or plain."""
    at = 0
    while payload[at] & 0xe0 == 0x20:  # a size update
        at += 1
    first = payload[at]
    if first & 0x80:
        return STATUSES[first & 0x7f]
    length, huffman = payload[at + 1] & 0x7f, payload[at + 1] & 0x80
    text = payload[at + 2:at + 2 + length]
    if not huffman:
        return int(text)
    bits, digits = "".join("{:08b}".format(byte) for byte in text), ""
    while len(digits) < 3:
        if bits[:5] in ("00000", "00001", "00010"):
            digits, bits = digits + str(int(bits[:5], 2)), bits[5:]
        else:
            digits, bits = digits + str(int(bits[:6], 2) - 0b011001 + 3), bits[6:]
    return int(digits)


def converse(connection, message):
    """Sends the request and tells what became of it: [status, body], ["reset", code], ["goaway"] or ["cut"]."""
    connection.sendall(request(message))
    have, status, body = b"", None, b""
    while True:
        while len(have) >= 9 and len(have) >= 9 + (size := int.from_bytes(have[:3], "big")):
            kind, flags, stream, payload = have[3], have[4], int.from_bytes(have[5:9], "big"), have[9:9 + size]
            have = have[9 + size:]
            if kind == SETTINGS and not flags & ACK:
                connection.sendall(frame(SETTINGS, ACK, 0))
            elif kind == GOAWAY:
                return ["goaway"]
            elif kind == RESET:
                return ["reset", struct.unpack(">I", payload)[0]]
            elif kind == HEADERS and stream == 1 and status is None:
                first = status_of(payload)
                status = first if first >= 200 else None
            elif kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                return [status, body.decode("latin-1")]
        part = connection.recv(65536)
        if not part:
            return ["cut"]
        have += part
