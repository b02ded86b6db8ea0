"""What ops/bench-peers needs of Python: models with random weights, and llama.cpp's side of each comparison."""
import json
import math
import pathlib
import statistics
import sys
import time


def make(folder, shape):
    """A Hugging Face folder with random weights, and the tokenizer of the tests."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    shapes = {
        "0.5b": dict(
            vocab_size=151936, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
            num_key_value_heads=2, max_position_embeddings=32768, rope_theta=1e6,
        ),
        "tiny": dict(
            vocab_size=4096, hidden_size=256, intermediate_size=704, num_hidden_layers=6, num_attention_heads=8,
            num_key_value_heads=2, max_position_embeddings=2048, rope_theta=1e4,
        ),
    }
    torch.manual_seed(1)
    Qwen2ForCausalLM(Qwen2Config(**shapes[shape], tie_word_embeddings=True)).to(torch.bfloat16).save_pretrained(folder)
    tokenizer = pathlib.Path(__file__).parent.parent / "Tests/TokenizationTests/Goldens/qwen2-style.json"
    (pathlib.Path(folder) / "tokenizer.json").write_bytes(tokenizer.read_bytes())


class Llama:
    """A model in llama.cpp, through its C interface."""

    def __init__(self, path, threads, context, batch):
        import llama_cpp

        self.api = llama_cpp
        self.silence = llama_cpp.llama_log_callback(lambda *_: None)  # kept, for llama.cpp calls it for ever
        llama_cpp.llama_log_set(self.silence, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = context, batch, batch
        settings.n_threads = settings.n_threads_batch = threads
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def clear(self):
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)

    def feed(self, tokens):
        array = (self.api.llama_token * len(tokens))(*tokens)
        assert self.api.llama_decode(self.context, self.api.llama_batch_get_one(array, len(tokens))) == 0


def prompt(size, count):
    return [(i * 7919 + 17) % size for i in range(count)]


def prefill(path, threads):
    """Tokens a second of reading 128."""
    llama = Llama(path, threads, 256, 128)
    best = math.inf
    for repetition in range(5):
        llama.clear()
        start = time.perf_counter()
        llama.feed(prompt(llama.size, 128))
        llama.api.llama_get_logits(llama.context)
        best = min(best, time.perf_counter() - start) if repetition else best
    print(128 / best)


def decode(path, threads):
    """Tokens a second of generating 128 after 16; which token comes next does not matter."""
    llama = Llama(path, threads, 256, 128)
    best = math.inf
    for repetition in range(4):
        llama.clear()
        llama.feed(prompt(llama.size, 16))
        token = (llama.api.llama_token * 1)(7)
        batch = llama.api.llama_batch_get_one(token, 1)
        start = time.perf_counter()
        for _ in range(128):
            llama.api.llama_decode(llama.context, batch)
            llama.api.llama_get_logits(llama.context)
        best = min(best, time.perf_counter() - start) if repetition else best
    print(128 / best)


def perplexity(path, text, limit, threads, ours, shape, form):
    """Compares the mean negative logarithm of the probabilities in windows of 512 tokens with ours."""
    import ctypes

    import numpy

    llama = Llama(path, threads, 512, 512)
    data = pathlib.Path(text).read_bytes()
    space = (llama.api.llama_token * len(data))()
    count = llama.api.llama_tokenize(llama.vocabulary, data, len(data), space, len(data), False, False)
    tokens = list(space[: min(count, limit)])
    total, number = 0.0, 0
    for start in range(0, len(tokens), 512):
        part = tokens[start : start + 512]
        if len(part) < 2:
            break
        llama.clear()
        batch = llama.api.llama_batch_init(512, 0, 1)
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
            batch.seq_id[i][0] = 0
        assert llama.api.llama_decode(llama.context, batch) == 0
        logits = llama.api.llama_get_logits(llama.context)
        rows = numpy.ctypeslib.as_array(ctypes.cast(logits, ctypes.POINTER(ctypes.c_float)), (len(part), llama.size))
        rows = rows[:-1].astype(numpy.float64)
        top = rows.max(1)
        mass = numpy.log(numpy.exp(rows - top[:, None]).sum(1)) + top
        total += float((mass - rows[numpy.arange(len(part) - 1), part[1:]]).sum())
        number += len(part) - 1
        llama.api.llama_batch_free(batch)
    theirs = total / number
    print(
        f"{shape:8} {form:6} perplexity {math.exp(float(ours)):12.4f} {math.exp(theirs):12.4f} "
        f"{100 * (math.exp(float(ours) - theirs) - 1):+.3f} % over {number} tokens"
    )


def functions(path):
    """Definitions of functions such as a student of the 0.5B shape would serve, with arguments of every kind."""
    def function(name, required, **properties):
        parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}

    text, number = {"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 100}
    pathlib.Path(path).write_text(json.dumps([
        function("set_light", ["room", "state"], room=text, state={"enum": ["on", "off"]}, level=number),
        function("play_music", ["artist", "volume"], artist=text, volume=number, shuffle={"type": "boolean"}),
        function("set_alarm", ["time", "tone"], time=text, tone={"enum": ["soft", "loud", "birds"]}),
        function("set_heating", ["room", "degrees"], room=text, degrees=number),
        function("add_item", ["list", "item"], list={"enum": ["shopping", "tasks"]}, item=text),
    ]))


def requests(model, path):
    """Eight requests of 20 tokens; the calls are there for the form's sake."""
    llama = Llama(model, 1, 64, 64)
    words = "please set the light in small kitchen to seven and play music by some band at nine before heating up".split()
    rows = []
    for index in range(8):
        text, space = "", (llama.api.llama_token * 64)()
        for step in range(64):
            longer = (text + " " + words[(index * 5 + step) % len(words)]).strip()
            data = longer.encode()
            if llama.api.llama_tokenize(llama.vocabulary, data, len(data), space, 64, False, False) > 20:
                break
            text = longer
        call = {"name": "set_alarm", "arguments": {"time": "nine", "tone": "soft"}}
        rows.append(json.dumps({"id": str(index), "text": text, "call": call}))
    pathlib.Path(path).write_text("\n".join(rows) + "\n")


