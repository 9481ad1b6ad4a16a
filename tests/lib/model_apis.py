"""How the models of several makers are asked and answer, as far as an agent's loop needs it: which tools there are, what the
tools said, and an answer that is a text or one call of the shell, streamed as events or whole.

Each class is one API. `shell` finds the agent's shell among the request's tools and says how a command is given to it;
`results` is what the tools said, by the id of the call; `answer` is the body, and its content type.
"""
import json
import re

EVENTS = "text/event-stream"
SHELLS = re.compile(r"^(bash|shell|shell_command|exec_command|run_shell_command|run_commands|local_shell)$", re.I)


def text_of(content):
    """A text, or a list of parts with texts in them, or an object around either."""
    if isinstance(content, dict):
        content = content.get("text") or content.get("output") or content.get("content") or json.dumps(content)
    if isinstance(content, list):
        return "".join(text_of(part) for part in content)
    return str(content)


def events(lines):
    """Server-sent events, each with the type that it names itself."""
    return "".join(("event: %s\n" % line["type"] if "type" in line else "") + "data: %s\n\n" % json.dumps(line)
                   for line in lines).encode()


def value_of(schema, text):
    """The least value that a schema allows."""
    kind = str(schema.get("type", "null")).lower()
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return {name: value_of(part, text) for name, part in schema.get("properties", {}).items()}
    return {"string": text, "boolean": False, "array": [], "number": 1, "integer": 1}.get(kind)


def arguments_for(schema, command):
    """What the tool's own schema asks for: the command in its field, and something for each other field it needs."""
    if "program" in schema:
        return {"namespace": schema["program"],
                "program": "text(await tools.exec_command({cmd: %s}))" % json.dumps(command)}
    properties = schema.get("properties", {})
    found = {}
    for name in schema.get("required", []):
        found[name] = value_of(properties.get(name, {}), "What the story needs")
    for name in ("command", "cmd"):
        if name in properties:
            words = properties[name].get("type") == "array"
            found[name] = ["sh", "-c", command] if words else command
    if "commands" in properties:
        found["commands"] = [command]
    return found


def shell_in(tools):
    """The name and schema of the shell among (name, schema) pairs."""
    return next(((name, schema) for name, schema in tools if SHELLS.match(name or "")), None)


class Anthropic:
    """POST /v1/messages"""
    fields = ("X-Api-Key", "Authorization")
    paths = re.compile(r"^/v1/messages$")

    @staticmethod
    def shell(request):
        return shell_in((tool.get("name"), tool.get("input_schema", {})) for tool in request.get("tools") or [])

    @staticmethod
    def results(request):
        blocks = [block for message in request["messages"] if isinstance(message["content"], list)
                  for block in message["content"]]
        return {block["tool_use_id"]: text_of(block.get("content", "")) for block in blocks
                if block.get("type") == "tool_result"}

    @staticmethod
    def answer(request, path, reply, name):
        call = "id" in reply
        block = ({"type": "tool_use", "id": reply["id"], "name": name, "input": reply["input"]} if call
                 else {"type": "text", "text": reply["text"]})
        stop = "tool_use" if call else "end_turn"
        message = {"id": "msg_story", "type": "message", "role": "assistant", "model": request["model"],
                   "content": [block], "stop_reason": stop, "stop_sequence": None,
                   "usage": {"input_tokens": 1, "output_tokens": 1}}
        if not request.get("stream"):
            return json.dumps(message).encode(), "application/json"
        empty = dict(block, input={}) if call else dict(block, text="")
        delta = ({"type": "input_json_delta", "partial_json": json.dumps(block["input"])} if call
                 else {"type": "text_delta", "text": block["text"]})
        return events([
            {"type": "message_start", "message": dict(message, content=[], stop_reason=None)},
            {"type": "content_block_start", "index": 0, "content_block": empty},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "usage": {"output_tokens": 1},
             "delta": {"stop_reason": stop, "stop_sequence": None}},
            {"type": "message_stop"}]), EVENTS


