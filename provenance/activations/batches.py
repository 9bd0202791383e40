"""Batches of rows of about one length: as many as a budget of tokens lets pass together, and little padding.

Rows go from the longest to the shortest, so the largest batch comes first and memory that is too small is found at
once. A batch ends where the next row would exceed the budget or the share of padding; rows that are left of a set form
the batches that they formed in the whole set.
"""

from collections.abc import Sequence

MOST_TOKENS = 4096  # padding included; they fill a GPU, and 28,672 neurons of them take 0.5 GB in float32
MOST_PADDING = 0.05
MOST_BYTES = 1 << 30  # of captured rows of a batch, in memory until they are written


def batches(lengths: Sequence[int], *, most_tokens: int = MOST_TOKENS, most_rows: int | None = None) -> list[list[int]]:
    """Positions of rows that are read together, the longest rows first.

    Args:
        lengths: Tokens of each row, at least 1.
        most_tokens: Rows times longest row of a batch, unless it has one row.
        most_rows: Limit of rows a batch; None for none.

    Returns:
        Batches of at most 5 % padding, which have every row once; rows of one length are in their order.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    found: list[list[int]] = []
    held = 0
    for row in order:
        if found:
            size, longest = len(found[-1]) + 1, lengths[found[-1][0]]
            filled = held + lengths[row] >= (1 - MOST_PADDING) * size * longest
            if filled and size * longest <= most_tokens and (most_rows is None or size <= most_rows):
                found[-1].append(row)
                held += lengths[row]
                continue
        found.append([row])
        held = lengths[row]
    return found


def rows_within(row_bytes: int, most_bytes: int = MOST_BYTES) -> int:
    """Rows of results that a batch may have, by the bytes of one; at least one."""
    return max(1, most_bytes // max(1, row_bytes))
