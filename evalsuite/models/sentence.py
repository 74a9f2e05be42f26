"""Adapters of sentence-transformers' ``SparseEncoder`` and ``MultiVectorEncoder`` checkpoints."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.engines.encode import Prompts, Role
from evalsuite.engines.shelf import TokenModel, sparse_rows
from evalsuite.errors import ModelError, UsageError
from evalsuite.models import counting, files
from evalsuite.models.base import Placement, Resolved
from evalsuite.models.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]

OPTIONS = ("as", "query_prompt", "document_prompt", "prompt")
BARE_OPTIONS = (*OPTIONS, "query_length")
VERBS = {"sparse": "encode_sparse", "multi-vector": "encode_multi"}
_LIBRARY = {"sparse": "SparseEncoder", "multi-vector": "MultiVectorEncoder"}
_MODEL_TYPES = {library: kind for kind, library in _LIBRARY.items()}
_MODEL_TYPES["ColBERT"] = "multi-vector"  # PyLate's name
_CHUNK_TEXTS = 1024  # tokenised at once
# Above a token's id: the token was added to a query to be scored, and whether others see it.
_ADDED, _UNSEEN = 2**40, 2**41


def kind_of(folder: Path) -> str | None:
    """Return the kind of a checkpoint that says it is none of single dense vectors."""
    config = files.read_json(folder / "config_sentence_transformers.json")
    found = _MODEL_TYPES.get(str(config.get("model_type")))
    architectures = files.read_json(folder / "config.json").get("architectures") or ()
    if found is None and "HF_ColBERT" in architectures:
        return "multi-vector"  # Stanford
    modules = files.read_json(folder / "modules.json") or ()
    if found is None and any("sparse_encoder" in str(m.get("type")) for m in modules):
        return "sparse"
    return found


def resolve_folder(spec: Spec, folder: Path, name: str, kind: str) -> Resolved:
    """Resolve a checkpoint of sparse or of several vectors a text.

    Raises:
        UsageError: An option cannot be, or the checkpoint is of another kind.
        ModelError: The folder holds no usable weights.
    """
    from evalsuite.models.checkpoint import MOVED_BY

    own = kind_of(folder)
    bare = own is None and kind == "multi-vector"
    if own != kind and not bare:
        raise UsageError(
            f"'{name}' is no checkpoint of as={kind}: a {_LIBRARY[kind]} of sentence-transformers "
            "is needed."
        )
    spec.check_options(BARE_OPTIONS if bare else OPTIONS)
    if (spec.integer("query_length") or 3) < 3:
        raise UsageError("query_length= needs room for three tokens at least.")
    identity = files.content_identity(folder)
    return Resolved(
        name=name,
        identity=identity,
        revision=identity[:12],
        load=partial(_load, spec, folder, kind, bare=bare),
        verbs=(VERBS[kind],),
        options=spec.options,
        native_dtype=files.native_dtype(folder),
        kind=kind,
        moved_by=MOVED_BY,
        count=lambda _: counting.of_weights(folder),
    )


def _load(spec: Spec, folder: Path, kind: str, placement: Placement, *, bare: bool) -> TokenModel:
    from evalsuite.models.checkpoint import prompts
    from evalsuite.models.packing import pack_linears
    from evalsuite.models.transformer import quiet

    quiet()
    import sentence_transformers
    import torch

    options: dict[str, Any] = {
        "trust_remote_code": placement.trust_remote_code,
        "model_kwargs": {"dtype": getattr(torch, placement.dtype), "use_safetensors": True},
    }
    library = getattr(sentence_transformers, _LIBRARY[kind])
    try:
        if bare:
            modules = _token_states(folder, spec.integer("query_length"), options)
            model: Any = library(modules=modules, device=placement.device)
        else:
            model = library(str(folder), device=placement.device, **options)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, TypeError) as error:
        raise ModelError(f"Cannot load '{spec.name}': {error}") from error
    model.eval()
    if kind == "sparse" and model.similarity_fn_name not in ("dot", "cosine"):
        raise ModelError(
            f"'{spec.name}' compares by {model.similarity_fn_name}: sparse vectors are searched by "
            "dot or cosine."
        )
    if placement.max_length:
        _shorten(model, placement.max_length)
    if placement.device_type == "cpu":
        pack_linears(model)
    own = {role: prompt for role, prompt in model.prompts.items() if prompt}
    adapter = SparseModel if kind == "sparse" else MultiVectorModel
    return adapter(model, prompts(spec, own, model.default_prompt_name), placement.device)


def _shorten(model: Any, limit: int) -> None:
    """Lower every limit of a text's length to one of the user's."""
    for module in model.modules():
        for name in ("max_seq_length", "document_length", "query_length"):
            own = getattr(module, name, None)
            if own is not None and own > limit:
                setattr(module, name, limit)
        expansion = getattr(module, "query_expansion", None)
        if expansion is not None and expansion["length"] > limit:
            module.query_expansion = {**expansion, "length": limit}


def _token_states(folder: Path, query_length: int | None, options: dict[str, Any]) -> list[Any]:
    """Return modules that give the last hidden states of an encoder, at unit length.

    As in ColBERT, but for its projection: punctuation of documents does not count, and queries may
    be filled up with masks that are scored but not seen.
    """
    import string

    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

    trust = {"trust_remote_code": options["trust_remote_code"]}
    expansion: Any = {"strategy": "fixed", "attend": False, "length": query_length}
    transformer = Transformer(
        str(folder),
        model_kwargs=options["model_kwargs"] | trust,
        processor_kwargs=trust,
        config_kwargs=trust,
        query_expansion=expansion if query_length else None,
    )
    return [
        transformer,
        MultiVectorMask(skiplist_words=list(string.punctuation)),
        Normalize(module_input_name="token_embeddings"),
    ]


@dataclass
class _Model:
    """A sentence-transformers model whose batches are composed elsewhere.

    Attributes:
        model: Tokenises texts with what it adds to queries, and runs its modules by role.
        prompts: What is put before texts; old checkpoints keep it outside of their prompts.
        device: Where it runs.
    """

    model: Any
    prompts: Prompts
    device: str

    @property
    def pad_id(self) -> int:
        """Token that fills up a row; masked, so any valid id does."""
        return int(self.model.tokenizer.pad_token_id or 0)

    @property
    def pad_left(self) -> bool:
        """Whether rows are filled up on the left."""
        return bool(self.model.tokenizer.padding_side == "left")

    def tokenize(self, texts: list[str], role: Role) -> list[list[int]]:
        """Return token ids with flags, cut at the role's maximum length."""
        rows: list[list[int]] = []
        for start in range(0, len(texts), _CHUNK_TEXTS):
            chunk = texts[start : start + _CHUNK_TEXTS]
            features = self.model.preprocess(chunk, prompt=self.prompts.text(role), task=role)
            ids, seen = features["input_ids"], features["attention_mask"].bool()
            added = features.get("query_expansion_positions", seen.new_zeros(seen.shape)).bool()
            flagged = ids + _ADDED * added + _UNSEEN * (added & ~seen)
            rows += [row[kept].tolist() for row, kept in zip(flagged, seen | added, strict=True)]
        return rows

    def run(self, ids: Ints, mask: Ints, role: Role) -> dict[str, Tensor]:
        """Return what the modules make of padded rows with flags."""
        import torch

        features = {
            "input_ids": ids % _ADDED,
            "attention_mask": mask * (ids < _UNSEEN),
            "query_expansion_positions": (ids & _ADDED) > 0,
        }
        if "token_type_ids" in self.model.tokenizer.model_input_names:
            features["token_type_ids"] = np.zeros_like(ids)
        tensors = {key: torch.from_numpy(value).to(self.device) for key, value in features.items()}
        with torch.inference_mode():
            found: dict[str, Tensor] = self.model(tensors, task=role)
        return found


