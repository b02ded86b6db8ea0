"""A teacher that errs: a share of the labels replaced by plausible wrong ones."""

from cells import Cell
from sections.d_objectives import PLAIN, REJECTION, SHARED
from tables import over_seeds, percent, spent, table

TITLE = "SNIPS, 1,000 labels: a teacher that errs"
SHARES = (0.1, 0.3)
# The label, requests, recipe, and how often the teacher is asked about each of them (0: a recorded label).
WAYS = {
    "plain": ("plain", 1_000, PLAIN, 0),
    "rft": ("and rejection sampling", 1_000, PLAIN | REJECTION, 0),
    "votes-fewer": ("two of three answers agree, a third of the requests", 333, PLAIN, 3),
    "votes": ("two of three answers agree, three times the calls", 1_000, PLAIN, 3),
}


def cell(way, share):
    _, labels, recipe, asked = WAYS[way]
    return Cell(f"snips-1000-wrong{100 * share:.0f}-{way}", "snips", labels, recipe, wrong=share, asked=asked)


def cells():
    return [cell(way, share) for share in SHARES for way in WAYS]


def won_back(clean, plain, other):
    """Which part of what plain training lost through wrong labels another way has."""
    lost = clean["exact_match"] - plain["exact_match"]
    return percent((other["exact_match"] - plain["exact_match"]) / lost) if lost > 0 else "-"


def text(figures):
    clean = figures.get(SHARED.name)
    rows = [["none", "plain", "1000", over_seeds([clean]), "-", spent([clean])]] if clean else []
    for share in SHARES:
        plain = figures.get(cell("plain", share).name)
        for way, (label, labels, _, asked) in WAYS.items():
            found = figures.get(cell(way, share).name)
            if found:
                back = won_back(clean, plain, found) if way != "plain" and clean and plain else "-"
                rows.append([
                    f"{100 * share:.0f} %", label, str(labels * max(1, asked)), over_seeds([found]), back, spent([found])])
    return (
        "Wrong labels are another function, a value under another key, or a value without its last word (`spoiled` in "
        "`data.py`), chosen by a hash of the request's id; validation requests keep the right ones. For votes a stand-in teacher "
        "errs each time by itself with that probability, which a real teacher, whose errors repeat, does less. One seed.\n\n"
        + table(["wrong", "way", "calls", "exact match", "won back of the loss", "minutes"], rows))
