"""Which questions of a pool are still to be asked, and which responses count, by quotas of each class.

Both follow from the responses in the order of asking, as if the questions were asked one by one.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from provenance.records import QUOTA_FULL, Label, Response
from provenance.stages import Left

KEPT_LABELS: tuple[Label, Label] = ("faithful", "hallucinated")
REFUSAL: Label = "refusal"
FEWEST = 10  # responses of a class that say how often it comes, to about a third


def labels_of(responses: Iterable[Response]) -> Counter[str]:
    """Responses of each label."""
    return Counter(str(response.label) for response in responses)


def full_classes(counts: Counter[str], quota: int) -> frozenset[Label]:
    """Classes that take no more, refusals among them."""
    return frozenset(label for label in (*KEPT_LABELS, REFUSAL) if counts[label] >= quota)


def is_over(counts: Counter[str], quota: int) -> bool:
    """Whether no more questions are asked, since both classes are full."""
    return full_classes(counts, quota).issuperset(KEPT_LABELS)


def questions_left(counts: Counter[str], asked: int, total: int, quota: int) -> Left:
    """Questions until both classes are full, if answers go on as before; at most all, where too few say so.

    Args:
        counts: Responses of each label.
        asked: Questions asked.
        total: Questions of the pool, in random order.
        quota: Responses wanted of each class.
    """
    lacking = [counts[label] for label in KEPT_LABELS if counts[label] < quota]
    if min(lacking, default=FEWEST) < FEWEST:
        return Left(total - asked, at_most=True)
    wanted = max((math.ceil(asked * (quota - count) / count) for count in lacking), default=0)
    return Left(min(wanted, total - asked))


def unfinished(
    known: Sequence[Response], start: int, stop: int, counts: Counter[str], quota: int, most: int
) -> list[int]:
    """The next positions of questions to ask, `most` of them at most.

    They were not asked, or were given up because of a class that is not full at their place any more.

    Args:
        known: Responses by position, without gaps.
        start: Position from which to look.
        stop: Number of questions.
        counts: Responses of each label before `start`.
    """
    counts = counts.copy()
    rows: list[int] = []
    for row in range(start, stop):
        if len(rows) == most or is_over(counts, quota):
            break
        response = known[row] if row < len(known) else None
        if response is None or (response.reason == QUOTA_FULL and counts[response.judged_label] < quota):
            rows.append(row)
        else:
            counts[response.label] += 1
    return rows


def with_quota(response: Response, full: Collection[Label]) -> Response:
    """The response at a place where these classes are full."""
    return replace(response, label="dropped", reason=QUOTA_FULL) if response.label in full else response


def within(known: Sequence[Response], quota: int) -> list[Response]:
    """Responses of the questions that are asked under a quota, which may be smaller than that of the responses."""
    counts: Counter[str] = Counter()
    found: list[Response] = []
    for response in known:
        if is_over(counts, quota):
            break
        found.append(with_quota(response, full_classes(counts, quota)))
        counts[found[-1].label] += 1
    return found
