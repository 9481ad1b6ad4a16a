#!/usr/bin/python3
"""Holds what came of each message against what it wants, and the logs of nginx, of Node and the record against each other.

    check.py LOGS WORKSPACE HOME FAMILY    prints each message that is not as it should be; status 1 where there is one

For each connection that we made, nginx and Node must have read the same requests. For each message, what nginx served
must be what the message wants, and what the record says was decided and sent.
"""
import glob
import json
import os
import sys

sys.dont_write_bytecode = True
import messages  # noqa: E402

HIDDEN = "smuggled"  # denied by policy; no message may get it there


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def of_nginx(path):
    """What nginx says in \\u00XX, and bytes from 0x80 on as they are, as latin-1."""
    with open(path, encoding="latin-1") as file:
        return [json.loads(line) for line in file]


def by_connection(rows, first):
    found = {}
    for row in rows:
        if "method" in row and row.get("status", 200) == 200:
            found.setdefault(row["connection"] - first, []).append(
                (row["method"], row["target"], row["host"], row["body"]))
    return found


def sections(rows, path_of, numbers):
    """The rows of each message: what stands between the request of good manners before and its own."""
    found, part, ends = {}, [], {"/end/" + number: number for number in numbers}
    for row in rows:
        path = path_of(row)
        if path in ends:
            found[ends[path]] = part
            part = []
        else:
            part.append(row)
    return found


