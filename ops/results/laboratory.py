"""Runs cells: what they leave is evaluated, and the released files are kept for cells that take them."""

import hashlib
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time

from answers import answers, paired
from cells import Cell, Compression, Errors, Interruption, Scenario, Stream
from data import Data
from errors import errors
from teacher import teacher

# Few samples are held out, because the requests that count are others; the release is whole and nearly exact in its format.
SETTINGS = {
    "split.dev": 0.01, "split.gate": 0.02, "release.gate.minimum": 1, "release.prune": 0, "release.every": 1_000_000,
}
# Where releases follow each other each is deployed, so that what is compared are labels and not the gate's luck.
FOLLOWING = {
    "split.dev": 0.04, "release.gate.margin": 1, "release.gate.compression_margin": 1, "release.gate.best_margin": 1,
    "release.gate.slice_alpha": 0.0001,
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
        digest = self.dataset(cell.data).digest() if cell.data else ""
        return hashlib.sha256((cell.key() + digest).encode()).hexdigest()

    def released(self, cell):
        """Where the file is kept that a cell released."""
        return self.work / "released" / f"{self.inputs(cell)}.gguf"

    def measure(self, cell):
        ways = {
            Cell: self.deploy, Interruption: self.interrupt, Stream: self.follow, Compression: self.compress,
            Errors: self.examine, Scenario: self.demonstrate}
        found = ways[type(cell)](cell)
        shutil.rmtree(self.work / cell.name)
        return {"inputs": self.inputs(cell), "cell": json.loads(cell.key())} | found

    # Deployments

    def deploy(self, cell):
        folder = self.prepare(cell, cell)
        options = self.options(cell)
        resumed = (folder / "run.log").exists()
        before = minutes()
        with teacher(self.dataset(cell.data), cell) as asked:
            self.call(folder, "run", "--until-idle", *options, *settings(asked), log="run.log")
        # What an interrupted run had spent before is not known.
        spent = None if resumed else minutes() - before
        manifest, weights = self.release(folder, options)
        kept = self.released(cell)
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(next(folder.rglob(weights["sha256"])), kept)
        return self.accuracy(self.evaluate(folder, kept)) | {
            "minutes": spent, "parameters": manifest["parameters"], "bytes": weights["bytes"],
            "sha256": weights["sha256"], "lineage": manifest["lineage"],
        }

    def release(self, folder, options):
        """The manifest of the first release, and what it says of its weights."""
        manifest = json.loads(self.call(folder, "models", "show", "1", "--json", *options))["manifest"]
        return manifest, next(file for file in manifest["files"] if file["role"] == "weights")

    def interrupt(self, cell):
        whole = cell.whole
        # A deployment that went on from an earlier measurement would be killed fewer times.
        shutil.rmtree(self.work / cell.name, ignore_errors=True)
        folder = self.prepare(cell, whole)
        options, kills = self.options(whole), []
        self.call(folder, "requests", "import", "train.jsonl", *options)
        before = minutes()
        for number, (phase, step) in enumerate(cell.kills):
            # On one thread and on all in turn: neither may tell.
            threads = 1 if number % 2 else self.threads
            kills.append({"phase": phase, "threads": threads} | self.kill(
                folder, phase, step, "run", "--until-idle", *options, *settings({"threads": threads})))
        self.call(folder, "run", "--until-idle", *options, log="run.log")
        spent = minutes() - before
        _, weights = self.release(folder, options)
        return {
            "kills": kills, "sha256": weights["sha256"], "minutes": spent,
            "whole": hashlib.sha256(self.released(whole).read_bytes()).hexdigest()}

    def kill(self, folder, phase, step, *arguments):
        """Kills the command when its log names this or a later step of a phase; the step, and of how many."""
        log = folder / "run.log"
        start = log.stat().st_size if log.exists() else 0
        with open(log, "a") as errors:
            process = subprocess.Popen([self.retort, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=errors)
        said = re.compile(rf"{phase}: step (\d+) of (\d+)")
        while process.poll() is None:
            reached = [tuple(map(int, found)) for found in said.findall(log.read_text()[start:])]
            if reached and reached[-1][0] >= step:
                process.kill()
                process.wait()
                return {"step": reached[-1][0], "of": reached[-1][1]}
            time.sleep(0.1)
        sys.exit(
            f"ops/results/measure: `retort {arguments[0]}` ended with status {process.returncode} in {folder} before it said "
            f"that it was in step {step} of: {phase}; see run.log there")

    def prepare(self, cell, deployment):
        """The cell's folder with the data of a deployment; what an interrupted run left there goes on."""
        folder, inputs = self.work / cell.name, self.inputs(cell)
        if (folder / "inputs").exists() and (folder / "inputs").read_text() == inputs:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        data = self.dataset(deployment.data)
        lines = data.unlabelled(deployment.labels) if deployment.asked else data.labelled(deployment.labels, deployment.wrong)
        (folder / "train.jsonl").write_text("".join(lines))
        (folder / "test.jsonl").write_text("".join(data.test))
        shutil.copy(data.functions, folder / "given.json")
        self.call(folder, "init", "--functions", "given.json")
        if type(cell) is Cell:
            self.call(folder, "requests", "import", "train.jsonl", *self.options(cell))
        (folder / "inputs").write_text(inputs)
        return folder

    def options(self, cell):
        values = SETTINGS | (FOLLOWING if type(cell) is Stream else {}) | cell.settings | {"threads": self.threads, "train.seed": cell.seed}
        if cell.recipe:
            values["train.recipe"] = json.dumps(cell.recipe)
        if cell.teacher:
            values["train.teacher"] = self.released(cell.teacher)
        return settings(values)

    def follow(self, cell):
        folder, kept = self.prepare(cell, cell), self.work / cell.name / "points.json"
        points = json.loads(kept.read_text()) if kept.exists() else []
        lines, options = self.dataset(cell.data).unlabelled(None), self.options(cell)
        ends = [len(lines) * (number + 1) // cell.portions for number in range(cell.portions)]
        before = minutes()
        with teacher(self.dataset(cell.data), cell) as asked:
            for number in range(len(points), cell.portions):
                (folder / "portion.jsonl").write_text("".join(lines[ends[number - 1] if number else 0:ends[number]]))
                self.call(folder, "requests", "import", "portion.jsonl", *options)
                self.call(folder, "run", "--until-idle", *options, *settings(asked), log="run.log")
                points.append(self.point(folder, options, ends[number], minutes() - before))
                kept.write_text(json.dumps(points))
        # Of an interrupted run the last portions' alone are known.
        return {"points": points, "minutes": points[-1]["minutes"]}

    def point(self, folder, options, requests, spent):
        """What stands after a portion: what the teacher was asked, and how right the deployed release is."""
        status = json.loads(self.call(folder, "status", "--json", *options))
        report = json.loads(self.call(folder, "eval", "--data", "test.jsonl", "--json", *options))
        return self.accuracy(report) | {
            "requests": requests, "asked": status["teacher"]["asked"], "skipped": status["teacher"]["skipped"],
            "live": status["teacher"]["live"], "version": status["deployed_version"], "minutes": spent,
        }

    # Compression

    def compress(self, cell):
        folder, parent, child = self.prepare(cell, cell.parent), self.released(cell.parent), self.work / cell.name / "small.gguf"
        before = minutes()
        report = json.loads(self.call(
            folder, "compress", "--in", str(parent), "--out", str(child), "--data", "train.jsonl", "--functions", "given.json",
            "--json", "--set", f"threads={self.threads}",
            *(part for name, value in cell.options.items() for part in (f"--{name}", str(value)))))
        spent = minutes() - before
        # Twice in turn, so that what else the machine does slows both.
        turns = [(self.evaluate(folder, child), self.evaluate(folder, parent)) for _ in range(2)]
        return self.accuracy(turns[0][0]) | {
            "minutes": spent, "parameters": report["parameters_after"], "bytes": report["bytes"], "sha256": report["sha256"],
            "axes": report["axes"], "parent": {
                "exact_match": turns[0][1]["exact_match"], "parameters": report["parameters_before"],
                "bytes": parent.stat().st_size},
            "paired": paired(self.right(cell, child), self.right(cell, parent)),
            "latency_ms": min(own["latency_ms"]["p50"] for own, _ in turns),
            "parent_latency_ms": min(other["latency_ms"]["p50"] for _, other in turns),
        }

    def right(self, cell, file):
        """Which test requests a model answers right; found once for a file that is kept."""
        known = file.with_suffix(".right")
        if not known.exists():
            test = self.test(cell)
            given = answers(self.retort, self.work / cell.name, file, test)
            known.write_text(json.dumps([call == row["call"] for call, row in zip(given, test, strict=True)]))
        return json.loads(known.read_text())

    def test(self, cell):
        return [json.loads(line) for line in self.dataset(cell.data).test]

    # Errors

    def examine(self, cell):
        folder, before, test = self.prepare(cell, cell.students[0]), minutes(), self.test(cell)
        given = [answers(self.retort, folder, self.released(student), test) for student in cell.students]
        learned = map(json.loads, self.dataset(cell.data).labelled(cell.students[0].labels))
        return errors(test, given, [row["text"] for row in learned]) | {"minutes": minutes() - before}

    # The demo

    def demonstrate(self, cell):
        folder = self.work / cell.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        before = minutes()
        report = json.loads(self.call(
            folder, "demo", "--json", "--scenario", cell.scenario, "--portions", str(cell.portions),
            *(["--selective"] if cell.selective else [])))
        return {"points": report["points"], "minutes": minutes() - before}

    # The command

    def evaluate(self, folder, file):
        return json.loads(self.call(
            folder, "eval", "--file", str(file), "--data", "test.jsonl", "--json", "--set", f"threads={self.threads}"))

    @staticmethod
    def accuracy(report):
        return {key: report[key] for key in ("n", "exact_match", "function_accuracy", "argument_f1", "invalid")} | {
            "interval": report["intervals"]["exact_match"]}

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


def settings(values):
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


def minutes():
    """Processor minutes of the commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) / 60
