"""What a model spec resolves to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalsuite.cost import Cost
from evalsuite.engines.chunking import Chunking
from evalsuite.engines.encode import Prompts
from evalsuite.engines.finish import Finish
from evalsuite.task import Task

Load = Callable[["Placement"], Any]
LoadLayers = Callable[[Sequence[int], "Placement"], Any]
Count = Callable[[int | None], Cost]


@dataclass(frozen=True)
class Placement:
    """Where and in which arithmetic a model is loaded.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        max_length: Longest input in tokens; the model's own limit where None.
        trust_remote_code: Whether code of the checkpoint may run.
    """

    device: str = "cpu"
    dtype: str = "float32"
    max_length: int | None = None
    trust_remote_code: bool = False

    @property
    def device_type(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.partition(":")[0]


@dataclass(frozen=True)
class Resolved:
    """A model that is known but not loaded: its identity costs no import of torch.

    Attributes:
        name: What a table shows and a results folder is named.
        identity: Content hash of weights, tokenizer and configuration.
        revision: Short form of the identity; names a results folder.
        load: Loads it; the object offers the verbs.
        load_layers: Loads it to give the vectors of several layers side by side; None where it has
            no option ``layer``.
        chunking: How long texts are cut into windows, or None to let the model cut them off.
        verbs: Capabilities it offers.
        options: Spec options, part of the identity.
        encoder_options: Those of them that change vectors before ``finish``; None for all.
        native_dtype: The checkpoint's own dtype, or None for models that are not run by torch.
        prompts: What is put before texts.
        finish: What is done to vectors after the encoder.
        kind: One word for tables: ``encoder``, ``sparse``, ``multi-vector``, ``hybrid``,
            ``lexical``, ``random``, ``static``, ``object``, ``endpoint``.
        moved_by: Packages whose version can move a score.
        repeatable: Whether a second run would give the same; if not, nothing is reused.
        of_task: Returns the model as a task sees it, where its vectors depend on the task.
        count: Returns what it costs up to a layer (None: all of it), without loading it; None where
            nobody counts.
    """

    name: str
    identity: str
    revision: str
    load: Load = field(repr=False)
    verbs: tuple[str, ...] = ("encode",)
    options: Mapping[str, str] = field(default_factory=dict)
    encoder_options: Mapping[str, str] | None = None
    native_dtype: str | None = None
    prompts: Prompts = field(default_factory=Prompts)
    finish: Finish = field(default_factory=Finish)
    kind: str = "encoder"
    moved_by: tuple[str, ...] = ()
    repeatable: bool = True
    of_task: Callable[[Task], Resolved] | None = field(default=None, repr=False)
    count: Count | None = field(default=None, repr=False)

    def seen_by(self, task: Task) -> Resolved:
        """Return the model as a task sees it; the identity is the same."""
        return self if self.of_task is None else self.of_task(task)

    @property
    def cost(self) -> Cost:
        """What it costs to run; nothing is known where nobody counts."""
        layer = self.options.get("layer")
        return self.count(int(layer) if layer else None) if self.count else Cost()

    load_layers: LoadLayers | None = field(default=None, repr=False)
    chunking: Chunking | None = None