class SparseModel(_Model):
    """A model of one sparse vector over its vocabulary a text (SPLADE and its like)."""

    @property
    def terms(self) -> int:
        """Size of the vocabulary."""
        return int(self.model.get_embedding_dimension())

    def outputs(self, ids: Ints, mask: Ints, role: Role) -> list[Floats]:
        """Return each row's weights below their terms, ``[2, terms]``."""
        vectors = self.run(ids, mask, role)["sentence_embedding"].float()
        if self.model.max_active_dims is not None:
            from sentence_transformers.util import select_max_active_dims

            vectors = select_max_active_dims(vectors, self.model.max_active_dims)
        if self.model.similarity_fn_name == "cosine":
            vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)
        return sparse_rows(vectors)


class MultiVectorModel(_Model):
    """A model of one vector a token (ColBERT and its like)."""

    def outputs(self, ids: Ints, mask: Ints, role: Role) -> list[Floats]:
        """Return the vectors of each row's tokens that count, ``[tokens, dim]``."""
        found = self.run(ids, mask, role)
        vectors = found["token_embeddings"].float().cpu().numpy()
        counted = found["attention_mask"].bool().cpu().numpy()
        rows = [row[kept] for row, kept in zip(vectors, counted, strict=True)]
        if self.model.similarity_fn_name == "meanmaxsim" and role == "query":
            rows = [row / np.float32(max(1, len(row))) for row in rows]
        return rows
