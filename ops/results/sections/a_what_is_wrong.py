"""What the students of all labels have wrong."""

from cells import Errors
from errors import KINDS
from sections.a_learning_curve import DEFAULT_SEEDS, cells as curve, name
from tables import percent, table

TITLE = "SNIPS, all labels: what is wrong, and what stands between this and 88 %"
NAMES = [name("default-", "all", seed) for seed in DEFAULT_SEEDS["all"]]
ERRORS = Errors("snips-all-errors", tuple(cell for cell in curve() if cell.name in NAMES))


def cells():
    return [ERRORS]


def share(part, whole):
    return f"{part} of {whole} ({percent(part / whole)})" if whole else "none"


def text(figures):
    found = figures[ERRORS.name]
    wrong, answers = sum(found["kinds"].values()), found["n"] * found["students"]
    rows = [
        [KINDS[kind], str(count), percent(count / wrong), f"{100 * count / answers:.1f}"]
        for kind, count in sorted(found["kinds"].items(), key=lambda item: -item[1])]
    return (
        f"The {found['students']} students of all labels by default, {found['n']} validation requests: {wrong} of {answers} answers are wrong.\n\n"
        + table(["what is wrong", "answers", "of the wrong", "points"], rows)
        + f"\n\nAll students have {share(found['all_wrong'], found['n'])} of the requests wrong, and {share(found['all_right'], found['n'])} "
        f"right. A word that no label has stands in {share(found['all_wrong_unknown'], found['all_wrong'])} of the former, and in "
        f"{share(found['all_right_unknown'], found['all_right'])} of the latter. What each step brought stands in the table above and, with what "
        "was tried without gain, under “What experiments decided” in ARCHITECTURE.md.")
