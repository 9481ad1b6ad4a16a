"""Amp's back end, as far as one prompt needs it. The agent's loop is the back end's: the program creates a thread, opens
WebSockets to it (JSON-RPC both ways, and the texts ping and pong), offers its tools as the thread's executor, and runs
those that it is told to. Every request bears the key, the WebSockets' too. There is one thread at a time."""
import json
import threading

import model_apis
import model_socket

HOST = "ampcode.com"
MESSAGE_MAX = 16 * 1024 * 1024
THREAD = "T-01998877-0000-7000-8000-000000000001"
CALL = "TU-0355vU7V0UlQrVcnDkwIka"
USER = {"id": "user_story", "email": "story@ampcode.com", "username": "story", "team": None, "features": []}
CREATED = {"threadId": THREAD, "wsToken": "ws", "ownerUserId": USER["id"], "threadVersion": 0, "usesThreadActors": True,
           "executorType": "local-client", "agentMode": "medium", "poolName": "pool"}
TAIL = {"thread": {"data": {"id": THREAD, "v": 0, "messages": [], "agentMode": "medium",
                            "meta": {"usesThreadActors": True}}}, "messages": [], "hasMoreBefore": False}
RESULTS = {"getUserInfo": USER, "getThreadTail": TAIL}


class Amp:
    fields = ("Authorization",)

    @staticmethod
    def shell(thread):
        return model_apis.shell_in((tool["name"], tool["inputSchema"]) for tool in thread.tools)

    @staticmethod
    def results(thread):
        return thread.results


class Thread:
    def __init__(self):
        self.sockets, self.executor, self.tools, self.results, self.sequence = [], None, [], {}, 0
        self.lock = threading.Lock()

    def tell(self, sockets, method, **params):
        with self.lock:
            for socket in sockets:
                socket.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}))

    def say(self, role, name, content, **more):
        self.sequence += 1
        self.tell(self.sockets, "message_added", seq=self.sequence,
                  message=dict(more, threadId=THREAD, role=role, messageId=name, content=content))

    def state(self, word, **more):
        self.tell(self.sockets, "agent_state", state=word, **more)

    def observed(self, sockets):
        self.tell(sockets, "observers", count=len(self.sockets), observers=[], hasExecutor=self.executor is not None,
                  executorType="local-client")

    def turn(self, service, line):
        """What the model says, now that the person or the tool has said something."""
        reply, name = service.converse(Amp, self, "", line)
        message = "M-0355vU7V0UlQrVcnDkwIk%d" % self.sequence
        if "input" in reply:
            block = {"type": "tool_use", "id": CALL, "name": name, "complete": True, "input": reply["input"]}
            self.state("working")
            self.say("assistant", message, [block], state={"type": "complete"})
            self.tell([self.executor], "tool_lease", toolCallId=CALL, toolName=name, args=reply["input"],
                      messageId=message)
            return
        block = {"type": "text", "text": reply["text"]}
        self.state("streaming", messageId=message)
        self.tell(self.sockets, "delta", messageId=message, role="assistant", blocks=[block], state="complete")
        self.say("assistant", message, [block], state={"type": "complete"})
        self.state("idle")

    def take(self, service, socket, method, params, line):
        if method == "executor_connect":
            self.executor = socket
            self.tell([socket], "executor_connected", executorId=params["clientId"], registeredToolCount=0,
                      guidanceInventory=[])
            self.observed(self.sockets)
        elif method == "executor_tools_register":
            self.tools += params["tools"]
        elif method == "client_append_user_msg":
            self.say("user", params["messageId"], params["content"])
            self.turn(service, line)
        elif method == "executor_tool_result":
            self.results[params["toolCallId"]] = model_apis.text_of(params["run"]["result"])
            self.tell([socket], "executor_tool_result_ack", toolCallId=params["toolCallId"])
            self.say("user", "M-0355vU7V0UlQrVcnDkwIkr",
                     [{"type": "tool_result", "toolUseID": params["toolCallId"], "run": params["run"]}])
            self.turn(service, line)

    def talk(self, service, line):
        socket = model_socket.accept(service)
        self.sockets.append(socket)
        self.observed([socket])
        self.tell([socket], "agent_state", state="idle")
        for text in socket.messages(MESSAGE_MAX):
            if text == "ping":
                with self.lock:
                    socket.send("pong")
                continue
            call, turn = json.loads(text), dict(line, websocket=True)
            if "id" in call:
                with self.lock:
                    socket.send(json.dumps({"jsonrpc": "2.0", "id": call["id"], "result": {}}))
            self.take(service, socket, call.get("method"), call.get("params", {}), turn)
            service.log_line(turn)
        self.sockets.remove(socket)
        service.close_connection = True


class Backend:
    thread = Thread()


def serve(service):
    body = b"".join(service.body())
    path, _, method = service.path.partition("?")
    line = {"host": HOST, "method": service.command, "path": path, "key": service.key_is_right(Amp)}
    if not line["key"]:
        service.answer(401, {"ok": False, "error": {"code": "auth-required", "message": "invalid key"}})
    elif service.headers.get("Upgrade") == "websocket":
        Backend.thread.talk(service, line)
        return
    elif path == "/api/thread-actors":
        if "threadId" not in json.loads(body):
            Backend.thread = Thread()
        service.answer(200, CREATED)
    elif path == "/api/internal":
        service.answer(200, {"ok": True, "result": RESULTS.get(method, {})})
    else:
        service.answer(404, {})
    service.log_line(line)
