"""Reads the corpus: FAMILY.txt beside this file (README says how a message is written)."""
import glob
import os

ESCAPED = ("send", "answer", "later", "data")


def unescape(text):
    return text.encode("latin-1").decode("unicode_escape").encode("latin-1")


def want_of(text):
    """One thing that must happen: {"request": [method, target, body]}, {"status": n, "method": m, "body": b} or {"end": word}."""
    first, _, rest = text.partition(" ")
    if first in ("close", "cut", "goaway"):
        return {"end": first}
    if first == "reset":
        return {"reset": int(rest)}
    if first[:3].isdigit() and not first[3:].strip("|0123456789"):
        words, _, body = rest.partition('"')
        return {"status": [int(word) for word in first.split("|")], "method": "HEAD" if words.strip() == "to HEAD" else "GET", "cut": "cut" in words.split(),
                "body": unescape(body[:-1]).decode("latin-1") if body else None}
    rest, _, but = rest.partition(" but ")
    words, _, body = rest.partition(' "')
    return {"request": [first, words, unescape(body[:-1]).decode("latin-1") if body else ""], "but": int(but or 0)}


def read_file(path):
    family = os.path.basename(path)[:-len(".txt")]
    message = None
    with open(path, encoding="ascii") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line:
                message = None
            elif not line.startswith("#"):
                key, _, value = line.partition(": ")
                key, _, times = key.partition("*")
                if key == "name":
                    message = {"name": "%s/%s" % (family, value), "line": number, "via": "tls", "want": [], "frames": [],
                               "fields": [], "sees": [], "seesnot": []}
                    yield message
                if key in ESCAPED:
                    value = unescape(value) * int(times or 1)
                if key == "want":
                    message["want"] += [want_of(value)] * int(times or 1)
                elif key == "data":
                    message["frames"].append(value)
                elif key in ("field", "trailer"):
                    name, _, text = value.partition(" = ")
                    message.setdefault(key + "s", []).append((unescape(name), unescape(text)))
                elif key in ("sees", "seesnot"):
                    message[key].append(unescape(value).decode("latin-1"))
                elif key in ESCAPED:
                    message[key] = message.get(key, b"") + value
                elif key in ("name", "via", "method", "then", "open"):
                    if key != "name":
                        message[key] = value
                else:
                    raise ValueError("%s:%d: %s is no word" % (path, number, key))


def to_two(message):
    """The same to two.test, whose upstream speaks HTTP/2 (an upgrade would be asked for over HTTP/1.1)."""
    two = dict(message, name=message["name"] + " to HTTP/2", via="two")
    two["send"] = message["send"].replace(b"api.test", b"two.test").replace(b"API.Test", b"TWO.Test")
    two["want"] = [dict(want, request=want["request"][:2] + [want["request"][2].replace("api.test", "two.test")])
                   if "request" in want else want for want in message["want"]]
    two["sees"] = [text for text in message["sees"] if not text.startswith("host:")]  # it has :authority
    return two


def read_all(directory):
    found = []
    for path in sorted(glob.glob(os.path.join(directory, "*.txt"))):
        found += read_file(path)
    names = [message["name"] for message in found]
    assert len(names) == len(set(names)), "a name twice: %s" % [n for n in names if names.count(n) > 1]
    found += [to_two(message) for message in found if message["via"] == "tls" and b"Upgrade:" not in message["send"]]
    for number, message in enumerate(found):
        message["id"] = str(number)
        assert message["want"], "%s wants nothing" % message["name"]
    return found
