"""What both sides of a comparison cost: exact costs as they are, speed where it can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalsuite.compare.pairing import Pair
from evalsuite.cost import LENGTH, MISSING, Spent, short, whole

EXACT = {
    "parameters": "Parameters",
    "flops_per_token": f"FLOPs a token (text of {LENGTH})",
    "bytes_per_item": "Bytes an item",
}
SPEED, SPEED_TITLE = "texts_per_second", "Texts/s"


@dataclass(frozen=True)
class Costs:
    """One cost of both sides.

    Attributes:
        name: As result files call it.
        title: What tables call it.
        baseline: The values of the tasks compared, smallest first; none where it is not known.
        candidate: Those of the candidate.
    """

    name: str
    title: str
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]

    @property
    def ratio(self) -> float | None:
        """Candidate over baseline, where each side has one value."""
        if len(self.baseline) != 1 or len(self.candidate) != 1 or not self.baseline[0]:
            return None
        return self.candidate[0] / self.baseline[0]


def costs(pairs: Sequence[Pair]) -> tuple[Costs, ...]:
    """Return every cost that a side states, over the tasks compared."""
    sides = [pair.baseline.spent for pair in pairs], [pair.candidate.spent for pair in pairs]
    found = [
        Costs(name, title, _values(sides[0], name), _values(sides[1], name))
        for name, title in EXACT.items()
    ]
    timed = [pair for pair in pairs if not not_timed(pair)]
    if timed:
        speeds = (
            (_speed([pair.baseline.spent for pair in timed]),),
            (_speed([pair.candidate.spent for pair in timed]),),
        )
        found.append(Costs(SPEED, SPEED_TITLE, *speeds))
    return tuple(one for one in found if one.baseline or one.candidate)


def _values(spent: Sequence[Spent], name: str) -> tuple[float, ...]:
    return tuple(sorted({value for one in spent if (value := getattr(one, name)) is not None}))


def _speed(spent: Sequence[Spent]) -> float:
    texts, seconds = (sum(getattr(one, name) for one in spent) for name in ("texts", "seconds"))
    return float(texts / seconds)


def said(values: tuple[float, ...]) -> str:
    """Return a value, a range where tasks differ in it, or a dash."""
    ends = dict.fromkeys(short(value) for value in values[:1] + values[-1:])
    return " to ".join(ends) or MISSING


def not_timed(pair: Pair) -> str:
    """Say why the seconds of two results cannot be compared, or nothing."""
    ours, theirs = pair.candidate.spent, pair.baseline.spent
    for side, spent in (("candidate", ours), ("baseline", theirs)):
        if spent.texts is None:
            return f"the {side} has no timing, for example because its texts came from the cache"
    if ours.texts != theirs.texts:
        return f"the candidate ran {whole(ours.texts)} texts, the baseline {whole(theirs.texts)}"
    differs = pair.other_environment()
    return f"the {differs} differs" if differs else ""
