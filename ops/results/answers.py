"""What a model answers to each request, from the server that would serve it; and two models compared on the same requests."""

import concurrent.futures
import contextlib
import json
import math
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def answers(retort, folder, file, rows):
    """The call that the file's model gives to each row's text; None where it gives none."""
    with served(retort, folder, file) as address:
        model = fetch(f"{address}/v1/models")["data"][0]["id"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda row: answer(address, model, row["text"]), rows))


@contextlib.contextmanager
def served(retort, folder, file):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with open(folder / "serve.log", "a") as errors:
        server = subprocess.Popen(
            [retort, "serve", "--file", str(file), "--port", str(port)], cwd=folder, stdout=errors, stderr=errors)
    address = f"http://127.0.0.1:{port}"
    try:
        wait(server, f"{address}/readyz", folder)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait(server, url, folder):
    for _ in range(300):
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            if server.poll() is not None:
                break
            time.sleep(0.1)
    sys.exit(f"ops/results/measure: `retort serve` does not answer; see {folder}/serve.log")


def fetch(url, body=None):
    request = urllib.request.Request(
        url, data=None if body is None else json.dumps(body).encode(), headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def answer(address, model, text):
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    message = fetch(f"{address}/v1/chat/completions", body)["choices"][0]["message"]
    calls = message.get("tool_calls")
    if not calls:
        return None
    function = calls[0]["function"]
    return {"name": function["name"], "arguments": json.loads(function["arguments"])}


def paired(right, other):
    """How much more often `right` holds than `other`, with a 95 % interval over the same requests."""
    count = len(right)
    better = sum(mine and not its for mine, its in zip(right, other, strict=True))
    worse = sum(its and not mine for mine, its in zip(right, other, strict=True))
    difference = (better - worse) / count
    half = 1.96 * math.sqrt(max(0, better + worse - (better - worse) ** 2 / count)) / count
    return {"difference": difference, "interval": [difference - half, difference + half], "better": better, "worse": worse}
