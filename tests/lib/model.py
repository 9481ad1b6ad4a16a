#!/usr/bin/python3
"""upstream.py, and at api.anthropic.com a stand-in of the Messages API, for a story with a real agent.

usage: model.py DIR [--git ROOT]

The model wants one thing: `svc drop`. It asks the agent's shell for that; only where the result that it is sent says
that the operation is pending, it asks for the `aileron-wait` that this result names; only where that has the service's
answer, it says so and is done. DIR/model-key is the key that it insists on. DIR/model.log gets one JSON object for each
request of its own: whether the key was right, what the agent sent of a tool, what was answered.
"""
import hmac
import json
import os
import re
import sys

import upstream

HOST = "api.anthropic.com"
BODY_MAX = 16 * 1024 * 1024  # an agent's prompt with all its tools is some 100 KB
FIRST = "printenv ANTHROPIC_API_KEY > key; svc drop"
PENDING = re.compile(r"Exit code 75\b.*?\baileron-wait (op_[0-9A-HJKMNP-TV-Z]{26})\b", re.S)


def results_of(messages):
    """What the agent's tools said, by the id of the call."""
    found = {}
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block.get("type") == "tool_result":
                content = block.get("content", "")
                if isinstance(content, list):
                    content = "".join(part.get("text", "") for part in content)
                found[block["tool_use_id"]] = content
    return found


def reply(request):
    """The next block: a call of the shell, or a text."""
    results = results_of(request["messages"])
    if not any(tool.get("name") == "Bash" for tool in request.get("tools", [])):
        return {"type": "text", "text": "none"}  # an agent's side question: a title, a command's prefix
    if "toolu_drop" not in results:
        return call("toolu_drop", FIRST)
    pending = PENDING.search(results["toolu_drop"])
    if not pending:
        return {"type": "text", "text": "STORY ENDS: nothing is pending"}
    if "toolu_wait" not in results:
        return call("toolu_wait", "aileron-wait " + pending.group(1))
    if '"login": "octo"' not in results["toolu_wait"]:
        return {"type": "text", "text": "STORY ENDS: the service did not answer"}
    return {"type": "text", "text": "STORY ENDS: the service knows octo"}


def call(name, command):
    return {"type": "tool_use", "id": name, "name": "Bash",
            "input": {"command": command, "description": "What the story needs"}}


def message_of(request, block):
    return {"id": "msg_story", "type": "message", "role": "assistant", "model": request["model"], "content": [block],
            "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1}}


def events_of(message):
    """The message as the API streams it."""
    block = message["content"][0]
    if block["type"] == "text":
        empty, delta = dict(block, text=""), {"type": "text_delta", "text": block["text"]}
    else:
        empty, delta = dict(block, input={}), {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "message_start", "message": dict(message, content=[], stop_reason=None)}
    yield {"type": "content_block_start", "index": 0, "content_block": empty}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    yield {"type": "message_delta", "usage": {"output_tokens": 1},
           "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None}}
    yield {"type": "message_stop"}


class Service(upstream.Service):
    def handle_any(self):
        if self.headers.get("Host", "").partition(":")[0] == HOST:
            self.model()
        else:
            super().handle_any()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

    def model(self):
        data = b""
        for part in self.body():
            data += part
            if len(data) > BODY_MAX:
                raise ConnectionError("the request is too large")
        with open(os.path.join(self.directory, "model-key"), encoding="ascii") as file:
            right = [file.read().strip()]
        given = self.headers.get_all("X-Api-Key", []) + self.headers.get_all("Authorization", [])
        line = {"path": self.path, "key": len(given) == 1 and hmac.compare_digest(given[0], right[0])}
        path = self.path.partition("?")[0]
        if not line["key"]:
            self.answer(401, {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}})
        elif self.command == "POST" and path == "/v1/messages/count_tokens":
            self.answer(200, {"input_tokens": 1})
        elif self.command == "POST" and path == "/v1/messages":
            request = json.loads(data)
            line.update(results=results_of(request["messages"]), reply=reply(request))
            message = message_of(request, line["reply"])
            if request.get("stream"):
                text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events_of(message))
                self.answer(200, text.encode(), [("Content-Type", "text/event-stream")])
            else:
                self.answer(200, message)
        else:
            self.answer(404, {"type": "error", "error": {"type": "not_found_error", "message": self.path}})
        with self.log_lock, open(os.path.join(self.directory, "model.log"), "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    upstream.main(Service)
