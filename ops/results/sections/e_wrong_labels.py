"""A teacher that errs: a share of the labels replaced by plausible wrong ones."""

from typing import NamedTuple

from cells import Cell
from sections.d_objectives import PLAIN, REJECTION, SHARED
from tables import over_seeds, percent, spent, table

TITLE = "SNIPS, 1,000 labels: a teacher that errs"
SHARES = (0.1, 0.3)


class Way(NamedTuple):
    """How labels are come by; `asked`: how often the teacher is asked about each request, 0 for a recorded label."""

    label: str
    recipe: dict = PLAIN
    labels: int = 1_000
    asked: int = 0
    settings: dict = {}

    def calls(self):
        return self.labels * max(1, self.asked)


TWO_OF_FIVE = {"task.votes.agreement": 0.4}
WAYS = {
    "plain": Way("plain"),
    "rft": Way("and rejection sampling", PLAIN | REJECTION),
    "votes-fewer": Way("two of three answers agree, a third of the requests", labels=333, asked=3),
    "votes": Way("two of three answers agree, three times the calls", asked=3),
    "votes-five": Way("the most frequent of five answers, two at least", asked=5, settings=TWO_OF_FIVE),
}


def cell(name, share):
    way = WAYS[name]
    return Cell(
        f"snips-1000-wrong{100 * share:.0f}-{name}", "snips", way.labels, way.recipe, way.settings, wrong=share, asked=way.asked)


def cells():
    return [cell(name, share) for share in SHARES for name in WAYS]


def won_back(clean, plain, other):
    """Which part of what plain training lost through wrong labels another way has."""
    lost = clean["exact_match"] - plain["exact_match"]
    return percent((other["exact_match"] - plain["exact_match"]) / lost) if lost > 0 else "-"


def text(figures):
    clean = figures.get(SHARED.name)
    rows = [["none", "plain", "1000", over_seeds([clean]), "-", spent([clean])]] if clean else []
    for share in SHARES:
        plain = figures.get(cell("plain", share).name)
        for name, way in WAYS.items():
            found = figures.get(cell(name, share).name)
            if found:
                back = won_back(clean, plain, found) if name != "plain" and clean and plain else "-"
                rows.append([
                    f"{100 * share:.0f} %", way.label, str(way.calls()), over_seeds([found]), back, spent([found])])
    return (
        "Wrong labels are another function, a value under another key, or a value without its last word (`spoiled` in "
        "`data.py`), chosen by a hash of the request's id; validation requests keep the right ones. For votes a stand-in teacher "
        "errs each time by itself with that probability, which a real teacher, whose errors repeat, does less. One seed.\n\n"
        + table(["wrong", "way", "calls", "exact match", "won back of the loss", "minutes"], rows))