class Responses:
    """POST /v1/responses, and the same over a WebSocket there: a request is a message, each event one of the answer's.

    Where the agent has its model write programs (a tool `exec` that takes JavaScript), the call is such a program.
    """
    fields = ("Authorization",)
    paths = re.compile(r"^/v1/responses$")

    @staticmethod
    def tools(request):
        """Those of the request, and those that came as an item of its input; a namespace holds further ones."""
        items = request["input"] if isinstance(request["input"], list) else []
        left = list(request.get("tools") or [])
        left += [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]]
        while left:
            tool = left.pop(0)
            if tool.get("type") == "namespace":
                left += [dict(part, namespace=tool["name"]) for part in tool["tools"]]
            else:
                yield tool

    @classmethod
    def shell(cls, request):
        found = list(cls.tools(request))
        program = next((tool for tool in found if (tool.get("type"), tool.get("name")) == ("custom", "exec")), None)
        if program:
            return "exec", {"program": program.get("namespace")}
        return shell_in((tool.get("name"), tool.get("parameters") or {}) for tool in found)

    @staticmethod
    def results(request):
        items = request["input"] if isinstance(request["input"], list) else []
        return {item["call_id"]: text_of(item.get("output", "")) for item in items
                if item.get("type") in ("function_call_output", "custom_tool_call_output")}

    @staticmethod
    def item(reply, name):
        """What the model says, and the events that say it piece by piece."""
        if "program" in reply.get("input", {}):
            item = {"type": "custom_tool_call", "id": "ctc_story", "call_id": reply["id"], "name": name,
                    "namespace": reply["input"]["namespace"], "input": reply["input"]["program"], "status": "completed"}
            at, key, kind = {"item_id": "ctc_story", "output_index": 0}, "input", "custom_tool_call_input"
        elif "id" in reply:
            item = {"type": "function_call", "id": "fc_story", "call_id": reply["id"], "name": name,
                    "arguments": json.dumps(reply["input"]), "status": "completed"}
            at, key, kind = {"item_id": "fc_story", "output_index": 0}, "arguments", "function_call_arguments"
        else:
            part = {"type": "output_text", "text": reply["text"], "annotations": []}
            item = {"type": "message", "id": "msg_story", "role": "assistant", "content": [part], "status": "completed"}
            at = {"item_id": "msg_story", "output_index": 0, "content_index": 0}
            return item, dict(item, content=[], status="in_progress"), [
                dict(at, type="response.content_part.added", part=dict(part, text="")),
                dict(at, type="response.output_text.delta", delta=reply["text"]),
                dict(at, type="response.output_text.done", text=reply["text"]),
                dict(at, type="response.content_part.done", part=part)]
        return item, {**item, key: "", "status": "in_progress"}, [
            dict(at, type=f"response.{kind}.delta", delta=item[key]),
            {**at, "type": f"response.{kind}.done", key: item[key]}]

    @classmethod
    def lines(cls, request, reply, name):
        output, steps = [], []
        if request.get("generate", True):  # else it only asks whether anybody is there
            item, empty, parts = cls.item(reply, name)
            output = [item]
            steps = [{"type": "response.output_item.added", "output_index": 0, "item": empty}, *parts,
                     {"type": "response.output_item.done", "output_index": 0, "item": item}]
        response = {"id": "resp_story", "object": "response", "created_at": 0, "model": request.get("model"),
                    "status": "completed", "output": output,
                    "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 1,
                              "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 2}}
        lines = [{"type": "response.created", "response": dict(response, status="in_progress", output=[], usage=None)},
                 *steps, {"type": "response.completed", "response": response}]
        return [dict(line, sequence_number=i) for i, line in enumerate(lines)]

    @classmethod
    def answer(cls, request, path, reply, name):
        lines = cls.lines(request, reply, name)
        if not request.get("stream"):
            return json.dumps(lines[-1]["response"]).encode(), "application/json"
        return events(lines), EVENTS


class Chat:
    """POST /v1/chat/completions"""
    fields = ("Authorization",)
    paths = re.compile(r"/chat/completions$")

    @staticmethod
    def shell(request):
        tools = [tool.get("function", {}) for tool in request.get("tools") or []]
        return shell_in((tool.get("name"), tool.get("parameters") or {}) for tool in tools)

    @staticmethod
    def results(request):
        return {message["tool_call_id"]: text_of(message["content"]) for message in request["messages"]
                if message.get("role") == "tool"}

    @staticmethod
    def answer(request, path, reply, name):
        message = {"role": "assistant", "content": reply.get("text")}
        if "id" in reply:
            message["tool_calls"] = [{"index": 0, "id": reply["id"], "type": "function",
                                      "function": {"name": name, "arguments": json.dumps(reply["input"])}}]
        stop = "tool_calls" if "id" in reply else "stop"
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "chat_story", "created": 0, "model": request.get("model")}
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": stop}
            return json.dumps(dict(whole, object="chat.completion", choices=[choice], usage=usage)).encode(), \
                "application/json"
        whole["object"] = "chat.completion.chunk"
        return events([
            dict(whole, choices=[{"index": 0, "delta": message, "finish_reason": None}]),
            dict(whole, choices=[{"index": 0, "delta": {}, "finish_reason": stop}]),
            dict(whole, choices=[], usage=usage)]) + b"data: [DONE]\n\n", EVENTS


