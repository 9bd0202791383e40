"""Table 1 over a study: how well each probe tells hallucinated answers of its own model, beside random neurons.

A question set with one class has no accuracy; it has a rate of detection, as the paper's NonExist column.

Source: Gao et al. 2025, arXiv:2512.01797, Table 1; intervals are added here.
"""

from collections.abc import Sequence

from matplotlib.figure import Figure

from provenance.cells import NOTHING, Record, fixed, interval
from provenance.checkpoints.published_numbers import of_dataset, published_numbers
from provenance.figures.drawing.family_panels import Entry, Words, family_panels
from provenance.figures.drawing.figure_spec import GalleryFigure
from provenance.figures.tables.latex import Table
from provenance.figures.wording.run_words import Parts, captioned, source
from provenance.figures.wording.study_words import diamonds, replicates_words, so_many_families
from provenance.table_declaration import MEMBER


def own(rows: Sequence[Record]) -> list[Record]:
    """Of rows of the query `identification`, those of the instruct checkpoints' probes with a held-out set."""
    return [row for row in rows if row["stage"] == "instruct" and row["dataset"] is not None]


def number(row: Record) -> str:
    """Column of the row's number: its accuracy, or the rate of detection of a set with one class."""
    return "accuracy" if row["accuracy"] is not None else "detection"


def entries(rows: Sequence[Record]) -> list[Entry]:
    """One entry for each family and question set."""
    published = published_numbers()
    found: list[Entry] = []
    for row in rows:
        name, numbers = number(row), published.get(row["family"])
        printed = None if numbers is None else of_dataset(numbers.accuracy, row["dataset"])
        if row[name] is None:
            found.append(
                Entry(row["family"], row["dataset"], None, published=printed and printed[0], note="no answers")
            )
            continue
        low, mean, high = (row[f"random_{name}{end}"] for end in ("_low", "", "_high"))
        found.append(
            Entry(
                row["family"],
                row["dataset"],
                row[name],
                row[f"{name}_low"],
                row[f"{name}_high"],
                filled=high is not None and row[f"{name}_low"] is not None and row[f"{name}_low"] > high,
                null=None if low is None or mean is None else (low, mean, high),
                published=printed and printed[0],
            )
        )
    return found


def figure(rows: Sequence[Record], drawn: Sequence[Record] = ()) -> Figure:
    """Draw a panel for each question set, with dots for single replicates."""
    names = {row["dataset"]: number(row) for row in rows}
    words = Words(
        axis={dataset: "accuracy" if name == "accuracy" else "detected" for dataset, name in names.items()},
        value="H-Neurons",
        null="random neurons: mean, 95 %",
        reference=dict.fromkeys(names, 0.5),
        dashed="0.5",
        filled="interval above random neurons",
        hollow="not above them",
    )
    return family_panels(entries(rows), {}, words, entries(drawn))


def caption(parts: Parts) -> list[str]:
    """Caption, then every number."""
    rows = own(parts["identification"].records())
    count = len({row["family"] for row in rows})
    lede = captioned(
        f"Table 1 over {so_many_families(count)}: accuracy of each instruct checkpoint’s probe on "
        "its own balanced held-out responses (sets with one class: share detected), with 95 % intervals, beside probes "
        "refitted on as many random neurons.",
        replicates_words(parts["identification"], numbers="medians"),
        diamonds("numbers", drawn=any(entry.published is not None for entry in entries(rows))),
    )
    words = [
        f"{row['family']}, {row['dataset']}: {number(row)} {interval(row, number(row))}, random "
        f"{interval(row, f'random_{number(row)}')}, n = {row['n_faithful']} + {row['n_hallucinated']}."
        for row in rows
    ]
    return [*lede, *words, f"Drawn from {source(parts)}."]


def table(parts: Parts) -> Table:
    """Table 1 in the paper's form: a row a family, a column a question set, published numbers below ours.

    Of several replicates the medians, and their ranges.
    """
    result, published = parts["identification"], published_numbers()
    rows, drawn = own(result.records()), own(result.each_replicate())
    totals = {row["family"]: row for row in parts["run"].records()}
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    cells: list[tuple[str, ...]] = []
    for family in dict.fromkeys(row["family"] for row in rows):
        of_family = {row["dataset"]: row for row in rows if row["family"] == family}
        about, k = totals[family], next(iter(of_family.values()))["n_h_neurons"]
        share = 1000 * k / (about["layers"] * about["neurons_per_layer"])
        cells.append((family, fixed(share), *(_cell(of_family.get(dataset), drawn) for dataset in datasets)))
        if family in published:
            numbers = published[family]
            printed = [of_dataset(numbers.accuracy, dataset) for dataset in datasets]
            cells.append(("published", fixed(numbers.per_mille), *map(_printed, printed)))
    said = (
        "Accuracy (%) of the H-Neuron probe on balanced held-out responses, in brackets that of probes on as many "
        "random neurons; share of H-Neurons in thousandths. Sets with one class: share detected."
    )
    over = replicates_words(result, "", "medians and, in square brackets, ranges")
    return Table(f"{said} {over}".strip(), ("family", "‰", *datasets), cells)


def _cell(row: Record | None, drawn: Sequence[Record]) -> str:
    if row is None or row[number(row)] is None:
        return NOTHING
    name = number(row)
    each = [one[name] for one in drawn if all(one[key] == row[key] for key in (MEMBER, "dataset"))]
    known = [100 * value for value in each if value is not None]
    spread = f" [{fixed(min(known), 1)}, {fixed(max(known), 1)}]" if known else ""
    return _printed((row[name], row[f"random_{name}"]), spread)


def _printed(pair: tuple[float, float | None] | None, spread: str = "") -> str:
    if pair is None:
        return NOTHING
    probe, other = pair
    return fixed(100 * probe, 1) + spread + (f" ({fixed(100 * other, 1)})" if other is not None else "")


FIGURE = GalleryFigure(
    order=1,
    name="study_table_1",
    title="Do the probes tell hallucinated answers?",
    data={"identification": ("identification", {})},
    ready=lambda parts: bool(own(parts["identification"].records())),
    context=("study", "run", "identification"),
    draw=lambda parts: figure(own(parts["identification"].records()), own(parts["identification"].each_replicate())),
    caption=caption,
    table=table,
)
