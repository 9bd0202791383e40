"""Pages of a run and of a neuron, its figures and report, and links to them from every table: a plugin of Datasette.

A page holds what `provenance query` and `provenance neurons show` say, as values; numbers become text in its template.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import NotFound, Request, Response
from jinja2 import Environment
from markupsafe import Markup

from provenance.cells import compact
from provenance.db.browsing.metadata import NAME, QUERY_PREFIX, column_meanings, views_first
from provenance.db.neuron_card import neuron_card, run_concept
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import reading, run_query
from provenance.errors import InputError
from provenance.records import MARKS

NEWEST_RUNS = 20
BEGIN_WITH = ("claims", "h-neurons-summary", "layers", "transfer", "h-neurons")
"""Queries that answer what most people ask first."""
RUN_TABLES: Mapping[str, tuple[str, ...]] = {
    "transfer": ("dataset", "auroc", "auroc_low", "auroc_high", "n_faithful", "n_hallucinated", "verdict", "p_holm"),
    "h-neurons": (
        "layer", "neuron_index", "probe_weight", "stability_rank", "base_cett_faithful", "base_cett_hallucinated",
        "instruct_cett_faithful", "instruct_cett_hallucinated", "base_auroc", "instruct_auroc", "is_base_h_neuron",
    ),
}  # fmt: skip
"""Columns of tables on the page of a run."""
# What is drawn here holds no script; that of a report is its own, and fetches nothing.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
REPORT_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
Route = tuple[str, Callable[..., Awaitable[Response]]]
T = TypeVar("T")


class Drawing(Protocol):
    """What draws figures and reports of runs, each when it is looked at."""

    main: int
    """How many figures the page of a run shows."""

    def figures(self, run: int) -> Mapping[str, str]:
        """Titles of the figures of a run, by name."""

    def picture(self, run: int, name: str) -> bytes:
        """A figure as SVG."""

    def report(self, run: int) -> str:
        """The report as HTML text."""

    def condition(self, code: str) -> str:
        """The condition of a claim behind a code such as `transfer.p_holm`, in the report's words."""


class Pages:
    """The plugin, for one database."""

    def __init__(self, url: str, drawing: Drawing) -> None:
        self._url = url
        self._drawing = drawing
        self.__name__ = __package__  # Datasette finds the folder `templates` by it

    @hookimpl
    def prepare_jinja2_environment(self, env: Environment) -> None:
        """Give templates the format of numbers, what columns mean, and what to list on the first page."""
        env.filters["compact"] = _shown
        env.globals["meanings"] = column_meanings()
        env.globals["views_first"] = views_first()
        env.globals["begin_with"] = {name: QUERIES[name].summary for name in BEGIN_WITH}
        env.globals["summaries"] = {name: query.summary for name, query in QUERIES.items()}

    @hookimpl
    def extra_template_vars(self, template: str) -> Callable[[], Awaitable[dict[str, Any]]] | None:
        """The newest runs, for the first page."""
        if template != "database.html":
            return None

        async def newest() -> dict[str, Any]:
            runs = await asyncio.to_thread(lambda: run_query(self._url, "runs").records())
            return {"runs": runs[: -NEWEST_RUNS - 1 : -1], "older_runs": max(len(runs) - NEWEST_RUNS, 0)}

        return newest

    @hookimpl
    def register_routes(self) -> list[Route]:
        """Addresses of the pages; the first page is that of the one database."""
        return [
            (r"^/$", self.first),
            (r"^/-/run/(?P<run>\d{1,9})$", self.run),
            (r"^/-/neuron/(?P<run>\d{1,9})/(?P<layer>\d{1,9})/(?P<neuron>\d{1,9})$", self.neuron),
            (r"^/-/figure/(?P<run>\d{1,9})/(?P<name>\w{1,99})\.svg$", self.figure),
            (r"^/-/report/(?P<run>\d{1,9})$", self.report),
        ]

    @hookimpl
    def render_cell(self, row: Any, value: Any, column: str) -> Markup | None:
        """Link the number of a run and the index of a neuron in rows that say more; show three digits of a number."""
        if column in ("run_id", "run") and isinstance(value, int):
            return _link(f"/-/run/{value}", value)
        names = row.keys()
        if column == "neuron_index" and "run_id" in names and "layer" in names:
            return _link(f"/-/neuron/{row['run_id']}/{row['layer']}/{value}", value)
        if isinstance(value, float):
            return Markup('<span title="{}">{}</span>').format(repr(value), compact(value))
        return None

    async def first(self, datasette: Datasette) -> Response:
        """The way to the page of the database."""
        return Response.redirect(datasette.urls.database(NAME))

    async def run(self, datasette: Datasette, request: Request) -> Response:
        """The page of a run."""
        run = int(request.url_vars["run"])
        values = await _found(run_page, self._url, self._drawing, run)
        return Response.html(await datasette.render_template("run.html", values, request=request))

    async def neuron(self, datasette: Datasette, request: Request) -> Response:
        """The page of a neuron."""
        place = [int(request.url_vars[name]) for name in ("run", "layer", "neuron")]
        values = await _found(neuron_card, self._url, *place)
        return Response.html(await datasette.render_template("neuron.html", values, request=request))

    async def figure(self, request: Request) -> Response:
        """A figure of a run as SVG."""
        picture = await _found(self._drawing.picture, int(request.url_vars["run"]), request.url_vars["name"])
        headers = {"Content-Security-Policy": PICTURE_POLICY}
        return Response(picture, headers=headers, content_type="image/svg+xml; charset=utf-8")

    async def report(self, request: Request) -> Response:
        """The report of a run."""
        page = await _found(self._drawing.report, int(request.url_vars["run"]))
        return Response.html(page, headers={"Content-Security-Policy": REPORT_POLICY})


async def _found(read: Callable[..., T], *place: object) -> T:
    """What is read in another thread; an answer 404 where there is no such thing."""
    try:
        return await asyncio.to_thread(read, *place)
    except InputError as error:
        raise NotFound(f"{error.wanted}: {error.found}") from error


def run_page(url: str, drawing: Drawing, run: int) -> dict[str, Any]:
    """A run with its claims, each with all its conditions, its H-Neurons, its figures and its transfer.

    Raises:
        InputError: There is no such run.
        StoreError: The database cannot be read.
    """
    names = ("claims", "reasons", "h-neurons-summary", "layers", *RUN_TABLES)
    with reading(url) as database:
        found = {name: run_query(database, name, {"run": run}).records() for name in names}
        [about] = run_query(database, "run", {"run": run}).records()
    for claim in found["claims"]:
        claim["mark"] = MARKS[claim["verdict"]]
        claim["reasons"] = [
            {**reason, "words": drawing.condition(reason["code"])}
            for reason in found["reasons"]
            if reason["claim"] == claim["claim"]
        ]
    figures = list(drawing.figures(run).items())
    return {
        "run": about,
        "concept": run_concept(about),
        "claims": found["claims"],
        "summary": found["h-neurons-summary"],
        "layers": [layer for layer in found["layers"] if layer["h_neurons"]],
        "tables": {name: (columns, found[name]) for name, columns in RUN_TABLES.items()},
        "figures": figures[: drawing.main],
        "more_figures": figures[drawing.main :],
        "queries": [(f"{QUERY_PREFIX}{query.name}", query.name) for query in QUERIES.values() if ":run" in query.sql],
    }


def _link(path: str, words: object) -> Markup:
    return Markup('<a href="{}">{}</a>').format(path, words)


def _shown(value: Any) -> str:
    """A value as text: numbers with three digits."""
    return compact(value) if value is None or isinstance(value, float) else str(value)
