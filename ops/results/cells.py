"""What can be measured: a deployment, one whose process is killed, one whose requests come in portions, what `retort compress`
makes of a release, what releases have wrong, and a run of the demo."""

import dataclasses
import json


# Fields of a cell that came later count where they say something, so that earlier figures hold.
LATER = ("wrong", "asked", "teacher")


# What the default recipe was until its pieces of words became more; comparisons that began with it keep to it.
SMALL = {
    "precision": "bf16", "vocabulary_size": 2_000, "tokenizer_samples": 2_000, "prompt_loss_share": 0, "replay_per_sample": 11,
    "decay_steps": 800, "candidate_steps": 0, "swap_probability": 0.5, "swap_invented_share": 0,
    "swap_invented_until": 1_000_000_000, "base_steps": 0,
}


# How long the rate fell before it fell over half as many steps as the trunk has taken, and layers that began at random; what was
# measured with them keeps to them.
SHORT = {"decay_steps": 1_500, "base_steps": 0}


# Layers that had lessons as they stand, where by default half of them is random, and 3,000 steps besides those of lessons.
WHOLE_BASE = {"base_steps": 1_000, "base_share": 1, "candidate_steps": 4_000}


class Defined:
    def key(self):
        """What the figures depend on besides the data."""
        fields = dataclasses.asdict(self)
        return json.dumps({name: value for name, value in fields.items() if value or name not in LATER}, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class Cell(Defined):
    """One deployment: `labels` of the data's training requests in stream order (None: all), a recipe, settings, a seed.

    A share of the labels may be `wrong`, see `spoiled`. With `asked` they are not recorded: a stand-in for the teacher is asked
    so many times about each request, and is wrong with that probability each time. The release may be distilled from the
    file that another cell, its `teacher`, released.
    """

    name: str
    data: str
    labels: int | None = None
    recipe: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    seed: int = 1
    wrong: float = 0
    asked: int = 0
    teacher: "Cell | None" = None

    def needs(self):
        """The cells whose released files this one takes."""
        return (self.teacher,) if self.teacher else ()


@dataclasses.dataclass(frozen=True)
class Interruption(Defined):
    """The deployment of the cell `whole` once more, its process killed and started again.

    Each of `kills` is a phase of training as `retort run` names it, and the step of it from which on the process is killed.
    """

    name: str
    whole: Cell
    kills: tuple

    @property
    def data(self):
        return self.whole.data

    def needs(self):
        return (self.whole,)


@dataclasses.dataclass(frozen=True)
class Stream(Defined):
    """A deployment to which the data's training requests come in `portions`, in stream order and without labels.

    Each portion is labelled by a teacher who knows the right calls, learned and released before the next one comes, so that
    a labelling policy asks the release of the portion before.
    """

    name: str
    data: str
    portions: int
    recipe: dict = dataclasses.field(default_factory=dict)
    settings: dict = dataclasses.field(default_factory=dict)
    seed: int = 1
    labels = None
    wrong = 0
    asked = 1
    teacher = None

    def needs(self):
        return ()


@dataclasses.dataclass(frozen=True)
class Compression(Defined):
    """What `retort compress` with `options` makes of the file that the cell `parent` released."""

    name: str
    parent: Cell
    options: dict

    @property
    def data(self):
        return self.parent.data

    def needs(self):
        return (self.parent,)


@dataclasses.dataclass(frozen=True)
class Errors(Defined):
    """What is wrong in the wrong answers of the files that these cells released, all of the same labels."""

    name: str
    students: tuple

    @property
    def data(self):
        return self.students[0].data

    def needs(self):
        return self.students


@dataclasses.dataclass(frozen=True)
class Scenario(Defined):
    """A run of `retort demo` on made-up traffic in portions, labelled selectively or all of it."""

    name: str
    scenario: str
    selective: bool = False
    portions: int = 6
    data = None

    def needs(self):
        return ()
