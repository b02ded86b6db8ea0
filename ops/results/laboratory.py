"""Runs cells: a cell is a deployment with its data, recipe and settings; what it leaves is a file that is evaluated."""

import dataclasses
import hashlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys


@dataclasses.dataclass(frozen=True)
class Cell:
    """One measurement: `labels` of the data's training requests in stream order (None: all), a recipe, settings, a seed."""

    name: str
    data: str
    labels: int | None = None
    recipe: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    seed: int = 1

    def key(self):
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


# Few samples are held out, because the requests that count are others; the release is whole and nearly exact in its format.
SETTINGS = {
    "split.dev": 0.01, "split.gate": 0.02, "release.gate.minimum": 1, "release.prune": 0, "release.every": 1_000_000,
}


class Figures:
    """What was found, by cell: a JSON file that is replaced as a whole."""

    def __init__(self, path):
        self.path = path
        self.cells = json.loads(path.read_text()) if path.exists() else {}

    def get(self, name):
        return self.cells.get(name)

    def put(self, name, found):
        self.cells[name] = found
        temporary = self.path.with_suffix(".new")
        temporary.write_text(json.dumps(self.cells, indent=1, sort_keys=True) + "\n")
        os.replace(temporary, self.path)


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


class Laboratory:
    def __init__(self, retort, work, threads):
        if not os.access(retort, os.X_OK):
            sys.exit(f"ops/results/measure: {retort} is missing; run: make build")
        self.retort, self.work, self.threads = retort.resolve(), work.resolve(), threads
        self.root = pathlib.Path(os.environ.get("RETORT_DATA", "data")).resolve()
        self.data = {}

    def dataset(self, name):
        if name not in self.data:
            self.data[name] = Data(self.root / name)
        return self.data[name]

    def inputs(self, cell):
        """What a cell's figures depend on, as a digest."""
        return hashlib.sha256((cell.key() + self.dataset(cell.data).digest()).encode()).hexdigest()

    def measure(self, cell, inputs):
        folder = self.work / cell.name
        if not (folder / "inputs").exists() or (folder / "inputs").read_text() != inputs:
            self.prepare(cell, folder, inputs)
        options = self.options(cell)
        resumed = (folder / "run.log").exists()
        before = minutes()
        self.call(folder, "run", "--until-idle", *options, log="run.log")
        # What an interrupted run had spent before is not known.
        spent = None if resumed else minutes() - before
        manifest = json.loads(self.call(folder, "models", "show", "1", "--json", *options))["manifest"]
        digest = next(file["sha256"] for file in manifest["files"] if file["role"] == "weights")
        weights = next(folder.rglob(digest))
        report = json.loads(self.call(folder, "eval", "--file", str(weights), "--data", "test.jsonl", "--json", *options))
        shutil.rmtree(folder)
        return {
            "inputs": inputs, "cell": json.loads(cell.key()), "n": report["n"], "exact_match": report["exact_match"],
            "interval": report["intervals"]["exact_match"], "function_accuracy": report["function_accuracy"],
            "argument_f1": report["argument_f1"], "invalid": report["invalid"], "minutes": spent,
            "parameters": manifest["parameters"],
            "bytes": next(file["bytes"] for file in manifest["files"] if file["role"] == "weights"),
            "sha256": digest, "lineage": manifest["lineage"],
        }

    def prepare(self, cell, folder, inputs):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        data = self.dataset(cell.data)
        (folder / "train.jsonl").write_text("".join(data.train[:cell.labels]))
        (folder / "test.jsonl").write_text("".join(data.test))
        shutil.copy(data.functions, folder / "given.json")
        self.call(folder, "init", "--functions", "given.json")
        self.call(folder, "requests", "import", "train.jsonl", *self.options(cell))
        (folder / "inputs").write_text(inputs)

    def options(self, cell):
        values = SETTINGS | cell.settings | {"threads": self.threads, "train.seed": cell.seed}
        if cell.recipe:
            values["train.recipe"] = json.dumps(cell.recipe)
        return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]

    def call(self, folder, *arguments, log="last.log"):
        """The command's standard output; what it says besides stands in `log`."""
        with open(folder / log, "a") as errors:
            result = subprocess.run(
                [self.retort, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True, check=False)
        if result.returncode != 0:
            sys.exit(
                f"ops/results/measure: `retort {arguments[0]}` ended with status {result.returncode} in {folder}; see {log} "
                "there, then run the same command to go on")
        return result.stdout


def minutes():
    """Processor minutes of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) / 60
