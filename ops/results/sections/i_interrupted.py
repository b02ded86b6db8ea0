"""A process that is killed while it trains, and started again."""

from cells import Cell, Interruption
from sections.d_objectives import PLAIN, REJECTION, REWARD
from tables import table

TITLE = "Killed in the middle of reinforcement learning"
WHOLE = Cell("snips-1000-rft-rl", "snips", 1_000, PLAIN | REJECTION | REWARD)
KILLED = Interruption("snips-1000-rft-rl-killed", WHOLE, (
    ("release  branch", 2), ("release  rejection sampling", 2), ("release  reinforcement learning", 2),
    ("release  reinforcement learning", 60),
))


def cells():
    return [WHOLE, KILLED]


def text(figures):
    whole, killed = figures.get(WHOLE.name), figures.get(KILLED.name)
    if not killed:
        return "Not measured yet."
    rows = [
        [kill["phase"].removeprefix("release  "), f"{kill['step']:,} of {kill['of']:,}", str(kill["threads"])]
        for kill in killed["kills"]
    ]
    same = "the same file" if killed["sha256"] == killed["whole"] else "ANOTHER FILE"
    return (
        "1,000 labels of SNIPS, with rejection sampling and then reinforcement learning. `retort run` was killed (SIGKILL) in these steps, "
        "one after the other, and started again each time, at last to its end:\n\n"
        + table(["phase", "step", "threads"], rows)
        + f"\n\nWhat it released is {same} that an undisturbed run releases: `{killed['sha256'][:16]}…` and "
        f"`{killed['whole'][:16]}…`, {100 * whole['exact_match']:.1f} % exact match.")
