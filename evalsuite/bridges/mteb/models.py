"""mteb's models as models: ``mteb:NAME[@REVISION]``, or ``mteb:./folder`` in mteb's own wrapper.

mteb loads them and puts its own prompts before texts, by task and by role. So vectors may depend
on the task, and are cached for each task apart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.bridges.mteb import library
from evalsuite.bridges.mteb.metadata import metadata_of
from evalsuite.engines.encode import Prompts, Role
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import Placement, Resolved, files
from evalsuite.models.spec import Spec
from evalsuite.task import Task

_BATCH = 32
_DTYPE_KEYS = ("dtype", "torch_dtype")


class _OwnPrompts(Prompts):
    """The model puts prompts itself: the engine only keeps the vectors of roles apart."""

    def salt(self, role: Role) -> str:
        """Return the role."""
        return f"role={role}"


class TheirModel:
    """One of mteb's models as one task sees it.

    Args:
        load: Returns mteb's model.
        metadata: Of mteb's task.
    """

    takes_role = True

    def __init__(self, load: Callable[[], Any], metadata: Any) -> None:
        self._model, self._metadata = load(), metadata

    def encode(self, texts: list[str], role: Role = None) -> NDArray[np.float32]:
        """Return one vector a text, ``[n, dim]``.

        Raises:
            ModelError: The model fails.
        """
        from datasets import Dataset
        from mteb.types import PromptType
        from torch.utils.data import DataLoader

        columns = {"text": texts}
        columns |= {"query": texts} if role == "query" else {}
        columns |= {"body": texts} if role == "document" else {}
        with library.quiet():
            inputs: Any = DataLoader(Dataset.from_dict(columns), batch_size=_BATCH)
            try:
                vectors = self._model.encode(
                    inputs,
                    task_metadata=self._metadata,
                    hf_split="test",
                    hf_subset="default",
                    prompt_type=PromptType(role) if role else None,
                    batch_size=_BATCH,
                )
            except Exception as error:  # a model of another's code fails in its own way
                raise ModelError(f"mteb's model failed, {type(error).__name__}: {error}") from error
        if hasattr(vectors, "cpu"):
            vectors = vectors.float().cpu().numpy()
        return np.asarray(vectors, dtype=np.float32)


def resolve(spec: Spec) -> Resolved:
    """Resolve one of mteb's models without loading it.

    Raises:
        UsageError: mteb is not installed or has no such model, it is no plain encoder, or the spec
            has options.
        ModelError: A folder holds no usable weights.
    """
    spec.check_options(())
    name = spec.name.partition(":")[2]
    folder = files.local_path(name)
    if folder is not None and folder.is_dir():
        return _of_folder(folder)
    meta = _meta(name, spec.revision)
    identity = f"mteb:{meta.name}@{meta.revision}"
    return _resolved(
        str(meta.name),
        identity,
        _short(str(meta.revision)),
        functools.cache(partial(_load, meta)),
        _stated_dtype(meta),
    )


def _of_folder(folder: Path) -> Resolved:
    """Resolve a sentence-transformers checkpoint in mteb's wrapper, known by its content."""
    identity = files.content_identity(folder)

    def load(placement: Placement) -> Any:
        library.load()
        from mteb.models import SentenceTransformerEncoderWrapper

        dtype = {"dtype": placement.dtype, "use_safetensors": True}
        with library.quiet():
            return SentenceTransformerEncoderWrapper(
                str(folder), device=placement.device, model_kwargs=dtype
            )

    dtype = files.native_dtype(folder)
    name = folder.resolve().name
    return _resolved(name, identity, identity[:12], functools.cache(load), dtype)


def _resolved(
    name: str, identity: str, revision: str, load: Callable[[Placement], Any], dtype: str
) -> Resolved:
    """Return a model; ``load`` is called once, whatever the tasks."""

    def of_task(task: Task) -> Resolved:
        return replace(
            found,
            load=lambda placement: TheirModel(partial(load, placement), metadata_of(task)),
            encoder_options={
                "mteb": version("mteb"),  # where prompts are
                "task": str(task),
                "protocol": task.protocol,
                "same_as": ",".join(task.same_as),
            },
        )

    def refuse(placement: Placement) -> Any:
        raise UsageError(f"'mteb:{name}' takes mteb's prompts of a task: run it on tasks.")

    found = Resolved(
        name=name,
        identity=identity,
        revision=revision,
        load=refuse,
        options={"loader": "mteb"},
        native_dtype=dtype,
        prompts=_OwnPrompts(),
        moved_by=("mteb", "sentence-transformers", "torch", "transformers"),
        of_task=of_task,
    )
    return found


def _meta(name: str, revision: str) -> Any:
    """Return what mteb knows of a model.

    Raises:
        UsageError: It knows none of that name and revision, or no plain encoder.
    """
    mteb = library.load()
    with library.quiet():
        try:
            meta = mteb.get_model_meta(name, revision=revision or None)
        except KeyError:
            known = (str(one.name) for one in mteb.get_model_metas())
            raise library.unknown("model", name, known) from None
        except ValueError as error:
            raise UsageError(f"'mteb:{name[:80]}': {error}") from None
    kinds = set(meta.model_type) - {"dense"}
    if kinds:
        raise UsageError(
            f"mteb's '{name}' is of type {', '.join(sorted(kinds))}: only encoders with one dense "
            "vector a text are run here."
        )
    return meta


def _load(meta: Any, placement: Placement) -> Any:
    """Have mteb load a model.

    Raises:
        ModelError: An extra of mteb's is missing, code of the checkpoint would run, or it fails.
        UsageError: mteb's models keep their own length and dtype.
    """
    if placement.max_length is not None or placement.dtype != _stated_dtype(meta):
        raise UsageError(f"'mteb:{meta.name}' is run as mteb has it: no --dtype, no --max-length.")
    asks = meta.loader_kwargs.get("trust_remote_code")
    if asks and not placement.trust_remote_code:
        raise ModelError(
            f"'mteb:{meta.name}' runs code of its checkpoint. If you trust it: --trust-remote-code."
        )
    with library.quiet():
        try:
            model = meta.load_model(device=placement.device)
        except Exception as error:  # a model of another's code fails in its own way
            said = " ".join(str(error).split())[:500]
            raise ModelError(f"mteb cannot load '{meta.name}': {said}") from error
    from mteb.models import EncoderProtocol

    if not isinstance(model, EncoderProtocol):
        raise ModelError(f"mteb's '{meta.name}' is no encoder: it has no vectors to score.")
    return model


def _stated_dtype(meta: Any) -> str:
    """Return the dtype mteb's loader is told, else what sentence-transformers takes."""
    given = meta.loader_kwargs
    for table in (given, given.get("model_kwargs") or {}):
        for key in _DTYPE_KEYS:
            name = str(table.get(key, "")).removeprefix("torch.")
            if name in ("float32", "bfloat16", "float16"):
                return name
    return "float32"


def _short(revision: str) -> str:
    is_hash = len(revision) == 40 and all(c in "0123456789abcdef" for c in revision)
    return revision[:12] if is_hash else revision