class Gemini:
    """POST /v1beta/models/NAME:streamGenerateContent and :generateContent"""
    fields = ("X-Goog-Api-Key", "Authorization")
    paths = re.compile(r"^/v1(beta|alpha)?/models/[^/]+:(streamG|g)enerateContent$")

    @staticmethod
    def shell(request):
        tools = [tool for group in request.get("tools") or [] for tool in group.get("functionDeclarations", [])]
        return shell_in((tool.get("name"), tool.get("parametersJsonSchema") or tool.get("parameters") or {})
                        for tool in tools)

    @staticmethod
    def results(request):
        found = [part["functionResponse"] for content in request["contents"] for part in content.get("parts", [])
                 if "functionResponse" in part]
        return {response.get("id") or "call": text_of(response.get("response", {})) for response in found}

    @staticmethod
    def answer(request, path, reply, name):
        wanted = request.get("generationConfig", {})
        schema = wanted.get("responseJsonSchema") or wanted.get("responseSchema")
        if schema and "text" in reply:
            reply = {"text": json.dumps(value_of(schema, reply["text"]))}
        part = {"text": reply["text"]} if "text" in reply else {
            "functionCall": {"id": reply["id"], "name": name, "args": reply["input"]}}
        body = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
                "modelVersion": "story"}
        if ":stream" in path:
            return events([body]), EVENTS
        return json.dumps(body).encode(), "application/json"


class Copilot(Chat):
    """POST /chat/completions, at the host that GitHub names for the account's plan. FACTS is the rest of its back end."""
    MODEL = {"id": "claude-sonnet-4.6", "name": "Claude Sonnet 4.6", "object": "model", "vendor": "Anthropic",
             "version": "claude-sonnet-4.6", "preview": False, "model_picker_enabled": True,
             "policy": {"state": "enabled", "terms": ""}, "supported_endpoints": ["/chat/completions"],
             "capabilities": {"type": "chat", "family": "claude-sonnet-4.6", "object": "model_capabilities",
                              "tokenizer": "o200k_base",
                              "limits": {"max_context_window_tokens": 128000, "max_prompt_tokens": 128000,
                                         "max_output_tokens": 16000},
                              "supports": {"streaming": True, "tool_calls": True}}}


APIS = {"api.anthropic.com": [Anthropic], "api.openai.com": [Responses, Chat], "openrouter.ai": [Chat],
        "dashscope.aliyuncs.com": [Chat], "generativelanguage.googleapis.com": [Gemini],
        "api.github.com": [Copilot], "api.individual.githubcopilot.com": [Copilot]}
# What is asked with GET, and with the key.
FACTS = {("api.github.com", "/copilot_internal/user"):
         {"login": "octo", "copilot_plan": "individual", "chat_enabled": True, "cli_enabled": True,
          "endpoints": {"api": "https://api.individual.githubcopilot.com",
                        "telemetry": "https://telemetry.githubcopilot.com"}},
         ("api.individual.githubcopilot.com", "/models"): {"object": "list", "data": [Copilot.MODEL]}}
