"""A stand-in for a teacher: a server on loopback that speaks the OpenAI protocol and knows the labels, but errs."""

import contextlib
import http.server
import json
import threading

from data import bits, spoiled


@contextlib.contextmanager
def teacher(data, cell):
    """The settings of a deployment that asks it; none for a cell whose labels are recorded."""
    if not cell.asked:
        yield {}
        return
    rows = {row["text"]: row for row in map(json.loads, data.train[:cell.labels])}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(rows, data.keys(), cell.wrong))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "teacher.endpoint": f"http://127.0.0.1:{server.server_address[1]}/v1", "teacher.model": "stand-in",
            "task.votes.samples": cell.asked,
        }
    finally:
        server.shutdown()
        server.server_close()


def handler(rows, keys, wrong):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = [message["content"] for message in body["messages"] if message["role"] == "user"][-1]
            # Other questions, such as whether it is there, are answered with words.
            call = given(rows[text], keys, wrong, body.get("seed", 0)) if text in rows else None
            self.reply(completion(call))

        def do_GET(self):
            self.reply({"object": "list", "data": [{"id": "stand-in", "object": "model"}]})

        def reply(self, value):
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler


def given(row, keys, wrong, seed):
    """The call given to a request under a seed: whether it is wrong, and how, is drawn for each seed by itself."""
    drawn = bits(f"{seed} {row['id']}")
    is_wrong = int.from_bytes(drawn[:4], "big") < wrong * 2**32
    return (spoiled(row, keys, drawn) if is_wrong else row)["call"]


def completion(call):
    message = {"role": "assistant", "content": None if call else "Hello."}
    if call:
        function = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "stand-in",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
