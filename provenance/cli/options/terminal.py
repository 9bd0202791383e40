"""The terminal that results are printed on: lines end where their text does, so that copied or piped text is clean."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.segment import Segment


class Terminal(Console):
    """A console without blanks at the ends of its lines; arguments as of `rich.console.Console`."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**how)
        self.push_render_hook(_Trim())


class _Trim(RenderHook):
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Trimmed(each) for each in renderables]


class _Trimmed:
    """What is rendered, without the blanks that fill lines up."""

    def __init__(self, content: RenderableType) -> None:
        self._content = content

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        blanks: list[Segment] = []
        for segment in console.render(self._content, options):
            for piece in _pieces(segment):
                if piece.text.isspace() and piece.text != "\n":
                    blanks.append(piece)
                    continue
                yield from () if piece.text == "\n" else blanks
                blanks.clear()
                yield piece


def _pieces(segment: Segment) -> Iterator[Segment]:
    """A segment as texts without blanks at their end, blanks, and ends of lines."""
    if segment.control:
        yield segment
        return
    for line in segment.text.splitlines(keepends=True):
        text = line.rstrip("\n")
        body = text.rstrip(" ")
        parts = (body, text[len(body) :], line[len(text) :])
        yield from (Segment(part, segment.style) for part in parts if part)
