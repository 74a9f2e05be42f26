"""Models of evalsuite as mteb's encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.bridges.mteb import library
from evalsuite.engines.encode import Role
from evalsuite.errors import ModelError

if TYPE_CHECKING:
    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.models import ModelMeta
    from mteb.types import PromptType
    from torch.utils.data import DataLoader


class MtebEncoder:
    """A model behind its engine, as mteb's ``EncoderProtocol`` has it.

    Args:
        engine: Offers ``encode(texts, role)``; dedupes and caches.
        name: The model's name.
        revision: Short form of its identity.
    """

    def __init__(self, engine: Any, name: str, revision: str) -> None:
        self._engine, self._name, self._revision = engine, name, revision

    @property
    def mteb_model_meta(self) -> ModelMeta:
        """What mteb records of the model; its names hold a slash."""
        library.load()
        from mteb.models import ModelMeta

        name = self._name if "/" in self._name else f"evalsuite/{self._name}"
        return ModelMeta.create_empty({"name": name, "revision": self._revision})

    def encode(
        self,
        inputs: DataLoader[Any],
        *,
        task_metadata: TaskMetadata,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **kwargs: Any,
    ) -> NDArray[np.float32]:
        """Return one vector a text, ``[n, dim]``.

        Args:
            inputs: Batches with the key ``text``.
            task_metadata: Of the task; the model's own prompts do not depend on it.
            hf_split: Not used.
            hf_subset: Not used.
            prompt_type: ``query`` or ``document``, the role of evalsuite.
            kwargs: mteb's batch size and the like: batches are the engine's.

        Raises:
            ModelError: The task is not of texts, or the model fails.
        """
        texts: list[str] = []
        for batch in inputs:
            if "text" not in batch:
                raise ModelError(f"{task_metadata.name}: '{self._name}' encodes texts only.")
            texts += batch["text"]
        role: Role = prompt_type.value if prompt_type else None
        vectors: NDArray[np.float32] = self._engine.encode(texts, role=role)
        return vectors

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return cosines of all pairs, ``[n, m]``."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Return cosines row by row, ``[n]``."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(embeddings1, embeddings2)
