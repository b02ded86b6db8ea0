"""What is wrong in wrong answers."""

import collections

KINDS = {
    "function": "another function, or no call",
    "names": "all values, under other keys",
    "bounds": "the right keys, a value with a word too few or too many",
    "values": "the right keys, another value",
    "keys": "other keys, and other values",
}


def kind(right, given):
    """Which of ``KINDS`` a wrong call is."""
    if given is None or given["name"] != right["name"]:
        return "function"
    mine, its = right["arguments"], given["arguments"]
    if sorted(map(str, mine.values())) == sorted(map(str, its.values())):
        return "names"
    if mine.keys() != its.keys():
        return "keys"
    other = [(f" {mine[key]} ", f" {its[key]} ") for key in mine if mine[key] != its[key]]
    return "bounds" if all(one in two or two in one for one, two in other) else "values"


def errors(test, given, learned):
    """The kinds of several students' wrong calls, and what is said of the requests that all of them have wrong.

    `given` has each student's calls to the `test` requests, `learned` the requests that they learned from.
    """
    words = {word for text in learned for word in text.lower().split()}
    kinds = collections.Counter(
        kind(row["call"], call)
        for calls in given for row, call in zip(test, calls, strict=True) if call != row["call"])
    hard = [row for row, *calls in zip(test, *given, strict=True) if all(call != row["call"] for call in calls)]
    right = [row for row, *calls in zip(test, *given, strict=True) if all(call == row["call"] for call in calls)]
    return {
        "n": len(test), "students": len(given), "kinds": {name: kinds[name] for name in KINDS},
        "all_wrong": len(hard), "all_wrong_unknown": sum(unknown(row, words) for row in hard),
        "all_right": len(right), "all_right_unknown": sum(unknown(row, words) for row in right),
    }


def unknown(row, words):
    """Whether a request has a word that no learned one has."""
    return any(word not in words for word in row["text"].lower().split())
