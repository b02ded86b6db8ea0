"""The demo's traffic in portions: what the teacher is asked, and how a change is taken."""

from cells import Scenario
from tables import percent, table

TITLE = "Asking the teacher less, and traffic that changes"
EVERYTHING = Scenario("scenario-steady", "steady", portions=4)
SELECTIVE = Scenario("scenario-steady-selective", "steady", selective=True, portions=4)
CHANGES = {
    "Drift, labelled selectively": Scenario("scenario-drift-selective", "drift", selective=True),
    "Drift, everything labelled": Scenario("scenario-drift", "drift"),
    "A function that nobody asked for before, everything labelled": Scenario("scenario-new-function", "new-function"),
    "The same, labelled selectively": Scenario("scenario-new-function-selective", "new-function", selective=True),
}


def cells():
    return [EVERYTHING, SELECTIVE, *CHANGES.values()]


def bar(share, width=20):
    return "█" * round(share * width) or "▏"


def curve(points):
    return table(["requests", "asked", "release", "before the change", "what it brought", "", "sees drift"], [
        [str(point["requests"]), str(point["asked"]), str(point["version"]), percent(point["exact_match_before"]),
         percent(point["exact_match_after"]), bar(point["exact_match_after"]), "yes" if point["drifting"] else ""]
        for point in points])


def cost(points, goal):
    """Teacher calls behind the first release that is as good as the goal."""
    return next((point["teacher_calls"] for point in points if point["exact_match_before"] >= goal), None)


def saving(everything, selective):
    rows = [
        [str(all_["requests"]), str(all_["asked"]), str(all_["teacher_calls"]), percent(all_["exact_match_before"]),
         str(some["asked"]), str(some["teacher_calls"]), percent(some["exact_match_before"])]
        for all_, some in zip(everything, selective, strict=True)]
    goal = everything[-1]["exact_match_before"] - 0.02
    full, policy = cost(everything, goal), cost(selective, goal)
    verdict = (
        f"Within 2 points of what everything reaches at the end ({percent(goal)}): everything labelled is there after {full} "
        f"calls of the teacher, the policy after {policy or 'none of these'}. All {everything[-1]['requests']} requests took "
        f"{everything[-1]['teacher_calls']} calls with everything labelled, {selective[-1]['teacher_calls']} with the policy.")
    head = ["requests", "everything: asked", "calls", "exact match", "selective: asked", "calls", "exact match"]
    return f"{table(head, rows)}\n\n{verdict}"


def text(figures):
    parts = [
        "Made-up requests of a home's assistant with a stand-in teacher that errs at stated rates, 800 a portion, a release "
        "after each; exact match on 300 unseen requests of each kind. Calls are exchanges with the teacher, retries and lookups "
        "included. Drift is seen where the trainer took the traffic as drifting when the portion ended: then releases come "
        "sooner, and more requests are audited. One run of each."]
    if EVERYTHING.name in figures and SELECTIVE.name in figures:
        parts.append(saving(figures[EVERYTHING.name]["points"], figures[SELECTIVE.name]["points"]))
    for label, cell in CHANGES.items():
        if cell.name in figures:
            parts.append(f"{label}; the change comes behind half of the portions:\n\n" + curve(figures[cell.name]["points"]))
    return "\n\n".join(parts)
