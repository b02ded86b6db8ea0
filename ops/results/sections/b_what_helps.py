"""What single choices bring with 1,000 labels."""

from cells import SMALL, WHOLE_BASE, Cell
from tables import over_seeds, spent, table

TITLE = "SNIPS, 1,000 labels: what each choice brings"
STEPS = 3_000
MORE = {"candidate_steps": STEPS}
INVENTED = {"swap_invented_share": 1, "swap_probability": 0.7}
CHOICES = {
    "snips-1000-steps": (f"{STEPS:,} steps behind a candidate", MORE),
    "snips-1000-request-loss": ("and a loss on the request's tokens, 0.3 of the answer's", MORE | {"prompt_loss_share": 0.3}),
    "snips-1000-invented-s1": ("instead invented values, 0.7 of values exchanged", MORE | INVENTED),
    "snips-1000-both": ("both", MORE | INVENTED | {"prompt_loss_share": 0.3}),
    "snips-1000-base": ("3,000 steps, and 1,000 before them on invented calls", MORE | WHOLE_BASE),
    "snips-1000-base-invented": ("the same with invented values", MORE | INVENTED | WHOLE_BASE),
}
# Measured for the learning curve.
SHARED = {"snips-1000-invented-s1"}


def cells():
    return [
        Cell(name, "snips", 1_000, SMALL | recipe)
        for name, (_, recipe) in CHOICES.items() if name not in SHARED
    ]


def text(figures):
    rows = [
        [label, over_seeds([figures[name]]), spent([figures[name]])]
        for name, (label, _) in CHOICES.items() if name in figures
    ]
    return (
        "From scratch, in bf16, one seed, on the 700 validation requests.\n\n"
        + table(["recipe", "exact match", "minutes"], rows))
