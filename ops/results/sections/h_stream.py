"""Real requests in portions: what the labelling policy saves."""

from cells import SHORT, Stream
from tables import percent, table, with_interval

TITLE = "SNIPS in portions: asking the teacher less"
PORTIONS = 7
RECIPE = SHORT | {"precision": "bf16"}
EVERYTHING = Stream("snips-stream", "snips", PORTIONS, RECIPE)
SELECTIVE = {"label.policy": "selective"}
POLICIES = {
    "the default policy": Stream("snips-stream-selective", "snips", PORTIONS, RECIPE, SELECTIVE),
    # What is not spent on the teacher goes into steps: about as many for a request as with everything labelled.
    "asking below 0.7, twice the steps a label": Stream(
        "snips-stream-sparing", "snips", PORTIONS, RECIPE | {"replay_per_sample": 31}, SELECTIVE | {"label.confidence": 0.7}),
    # What choosing brings: behind the first portion nothing but the audit share is asked, as large as what was asked there.
    "as many at random, twice the steps a label": Stream(
        "snips-stream-chance", "snips", PORTIONS, RECIPE | {"replay_per_sample": 31},
        SELECTIVE | {"label.confidence": 0, "label.novelty": 1, "label.audit_share": 0.36}),
}


def cells():
    return [EVERYTHING, *POLICIES.values()]


def reached(points, goal):
    """What the teacher was asked up to the first portion behind which the release is as good as the goal."""
    return next((point["asked"] for point in points if point["exact_match"] >= goal), None)


def reading(label, points, everything):
    """How many calls a policy takes to come within 2 points of what everything labelled reaches."""
    goal, all_ = everything[-1]["exact_match"] - 0.02, everything[-1]["asked"]
    first, own = reached(everything, goal), reached(points, goal)
    if own is None:
        best = max(point["exact_match"] for point in points)
        return f"{label}, does not get there ({percent(best)} at best, after {points[-1]['asked']} calls)"
    return f"{label}, takes {own} calls, {own / all_:.2f} of all and {own / first:.2f} of those"


def text(figures):
    everything = figures.get(EVERYTHING.name)
    if not everything:
        return "Labelling everything has not been measured."
    runs = {label: figures[cell.name]["points"] for label, cell in POLICIES.items() if cell.name in figures}
    points = everything["points"]
    head = ["requests", "everything", *(part for label in runs for part in (f"{label}: asked", "exact match"))]
    rows = [
        [str(point["requests"]), with_interval(point),
         *(part for own in runs.values() for part in (str(own[index]["asked"]), with_interval(own[index])))]
        for index, point in enumerate(points)]
    goal = points[-1]["exact_match"] - 0.02
    readings = [
        f"everything labelled is there after {reached(points, goal)} of its {points[-1]['asked']} calls",
        *(reading(label, own, points) for label, own in runs.items())]
    verdict = f"Within 2 points of what everything reaches at the end ({percent(goal)}): {'; '.join(readings)}."
    return (
        f"The {points[-1]['requests']} training requests in stream order, in {PORTIONS} portions; after each a release, unpruned, whose "
        "exact match on the 700 validation requests is shown. A recorded teacher, who is always right, is asked through the label "
        "stage: about everything, or about what `label.policy: selective` chooses by the release of the portion before. 4 % of "
        "the requests are held out for confidence, 2 % for the gate, whose margins are so wide that every candidate is deployed. "
        "The rate falls over 1,500 steps. One run of each, one seed.\n\n" + table(head, rows) + f"\n\n{verdict}")
