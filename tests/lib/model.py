#!/usr/bin/python3
"""upstream.py, and at the hosts of model_apis.py and model_amp.py stand-ins of models, for stories with real agents.

usage: model.py DIR [--git ROOT]

The model wants one thing of the agent's shell. Where DIR/model-command is there, it is that, and once the shell has
answered the model says the answer's last word and is done. Else it is `svc drop`: only where the result that it is sent
says that the operation is pending, it asks for the `aileron-wait` that this result names; only where that has the
service's answer, it says so and is done. DIR/model-key is the key that it insists on. DIR/model.log gets one JSON object
for each request of its own: whether the key was right, what the agent sent of a tool, what was answered.
"""
import hmac
import json
import os
import re
import sys

import model_amp
import model_apis
import model_socket
import upstream

BODY_MAX = 16 * 1024 * 1024  # an agent's prompt with all its tools is some 100 KB
DROP = "printenv ANTHROPIC_API_KEY > key; svc drop"
PENDING = re.compile(r"Exit code 75\b.*?\baileron-wait (op_[0-9A-HJKMNP-TV-Z]{26})\b", re.S)


def call(id, command):
    return {"id": id, "input": {"command": command}}


def drop_story(results):
    """The next call of the shell, or a text."""
    if "toolu_drop" not in results:
        return call("toolu_drop", DROP)
    pending = PENDING.search(results["toolu_drop"])
    if not pending:
        return {"text": "STORY ENDS: nothing is pending"}
    if "toolu_wait" not in results:
        return call("toolu_wait", "aileron-wait " + pending.group(1))
    if '"login": "octo"' not in results["toolu_wait"]:
        return {"text": "STORY ENDS: the service did not answer"}
    return {"text": "STORY ENDS: the service knows octo"}


def command_story(command, results):
    """The one command, then what it said: a word behind SAYS."""
    if not results:
        return call("toolu_command", command)
    said = re.search(r"SAYS:(\w+)", "".join(results.values()))
    return {"text": "STORY ENDS: it says " + (said.group(1) if said else "nothing")}


class Service(upstream.Service):
    def handle_any(self):
        host = self.headers.get("Host", "").partition(":")[0]
        apis = model_apis.APIS.get(host)
        if self.path in ("/api/hello", "/v1/oauth/hello"):  # is anybody there? It is asked without a key, too
            self.answer(200, {"message": "hello"})
        elif host == model_amp.HOST:
            model_amp.serve(self)
        elif apis:
            self.model(apis)
        else:
            super().handle_any()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = handle_any

    def file(self, name):
        try:
            with open(os.path.join(self.directory, name), encoding="ascii") as file:
                return file.read().strip()
        except FileNotFoundError:
            return None

    def key_is_right(self, api):
        given = [text for field in api.fields for text in self.headers.get_all(field, [])]
        key = self.file("model-key")
        return len(given) == 1 and hmac.compare_digest(given[0].rpartition("Bearer ")[2], key)

    def converse(self, api, request, path, line):
        results, shell = api.results(request), api.shell(request)
        command = self.file("model-command")
        if shell is None and not results:  # an agent's side question: a title, a command's prefix
            reply = {"text": "none"}
        else:
            reply = drop_story(results) if command is None else command_story(command, results)
        line.update(results=results, reply=reply)
        if "input" in reply:
            reply = dict(reply, input=model_apis.arguments_for(shell[1], reply["input"]["command"]))
        return reply, shell and shell[0]

    def log_line(self, line):
        with self.log_lock, open(os.path.join(self.directory, "model.log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def talk(self, api, path, line):
        """The API over a WebSocket: until the agent closes it."""
        socket = model_socket.accept(self)
        for text in socket.messages(BODY_MAX):
            request, turn = json.loads(text), dict(line, websocket=True)
            for event in api.lines(request, *self.converse(api, request, path, turn)):
                socket.send(json.dumps(event))
            self.log_line(turn)
        self.close_connection = True

    def model(self, apis):
        data = b""
        for part in self.body():
            data += part
            if len(data) > BODY_MAX:
                raise ConnectionError("the request is too large")
        path = self.path.partition("?")[0]
        line = {"host": self.headers["Host"], "method": self.command, "path": self.path, "key": self.key_is_right(apis[0])}
        api = next((api for api in apis if api.paths.search(path)), None)
        if not line["key"]:
            self.answer(401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid key"}})
        elif self.command == "GET" and (self.headers["Host"], path) in model_apis.FACTS:
            self.answer(200, model_apis.FACTS[self.headers["Host"], path])
        elif self.command == "POST" and path == "/v1/messages/count_tokens":
            self.answer(200, {"input_tokens": 1})
        elif self.headers.get("Upgrade") == "websocket" and api is model_apis.Responses:
            self.talk(api, path, line)
            return
        elif self.command == "POST" and api:
            request = json.loads(data)
            body, kind = api.answer(request, path, *self.converse(api, request, path, line))
            self.answer(200, body, [("Content-Type", kind)])
        else:
            self.answer(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})
        self.log_line(line)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    upstream.main(Service)
