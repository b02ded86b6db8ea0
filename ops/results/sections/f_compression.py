"""What pruning and rounding cost, from one trained parent."""

from cells import SHORT, Cell, Compression
from tables import percent, table

TITLE = "Compression of a SNIPS student"
PARENT = Cell("snips-parent", "snips", None, SHORT | {"precision": "bf16"}, {"release.quantize": "f32"})
FIFTH = "parameters=-20%"
ROUNDING = {
    "compress-q8": ("Q8_0", {"quantize": "q8_0"}),
    "compress-q4": ("Q4_0", {"quantize": "q4_0"}),
    "compress-q4-awq": ("Q4_0, activation-aware scaling", {"quantize": "q4_0", "calibrate": "awq"}),
    "compress-q4-gptq": ("Q4_0, error compensation", {"quantize": "q4_0", "calibrate": "gptq"}),
    "compress-q4-both": ("Q4_0, both", {"quantize": "q4_0", "calibrate": "awq+gptq"}),
}
BOTH = {
    "compress-fifth-q8-long": (
        "−20 %, Q8_0, 5,000 steps of recovery", {"prune": FIFTH, "quantize": "q8_0", "recover": 5_000}),
    "compress-fifth-q4": ("−20 %, Q4_0, 5,000 steps", {"prune": FIFTH, "quantize": "q4_0", "recover": 5_000}),
    "compress-fifth-q4-aware": (
        "−20 %, Q4_0, 5,000 steps, 600 quantization-aware",
        {"prune": FIFTH, "quantize": "q4_0", "recover": 5_000, "quantization-aware": 600}),
}
# About a fifth of the parameters each, as far as the steps of the axis allow.
AXES = {
    "compress-ffn": ("feed-forward width", {"prune": "ffn=0.64"}),
    "compress-kv": ("key/value groups", {"prune": "kv=1"}),
    "compress-layers": ("depth", {"prune": "layers=4"}),
    "compress-hidden": ("hidden width", {"prune": "hidden=128"}),
    "compress-vocabulary": ("vocabulary", {"prune": "vocabulary=used"}),
}
EXACT = {"quantize": "f32", "recover": 1_200}


def cells():
    pruned = {name: (label, EXACT | options) for name, (label, options) in AXES.items()}
    return [PARENT] + [
        Compression(name, PARENT, options) for name, (_, options) in (BOTH | ROUNDING | pruned).items()]


def points(difference):
    low, high = difference["interval"]
    return f"{100 * difference['difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})".replace("-", "−")


def row(label, found, parent_ms):
    parent = found["parent"]
    return [
        label, percent(found["exact_match"]), points(found["paired"]), f"{found['parameters'] / 1e6:.2f} M",
        f"{found['bytes'] / 1e6:.2f} MB", f"{found['bytes'] / parent['bytes']:.2f}",
        f"{found['latency_ms']:.2f} ms", f"{found['latency_ms'] / parent_ms:.2f}", f"{found['minutes']:.1f}",
    ]


def sizes(found):
    changed = [
        f"{name} {size['before']} → {size['after']}" for name, size in found["axes"].items() if size["before"] != size["after"]]
    return f" ({', '.join(changed)})" if changed else ""


def part(figures, choices):
    head = [
        "what", "exact match", "against the parent, points", "parameters", "file", "size ratio", "an answer", "latency ratio",
        "minutes"]
    # Of a busy machine's times the least says most.
    parent_ms = min(found["parent_latency_ms"] for found in figures.values() if "parent_latency_ms" in found)
    return table(head, [
        row(label + sizes(figures[name]), figures[name], parent_ms) for name, (label, _) in choices.items() if name in figures])


def text(figures):
    parent = figures.get(PARENT.name)
    if not parent:
        return "The parent has not been measured."
    return (
        "The parent: all labels, the default recipe in bf16 but for a rate that falls over 1,500 steps, released unpruned in single precision: "
        f"{percent(parent['exact_match'])} exact match, {parent['parameters'] / 1e6:.2f} M parameters, "
        f"{parent['bytes'] / 1e6:.2f} MB. Calibration and recovery (the default number of steps where nothing else is said) "
        "read the training requests alone. Differences are paired, on the same 700 validation requests. Ratios are to the parent's file and to the "
        "least median time of its answers; single precision answers slowly, so that the rows beside one another say more about "
        "time.\n\n"
        "Pruning by a fifth, the axes found by measuring, and rounding:\n\n" + part(figures, BOTH)
        + "\n\nRounding alone:\n\n" + part(figures, ROUNDING)
        + "\n\nEach axis alone, with 1,200 steps of recovery, in single precision:\n\n" + part(figures, AXES))