class World:
    def __init__(self, logs, workspace, home):
        self.messages = messages.read_all(workspace)
        numbers = [message["id"] for message in self.messages]
        cut = [any(want.get("end") == "cut" or "reset" in want for want in message["want"]) for message in self.messages]
        # nginx logs what was cut off as 400 when it sees the end of the connection: in that message's part or the next
        self.late = {number for number, own, before in zip(numbers, cut, [False] + cut) if own or before}
        with open(os.path.join(workspace, "outcomes.json")) as file:
            self.outcomes = json.load(file)
        nginx, node = of_nginx(logs + "/nginx.log"), lines(logs + "/node.log")
        record = [row for path in sorted(glob.glob(home + "/audit/*.jsonl")) for row in lines(path)]
        self.sent = {row["request"] for row in record  # refused after it was allowed: code says why
                     if row["event"] == "network.end" and row["status"] > 0 and "code" not in row}
        two = [dict(row, status=200) for row in lines(logs + "/two.log")]
        self.served = sections([row for row in nginx if row["target"] != "/first"], lambda row: row["target"], numbers)
        self.served.update(sections(two, lambda row: row["target"], numbers))
        self.decided = sections([row for row in record if row["event"] == "network"], lambda row: row.get("path"), numbers)
        self.fields = {}
        for row in node + two:
            self.fields.setdefault(row.get("target"), []).append(row)
        self.errors = [row for row in node if row.get("error") not in (None, "HPE_INVALID_EOF_STATE", "ECONNRESET")]
        first = [next(row["connection"] for row in rows if row.get("target") == "/first") for rows in (nginx, node)]
        self.http2 = two
        self.read = [by_connection(rows, start) for rows, start in zip((nginx, node), first)]

    def differences(self):
        """What concerns all messages."""
        for number in sorted(set(self.read[0]) | set(self.read[1])):
            a, b = (seen.get(number, []) for seen in self.read)
            if a != b:
                same = next((at for at, pair in enumerate(zip(a, b)) if pair[0] != pair[1]), min(len(a), len(b)))
                yield "on connection %d, from its request %d of %d and %d on, nginx read %s, and Node %s" % (
                    number, same, len(a), len(b), a[same:same + 3], b[same:same + 3])
        for row in self.errors:
            yield "Node cannot read what we sent: %s" % row
        for rows in self.read[0].values():
            for row in rows:
                if HIDDEN in row[1]:
                    yield "the hidden request came through: %s" % (row,)
        for row in self.http2:
            if row["version"] != "2.0":
                yield "not over HTTP/2: %s" % row
        for rows in self.fields.values():
            for row in rows:
                names = [name.lower() for name in row.get("fields", [])[::2]]
                bad = [n for n in ("host", "content-length", "transfer-encoding", "authorization") if names.count(n) > 1]
                if bad or ("content-length" in names and "transfer-encoding" in names) or HIDDEN in str(row.get("fields")):
                    yield "a head that says too much: %s" % row

    def complaints(self, message):
        outcome, wants = self.outcomes.get(message["id"]), message["want"]
        if not outcome:
            yield "it was not sent"
            return
        came = outcome["came"]
        if len(came) != len(wants) or not all(fits(want, one) for want, one in zip(wants, came)):
            yield "it wants %s, and what came is %s" % (wants, came)
        if outcome["end"] != {"saw": "GET /end/" + message["id"], "surplus": ""}:
            yield "the next request got %s" % outcome["end"]
        if message["via"] == "answer":
            return
        if message["id"] not in self.served or message["id"] not in self.decided:
            yield "there is no end of it in the logs"
            return
        host = {"proxy": "plain.test", "two": "two.test"}.get(message["via"], "api.test")
        wanted = [(w["request"][0], w["request"][1], host, w["request"][2]) for w in wants if "request" in w]
        cut = message["id"] in self.late
        served = [(row["method"], row["target"], row["host"], row["body"], row["status"])
                  for row in self.served[message["id"]] if row["status"] == 200 or not cut]
        if served != [row + (200,) for row in wanted]:
            yield "it wants nginx to serve %s, which served %s" % (wanted, served)
        decided = [(row["method"], row["path"]) for row in self.decided[message["id"]]
                   if row["decision"] == "allow" and row["request"] in self.sent]
        wanted_there = [(w["request"][0], w["request"][1].partition("?")[0]) for w in wants
                        if "request" in w and not w["but"]]  # where it is refused in the end, the record says so
        if decided != wanted_there:
            yield "it wants %s, and the record has %s" % (wanted_there, decided)
        for complaint in self.heads(message, wanted):
            yield complaint

    def heads(self, message, wanted):
        """The fields of its last request, as Node has them."""
        rows = self.fields.get(wanted[-1][1], []) if wanted else []
        row = next((row for row in rows if (row["method"], row["host"], row["body"])
                    == (wanted[-1][0], wanted[-1][2], wanted[-1][3])), None)
        if not row:
            return
        pairs = row["fields"] + row["trailers"]
        have = ["%s: %s" % (name.lower(), value) for name, value in zip(pairs[::2], pairs[1::2])]
        for text in message["sees"]:
            if not any(field == text or field.startswith(text + ":") for field in have):
                yield "%s is not in %s" % (text, have)
        for text in message["seesnot"]:
            if any(field == text or field.startswith(text + ":") for field in have):
                yield "%s is in %s" % (text, have)


def fits(want, came):
    if want.get("but"):
        return isinstance(came, dict) and came.get("status") == want["but"]
    if "request" in want:
        return came == {"saw": "%s %s" % tuple(want["request"][:2])}
    if "status" in want:
        return (isinstance(came, dict) and came.get("status") in want["status"] and came["cut"] == want["cut"]
                and want["body"] in (None, came["body"]))
    return came == ({"end": "over"} if want.get("end") in ("close", "cut") else want)


def main():
    logs, workspace, home, family = sys.argv[1:]
    world, bad = World(logs, workspace, home), 0
    if family == "all":
        for complaint in world.differences():
            bad += 1
            print(complaint)
    else:
        chosen = [message for message in world.messages if message["name"].startswith(family + "/")]
        bad = not chosen
        print("%d messages" % len(chosen))
        for message in chosen:
            for complaint in world.complaints(message):
                bad += 1
                print("%s.txt:%d: %s: %s" % (family, message["line"], message["name"], complaint))
    sys.exit(1 if bad else 0)


main()
