"""Counts the models that a run loads, and how many of them are alive at a time."""

import weakref
from pathlib import Path

import pytest

from provenance.analyses.asking import subject
from provenance.models.loading import LoadedModel


class Loads:
    """From now on: folders of the loaded models in order, and the most that were alive at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folders: list[Path] = []
        self.most_alive = 0
        self._alive: list[weakref.ref[object]] = []
        self._plain = subject.load_model
        monkeypatch.setattr(subject, "load_model", self._load)

    def _load(self, folder: Path, *args: object, **options: object) -> LoadedModel:
        loaded = self._plain(folder, *args, **options)  # type: ignore[arg-type]
        self.folders.append(folder)
        self._alive.append(weakref.ref(loaded.model))
        self.most_alive = max(self.most_alive, sum(model() is not None for model in self._alive))
        return loaded
