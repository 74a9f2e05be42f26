"""mteb's classification (2.26), driven with ready vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mteb
import numpy as np
from datasets import disable_progress_bars
from mteb.models.abs_encoder import AbsEncoder
from mteb.models.model_meta import ModelMeta
from mteb.timing import TimingStack
from numpy.typing import NDArray

from benchmarks.mteb_tasks import labelled_dataset
from evalsuite.data import Labelled


class ReadyVectors(AbsEncoder):
    """An encoder that hands out vectors by text."""

    def __init__(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Take a vector a text."""
        self._vectors = vectors
        self.mteb_model_meta = ModelMeta.create_empty(overwrites={"name": "benchmark/ready"})

    def encode(self, inputs: Any, **options: Any) -> Any:
        """Return the vectors of the texts of all batches."""
        return np.stack([self._vectors[text] for batch in inputs for text in batch["text"]])


class Mteb:
    """mteb's draws, classifiers and scores."""

    def __init__(
        self, data: Labelled, vectors: Mapping[str, NDArray[np.float32]], *, bare: bool = False
    ) -> None:
        """Build what mteb would have loaded; not timed."""
        disable_progress_bars()
        self._model: Any = ReadyVectors(vectors)
        self._task: Any = mteb.get_task("Banking77Classification")
        self._task.dataset = labelled_dataset(data, "test")
        self._task.data_loaded = True
        if bare:
            self._relieve()
        self.scores: dict[str, float] = {}
        self.seconds: list[float] = []

    def _relieve(self) -> None:
        """Hand labels over as lists, rather than as a column read item by item."""
        theirs = self._task._run_experiment

        def run(train: Any, test: Any, *vectors: Any, **options: Any) -> Any:
            splits = ({"label": split["label"][:]} for split in (train, test))
            return theirs(*splits, *vectors, **options)

        self._task._run_experiment = run

    def run(self) -> None:
        """Evaluate once and note the seconds of the scoring phase."""
        timer = TimingStack()
        found = self._task.evaluate(self._model, "test", encode_kwargs={}, timer=timer)["default"]
        self.scores = {name: value for name, value in found.items() if isinstance(value, float)}
        (scoring,) = (phase for phase in timer.phases if phase["name"] == "Scoring")
        self.seconds.append(scoring["end"] - scoring["start"])
