"""Data sets: which requests train and which measure, and what a teacher that errs would have written."""

import hashlib
import json
import sys


def held_out(text):
    """Whether a request of a data set without a published split is held out: one in five, by a hash of its words."""
    words = " ".join(text.lower().split())
    return hashlib.sha256(words.encode()).digest()[0] % 5 == 0


class Data:
    """Training and held-out requests of one data set, as lines of JSON."""

    def __init__(self, folder):
        if not (folder / "train.jsonl").exists():
            sys.exit(f"ops/results/measure: {folder}/train.jsonl is missing; set RETORT_DATA to a folder that has it")
        self.functions = folder / "functions.json"
        self.train = (folder / "train.jsonl").read_text().splitlines(keepends=True)
        if (folder / "valid.jsonl").exists():
            self.test = (folder / "valid.jsonl").read_text().splitlines(keepends=True)
        else:
            self.test = [line for line in self.train if held_out(json.loads(line)["text"])]
            self.train = [line for line in self.train if not held_out(json.loads(line)["text"])]

    def digest(self):
        return hashlib.sha256("".join([self.functions.read_text(), *self.train, "\n", *self.test]).encode()).hexdigest()

    def labelled(self, count, wrong=0):
        """The first `count` training requests (None: all), a share of their labels replaced by wrong ones."""
        lines = self.train[:count]
        if not wrong:
            return lines
        chosen = set(sorted(lines, key=bits)[:round(wrong * len(lines))])
        keys = self.keys()
        return [written(spoiled(json.loads(line), keys, bits(line))) if line in chosen else line for line in lines]

    def unlabelled(self, count):
        """The same requests without their labels, for a teacher to be asked."""
        rows = map(json.loads, self.train[:count])
        return [written({key: value for key, value in row.items() if key != "call"}) for row in rows]

    def keys(self):
        """The keys of each function's arguments."""
        functions = [tool["function"] for tool in json.loads(self.functions.read_text())]
        return {function["name"]: list(function["parameters"]["properties"]) for function in functions}


def written(row):
    return json.dumps(row, ensure_ascii=False) + "\n"


def bits(text):
    """A hash from which choices are made."""
    return hashlib.sha256(text.encode()).digest()


def spoiled(row, keys, drawn):
    """The row with an error that a labeller could make, which one `drawn` decides.

    A third each: another function with those of the arguments that it has, a value under another key of the function, a
    value without its last word. Values stay pieces of the request. What cannot happen to a call is another function.
    """
    kind, pick, place = drawn[-3:]
    arguments, name = dict(row["call"]["arguments"]), row["call"]["name"]
    free = [key for key in keys[name] if key not in arguments]
    long = [key for key in arguments if isinstance(arguments[key], str) and " " in arguments[key]]
    if kind % 3 == 1 and arguments and free:
        old = list(arguments)[pick % len(arguments)]
        arguments[free[place % len(free)]] = arguments.pop(old)
    elif kind % 3 == 2 and long:
        key = long[pick % len(long)]
        arguments[key] = arguments[key].rsplit(" ", 1)[0]
    else:
        others = sorted(other for other in keys if other != name)
        name = others[pick % len(others)]
        arguments = {key: value for key, value in arguments.items() if key in keys[name]}
    return row | {"call": {"name": name, "arguments": arguments}}
