"""Banking77: 77 functions, no arguments."""

from cells import SHORT, SMALL, Cell
from tables import over_seeds, spent, table

TITLE = "Banking77"
DEFAULT = {"precision": "bf16"}
RECIPES = {
    "banking77-default": ("default recipe", DEFAULT),
    "banking77-long-dropout": ("with dropout 0.25", DEFAULT | {"dropout": 0.25}),
    "banking77-more-dropout": ("with dropout 0.25 and twice the presentations", DEFAULT | {"dropout": 0.25, "replay_per_sample": 31}),
    "banking77-short": ("a rate that falls over 1,500 steps", SHORT | DEFAULT),
    "banking77-default-dropout": ("the same with dropout 0.25", SHORT | DEFAULT | {"dropout": 0.25}),
    "banking77-dropout": ("2,000 pieces, dropout 0.25", SMALL | {"dropout": 0.25}),
}


def cells():
    return [Cell(name, "banking77", None, recipe) for name, (_, recipe) in RECIPES.items()]


# What each step brings: a recipe, and the one that it is compared with.
STEPS = (
    ("4,000 pieces of words instead of 2,000", "banking77-default-dropout", "banking77-dropout"),
    ("a rate that falls over up to 6,000 steps instead of 1,500", "banking77-long-dropout", "banking77-default-dropout"),
    ("dropout 0.25 instead of 0.1", "banking77-long-dropout", "banking77-default"),
    ("twice the presentations", "banking77-more-dropout", "banking77-long-dropout"),
)


def brought(figures):
    """How many points each step brings, of those whose recipes were measured."""
    return ", ".join(
        f"{label} {100 * (figures[name]['exact_match'] - figures[other]['exact_match']):+.1f}".replace("-", "−")
        for label, name, other in STEPS if name in figures and other in figures)


def text(figures):
    rows = [
        [label, over_seeds([figures[name]]), str(figures[name]["n"]), spent([figures[name]])]
        for name, (label, _) in RECIPES.items() if name in figures
    ]
    return (
        "77 functions without arguments. A fifth of the 10,003 requests is held out by a hash of the words "
        "(`held_out` in `laboratory.py`). TF-IDF with logistic regression is said to reach 90 %.\n\n"
        + table(["recipe", "exact match", "requests", "minutes"], rows)
        + f"\n\nWhat closes the gap, in points of the same requests: {brought(figures)}.")
