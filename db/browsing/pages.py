"""Pages of a run and of a neuron, and links to them from every table: a plugin of Datasette.

A page holds what `provenance query` and `provenance neurons show` say, as values; numbers become text in its template.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from datasette import hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import NotFound, Request, Response
from jinja2 import Environment
from markupsafe import Markup

from provenance.cells import compact
from provenance.db.browsing.metadata import NAME, QUERY_PREFIX, views_first
from provenance.db.neuron_card import neuron_card, run_concept
from provenance.db.reading.named_queries import QUERIES
from provenance.db.reading.run_query import run_query
from provenance.errors import InputError
from provenance.records import MARKS

BEGIN_WITH = ("runs", "claims", "h-neurons-summary", "layers", "transfer")
"""Queries that answer what most people ask first."""
Route = tuple[str, Callable[..., Awaitable[Response]]]


class Pages:
    """The plugin, for one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.__name__ = __package__  # Datasette finds the folder `templates` by it

    @hookimpl
    def prepare_jinja2_environment(self, env: Environment) -> None:
        """Give templates the format of numbers, the order of the views, and the queries to begin with."""
        env.filters["compact"] = _shown
        env.globals["views_first"] = views_first()
        env.globals["begin_with"] = {name: QUERIES[name].summary for name in BEGIN_WITH}

    @hookimpl
    def register_routes(self) -> list[Route]:
        """Addresses of both pages; the first page is that of the one database."""
        return [
            (r"^/$", self.first),
            (r"^/-/run/(?P<run>\d{1,9})$", self.run),
            (r"^/-/neuron/(?P<run>\d{1,9})/(?P<layer>\d{1,9})/(?P<neuron>\d{1,9})$", self.neuron),
        ]

    @hookimpl
    def render_cell(self, row: Any, value: Any, column: str) -> Markup | None:
        """Link the number of a run, and the index of a neuron in rows that name its run and layer."""
        if column == "run_id" and isinstance(value, int):
            return _link(f"/-/run/{value}", value)
        names = row.keys()
        if column == "neuron_index" and "run_id" in names and "layer" in names:
            return _link(f"/-/neuron/{row['run_id']}/{row['layer']}/{value}", value)
        return None

    async def first(self, datasette: Datasette) -> Response:
        """The way to the page of the database."""
        return Response.redirect(datasette.urls.database(NAME))

    async def run(self, datasette: Datasette, request: Request) -> Response:
        """The page of a run."""
        return await self._page(datasette, request, "run.html", run_page)

    async def neuron(self, datasette: Datasette, request: Request) -> Response:
        """The page of a neuron."""
        return await self._page(datasette, request, "neuron.html", neuron_card)

    async def _page(
        self, datasette: Datasette, request: Request, template: str, read: Callable[..., dict[str, Any]]
    ) -> Response:
        place = [int(request.url_vars[name]) for name in ("run", "layer", "neuron") if name in request.url_vars]
        try:
            values = await asyncio.to_thread(read, self._url, *place)
        except InputError as error:
            raise NotFound(f"{error.wanted}: {error.found}") from error
        return Response.html(await datasette.render_template(template, values, request=request))


def run_page(url: str, run: int) -> dict[str, Any]:
    """A run with its claims, each with all its conditions, its transfer and its H-Neurons.

    Raises:
        InputError: There is no such run.
        StoreError: The database cannot be read.
    """
    names = ("claims", "reasons", "transfer", "h-neurons")
    found = {name: run_query(url, name, {"run": run}).records() for name in names}
    [about] = run_query(url, "run", {"run": run}).records()
    for claim in found["claims"]:
        claim["mark"] = MARKS[claim["verdict"]]
        claim["reasons"] = [reason for reason in found["reasons"] if reason["claim"] == claim["claim"]]
    queries = [(f"{QUERY_PREFIX}{query.name}", query.name) for query in QUERIES.values() if ":run" in query.sql]
    return {"run": about, "concept": run_concept(about), "claims": found["claims"], "transfer": found["transfer"],
            "neurons": found["h-neurons"], "queries": queries}  # fmt: skip


def _link(path: str, words: object) -> Markup:
    return Markup('<a href="{}">{}</a>').format(path, words)


def _shown(value: Any) -> str:
    """A value as text: numbers with three digits."""
    return compact(value) if value is None or isinstance(value, float) else str(value)
