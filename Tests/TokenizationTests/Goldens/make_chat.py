"""Makes chat.json: python make_chat.py TEMPLATE   (PyPI: transformers, tokenizers)

Conversations with tools, calls and results, and what transformers' apply_chat_template makes of them with a template in Jinja, as
text and as ids of qwen2-style.json. chat.json is made with the one that Qwen2.5's instruction-tuned models are published with.
Also for the tests of our own: python make_chat.py TEMPLATE CASES prints the texts and ids for cases in that shape.
"""
import json
import pathlib
import sys

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

here = pathlib.Path(__file__).parent
tokenizer = PreTrainedTokenizerFast(
    tokenizer_object=Tokenizer.from_file(str(here / "qwen2-style.json")),
    chat_template=pathlib.Path(sys.argv[1]).read_text(),
)


def rendered(case):
    messages = json.loads(json.dumps(case["messages"]))
    for message in messages:
        for call in message.get("tool_calls", []):
            # The template writes arguments as they are: an object has to be one.
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    text = tokenizer.apply_chat_template(
        messages, tools=case["tools"] or None, add_generation_prompt=case["generates"], tokenize=False
    )
    return {"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]}


def call(name, **arguments):
    function = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
    return {"id": "c1", "type": "function", "function": function}


def assistant(content, *calls):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def make():
    weather = {
        "type": "function",
        "function": {
            "name": "get_weather", "description": "The weather \"now\" in a city,\nin °C — día",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "default": -3},
                    "limit": {"type": "number", "examples": [1.0, 0.1, 1e-7, 2.5e+30, -0.0, 1e16, 123456789012345.6]},
                    "unit": {"enum": ["c", "f", None, True, False]},
                },
                "required": ["city"],
            },
        },
    }
    empty = {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "properties": {}}}}
    system, user = {"role": "system", "content": "Be brief.\n"}, {"role": "user", "content": " What's up in Zürich? 你好\n"}
    result = {"role": "tool", "content": "{\"t\": 21.5}\n"}
    calls = assistant("Let me see.", call("get_weather", city="Zürich \"x\"\t\u0001\u007f\u2028", days=2), call("stop"))
    conversations = [
        [user], [system, user], [user, assistant("Hello."), user], [user, system, user], [system],
        [system, user, calls, result, result, assistant("21.5 °C.")], [user, assistant("", call("stop")), result, user],
        [result, user, result], [user, calls], [{"role": "user", "content": ""}], [assistant("")],
    ]
    cases = [
        {"messages": messages, "tools": tools, "generates": generates}
        for messages in conversations for tools in ([], [weather, empty]) for generates in (True, False)
    ]
    lines = [json.dumps(case | rendered(case), ensure_ascii=False) for case in cases]
    (here / "chat.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps([rendered(case) for case in json.load(open(sys.argv[2]))]))
    else:
        make()
