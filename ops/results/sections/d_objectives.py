"""Objectives besides the label's likelihood, at equal teacher calls."""

from cells import SMALL, Cell
from tables import over_seeds, percent, spent, table

TITLE = "SNIPS, 1,000 labels: what each objective brings at equal teacher calls"
PLAIN = SMALL | {"candidate_steps": 3_000, "swap_invented_share": 1, "swap_probability": 0.7}
REJECTION = {"rft_steps": 400, "rft_requests": 1_024}
REWARD = {"rl_steps": 120}
LARGER = {"hidden_size": 256, "head_count": 8, "key_value_head_count": 2, "feed_forward_size": 704}
# Measured for the learning curve, and for what each choice brings.
SHARED = Cell("snips-1000-invented-s1", "snips", 1_000, PLAIN)
EXCHANGING = Cell("snips-1000-steps", "snips", 1_000, SMALL | {"candidate_steps": 3_000})
TEACHER = Cell("snips-1000-larger", "snips", 1_000, PLAIN | LARGER, {"release.quantize": "f32"})
CHOICES = {
    "plain (supervised, invented values)": SHARED,
    "augmentation by exchanged values alone": EXCHANGING,
    "augmentation off": Cell("snips-1000-no-swap", "snips", 1_000, PLAIN | {"swap_probability": 0}),
    "and rejection sampling (400 steps, 1,024 requests)": Cell("snips-1000-rft", "snips", 1_000, PLAIN | REJECTION),
    "and reinforcement learning (120 steps of 16 requests)": Cell("snips-1000-rl", "snips", 1_000, PLAIN | REWARD),
    "a larger student on the same labels": TEACHER,
    "plain, and distilled from the larger one": Cell("snips-1000-kd", "snips", 1_000, PLAIN, teacher=TEACHER),
}


def cells():
    return [cell for cell in CHOICES.values() if cell not in (SHARED, EXCHANGING)]


def text(figures):
    rows = []
    for label, cell in CHOICES.items():
        found = figures.get(cell.name)
        if found:
            rows.append([
                label, over_seeds([found]), percent(found["function_accuracy"]), f"{found['parameters'] / 1e6:.2f} M",
                spent([found])])
    return (
        "The same 1,000 labels for all, so the same calls to the teacher; one seed, on the 700 validation requests. Three seeds "
        "of the plain recipe lie within 3 points, so that differences below that say nothing.\n\n"
        + table(["recipe", "exact match", "functions right", "parameters", "minutes"], rows))
