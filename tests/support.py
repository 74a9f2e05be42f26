"""What several tests build on: small tasks, small models, the command line in this process."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EVALSUITE_DATA", REPOSITORY.parent / "shared" / "data"))

PAIRS: Sequence[tuple[str, str, float]] = (
    ("A man plays the guitar.", "A man is playing a guitar.", 4.8),
    ("A dog runs in the park.", "A cat sleeps on the sofa.", 0.9),
    ("The stock market fell today.", "Shares dropped on Tuesday.", 3.7),
    ("She cooks dinner.", "A woman prepares a meal.", 4.1),
    ("It is raining.", "The sun shines.", 0.6),
    ("Two children play football.", "Kids kick a ball.", 3.3),
    ("He reads a book.", "He reads a book.", 5.0),
    ("The train is late.", "A plane takes off.", 1.2),
)
CORPUS: Mapping[str, str] = {
    "d1": "Guitars have six strings and a wooden body.",
    "d2": "Dogs are loyal animals that like to run.",
    "d3": "Stock markets react to interest rates.",
    "d4": "A recipe for dinner: boil the pasta.",
    "d5": "Rain falls when clouds cool down.",
    "d6": "Football is played by two teams.",
}
QUERIES: Mapping[str, str] = {
    "q1": "how many strings has a guitar",
    "q2": "why do markets fall",
    "q3": "what causes rain",
}
QRELS: Mapping[str, Mapping[str, int]] = {
    "q1": {"d1": 2, "d6": 0},
    "q2": {"d3": 1, "d4": 1},
    "q3": {"d5": 1},
}


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Write JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def task_toml(path: Path, *, data: str, extra: str = "", **fields: Any) -> Path:
    """Write a task's TOML file.

    Args:
        path: Where; the stem is the default name.
        data: Body of the ``data.local`` table.
        extra: Further lines, after the data tables.
        fields: Keys that differ from an STS task's.
    """
    table = {
        "name": path.stem,
        "version": 1,
        "protocol": "sts",
        "main_measure": "cosine_spearman",
        "title": "A task of the tests",
        **fields,
    }
    head = "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n[data.local]\n{data}\n{extra}\n", encoding="utf-8")
    return path


def pairs_task(
    folder: Path,
    rows: Sequence[tuple[str, str, Any]] = PAIRS,
    *,
    name: str = "MyPairs",
    ids: Sequence[str] | None = None,
    **fields: Any,
) -> Path:
    """Write an STS task with its pairs beside it."""
    write_lines(
        folder / f"{name}-data" / "pairs.jsonl",
        [
            {"id": ids[i] if ids else f"p{i}", "sentence1": a, "sentence2": b, "score": gold}
            for i, (a, b, gold) in enumerate(rows)
        ],
    )
    data = f'folder = "{name}-data"\nformat = "jsonl"\nfile = "pairs.jsonl"'
    return task_toml(folder / f"{name}.toml", data=data, **fields)


def beir_folder(
    folder: Path,
    corpus: Mapping[str, str] = CORPUS,
    queries: Mapping[str, str] = QUERIES,
    qrels: Mapping[str, Mapping[str, int]] = QRELS,
) -> Path:
    """Write a BEIR folder."""
    write_lines(folder / "corpus.jsonl", [{"_id": i, "text": t} for i, t in corpus.items()])
    write_lines(folder / "queries.jsonl", [{"_id": i, "text": t} for i, t in queries.items()])
    (folder / "qrels").mkdir(exist_ok=True)
    rows = [f"{q}\t{d}\t{grade}\n" for q, row in qrels.items() for d, grade in row.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    return folder


def beir_task(folder: Path, *, name: str = "MySearch", extra: str = "", **parts: Any) -> Path:
    """Write a retrieval task with its BEIR folder beside it."""
    beir_folder(folder / f"{name}-data", **parts)
    return task_toml(
        folder / f"{name}.toml",
        data=f'folder = "{name}-data"',
        extra=extra,
        protocol="retrieval",
        main_measure="ndcg@10",
        measures=["recall@10", "mrr@10"],
    )


def text_vector(text: str, dim: int = 16) -> NDArray[np.float32]:
    """Return a vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim).astype(np.float32)


@dataclass
class TextModel:
    """A plain model whose vectors depend on the text alone; it remembers what it was asked."""

    name: str = "text-model"
    dim: int = 16
    seen: list[str] = field(default_factory=list)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        """Return ``[n, dim]``."""
        self.seen += texts
        return np.stack([text_vector(text, self.dim) for text in texts])


def canonical(path: Path) -> str:
    """Return the text of a result file without what varies from run to run."""
    table = json.loads(path.read_text(encoding="utf-8"))
    del table["run"]
    return json.dumps(table, sort_keys=True)


def shell(
    *args: str, code: str = "", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own.

    Args:
        args: Words behind ``evalsuite``.
        code: Python run before it, e.g. to break something.
        cwd: Working folder.
        environment: Variables beside this process's.
    """
    script = f"{code}\nfrom evalsuite.cli import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", script, *args],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
        env={**os.environ, **environment},
    )


def llama2c_file(path: Path, *, tied: bool = True) -> Path:
    """Write a random one-layer Llama in llama2.c's format, and its vocabulary beside it."""
    header = struct.pack("<7i", 16, 24, 1, 4, 2, 264 if tied else -264, 128)
    counts = {"embedding": 264 * 16, "layer": 16 + 256 + 128 + 128 + 256 + 16 + 3 * 24 * 16}
    floats = sum(counts.values()) + 16 + 2 * 128 * 2 + (0 if tied else 264 * 16)
    weights = np.random.default_rng(5).standard_normal(floats).astype("<f4") / 4
    path.write_bytes(header + weights.tobytes())
    bytes_of_text = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = ["<unk>", "\n<s>\n", "\n</s>\n", *bytes_of_text, " ", "a", "o", " a", "\n"]
    path.with_name("tok264.bin").write_bytes(
        struct.pack("<i", 6)
        + b"".join(
            struct.pack("<fi", -i, len(piece.encode())) + piece.encode()
            for i, piece in enumerate(pieces)
        )
    )
    return path