def texts(path):
    for line in pathlib.Path(path).read_text().splitlines():
        print(json.loads(line)["text"])


def call(path, grammar, requests, threads, answers=None):
    """Whole answers under the grammar, one request at a time; with our answers, none longer than ours in this vocabulary."""
    import llama_cpp

    model = llama_cpp.Llama(path, n_ctx=512, n_batch=512, n_threads=threads, n_threads_batch=threads, verbose=False)
    rules = llama_cpp.LlamaGrammar.from_file(grammar, verbose=False)
    times, tokens = [], 0
    lines = pathlib.Path(requests).read_text().splitlines()
    limits = [256] * len(lines)
    if answers:
        texts = [json.loads(line)["text"] for line in pathlib.Path(answers).read_text().splitlines()]
        limits = [len(model.tokenize(text.encode(), add_bos=False)) for text in texts]
    for line, limit in zip(lines, limits):
        row = json.loads(line)
        messages = row.get("messages") or [{"role": "user", "content": row["text"]}]
        start = time.perf_counter()
        answer = model.create_chat_completion(messages, grammar=rules, temperature=0, max_tokens=limit)
        times.append(1e3 * (time.perf_counter() - start))
        tokens += answer["usage"]["completion_tokens"]
    times.sort()
    print(json.dumps({
        "peer": "llama.cpp", "n": len(times), "answer_tokens": tokens / len(times),
        "latency_ms": {"p50": statistics.median(times), "p99": times[math.ceil(0.99 * len(times)) - 1]},
    }))


def compare(shape, form, work, ours, theirs):
    """One line of the table: the best of both."""
    results = [json.loads(line) for line in pathlib.Path(ours).read_text().splitlines()]
    best = max(results, key=lambda result: result["tokens_per_second"])
    peer = max(float(line) for line in pathlib.Path(theirs).read_text().split())
    speed = best["tokens_per_second"]
    print(
        f"{shape:8} {form:6} {work:8} {speed:12.0f} {peer:12.0f} {speed / peer:7.2f} "
        f"{100 * best['share_of_limit']:5.0f} % of {best['limit']}"
    )


def compare_calls(shape, form, work, ours, theirs):
    """One line of the table: the best median of both, in milliseconds."""
    def results(path):
        return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]

    def best(path):
        return min(result["latency_ms"]["p50"] for result in results(path))

    tokens = results(theirs)[0]["answer_tokens"]
    print(
        f"{shape:8} {form:6} {work:8} {best(ours):9.1f} ms {best(theirs):9.1f} ms {best(ours) / best(theirs):7.2f} "
        f"of its time, answers of {tokens:.0f} tokens"
    )


if __name__ == "__main__":
    command, arguments = sys.argv[1], sys.argv[2:]
    commands = (
        make, prefill, decode, perplexity, call, compare, functions, requests, texts, compare_calls)
    {f.__name__: f for f in commands}[command](*[int(a) if a.isdigit() else a for a in arguments])
