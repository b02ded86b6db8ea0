"""Cells of tables: figures as text."""


def percent(share):
    return f"{100 * share:.1f} %"


def with_interval(found):
    low, high = found["interval"]
    return f"{percent(found['exact_match'])} ({100 * low:.1f} to {100 * high:.1f}){mark([found])}"


def over_seeds(runs):
    """One run with its interval; of several the mean and the range of seeds."""
    if len(runs) == 1:
        return with_interval(runs[0])
    values = [run["exact_match"] for run in runs]
    spread = f"{100 * min(values):.1f} to {100 * max(values):.1f}"
    return f"{percent(sum(values) / len(values))} ({len(values)} seeds: {spread}){mark(runs)}"


def mark(runs):
    """Whether answers were greedy, as all were before the most probable ones were looked for."""
    return " †" if any(run.get("decoding") == "greedy" for run in runs) else ""


def spent(runs):
    known = [run["minutes"] for run in runs if run["minutes"] is not None]
    return f"{sum(known) / len(known):.1f}" if known else "not known"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
