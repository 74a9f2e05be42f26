"""Search and measures: evalsuite's retrieval protocol against mteb's own path, on the same vectors.

Both sides get ready vectors through an encoder that only hands them out, search the whole corpus
for the best 1000 documents and compute ndcg, map, recall, precision and mrr at every cutoff.

* evalsuite: the protocol as it runs in an evaluation (engines.search, measures.ir).
* mteb, as it is: RetrievalEvaluator over SearchEncoderWrapper, corpus chunks of 50,000, then its
  metrics, which beside the five measures hold hit rates and abstention curves (nAUC).
* mteb, bare: the same code relieved of what the comparison is not about (rewriting the corpus'
  texts and nAUC), with inner products in place of cosines, at several chunk sizes. Its best is
  the fastest of these. --faiss adds its FAISS backend, which reads each hit's id from a Dataset
  column and so takes 20 times as long.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.corpora import Problem, planted
from evalsuite.measures.ir import DEFAULT_KS

SIZES = {"large": (50_000, 1_000), "SciFact-sized": (5_183, 300)}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("retrieval", __doc__, rounds=5)
    for name in ("documents", "queries"):
        parser.add_argument(f"--{name}", type=int, help="of one case, instead of the two")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--chunks", type=common.integers, default=[50_000, 10_000])
    parser.add_argument("--faiss", action="store_true", help="also mteb's FAISS backend")
    return parser.parse_args(argv)


class Ours:
    """Evalsuite's protocol over ready vectors; also the model it asks for them."""

    def __init__(self, problem: Problem) -> None:
        """Build the protocol's data; not timed, as loading data is not on either side."""
        from evalsuite.data import Documents, Retrieval

        self._problem = problem
        documents = Documents(problem.document_ids, problem.document_ids)
        self._data = Retrieval(documents, problem.query_ids, problem.query_ids, problem.qrels)
        self._given = 0
        self.scores: dict[str, float] = {}
        self.phases: list[list[float]] = []

    def encode(self, texts: Sequence[str], role: str) -> Any:
        """Return the vectors of the queries, or of the next documents."""
        if role == "query":
            return self._problem.queries
        start, self._given = self._given, self._given + len(texts)
        return self._problem.documents[start : self._given]

    def search(self, *args: Any) -> Any:
        """Search as the encoding engine does on a CPU."""
        from evalsuite.engines.search import search

        return search(*args)

    def run(self) -> None:
        """Search and score once."""
        from evalsuite import registry
        from evalsuite.protocols.retrieval import PROTOCOL

        self._given = 0
        outcome = PROTOCOL.run(registry.get_task("SciFact"), self._data, self)[0]
        columns = outcome.items.columns
        self.scores = {name: float(values.mean()) for name, values in columns.items()}
        self.phases.append([phase.seconds for phase in outcome.phases])


def build_peers(problem: Problem, chunks: Sequence[int], *, faiss: bool) -> dict[str, Any]:
    """Return mteb's sides, its default first; none where mteb is not installed."""
    try:
        from benchmarks.mteb_search import Mteb
    except ImportError:
        return {}
    sides = {"mteb, as it is": Mteb(problem)}
    for size in chunks:
        sides[f"mteb, bare, chunks of {size}"] = Mteb(problem, chunk=size, bare=True)
    if faiss:
        sides["mteb, bare, FAISS backend"] = Mteb(problem, bare=True, backend="faiss")
    return sides


def largest_difference(ours: Ours, peer: Any) -> float:
    """Return the largest |difference| of the 35 scores; mteb rounds its means to 5 decimals."""
    names = [f"{m}@{k}" for m in ("ndcg", "map", "recall", "precision", "mrr") for k in DEFAULT_KS]
    return float(max(abs(ours.scores[name] - peer.scores[name]) for name in names))


def run_case(name: str, problem: Problem, args: argparse.Namespace) -> dict[str, Any]:
    """Time every side on one problem, after one run of each."""
    ours = Ours(problem)
    peers = build_peers(problem, args.chunks, faiss=args.faiss)
    sides = {"evalsuite": ours, **peers}
    for side in sides.values():
        side.run()
        side.phases.clear()
    seconds = common.interleave({key: side.run for key, side in sides.items()}, args.rounds)
    queries = len(problem.query_ids)
    record: dict[str, Any] = {
        "documents": len(problem.document_ids),
        "queries": queries,
        "sides": {key: common.timing(s, queries, "queries") for key, s in seconds.items()},
        "ratios": common.compare(seconds, ["evalsuite"], peers),
        "peer_best": common.fastest(seconds, peers) if peers else None,
        "max_score_difference": {
            key: largest_difference(ours, peer) for key, peer in peers.items()
        },
        "ndcg@10": ours.scores["ndcg@10"],
    }
    for key, side in sides.items():
        record["sides"][key]["search_and_measure_seconds"] = side.phases
    print(f"{name}: {record['documents']} documents, {queries} queries, {args.rounds} rounds")
    print_case(record, sides)
    return record


def print_case(record: dict[str, Any], sides: dict[str, Any]) -> None:
    """Print both sides: whole, search, measures, and how far scores lie apart."""
    rows = []
    for key, side in sides.items():
        search, measure = np.median(np.array(side.phases), axis=0)
        apart = record["max_score_difference"].get(key)
        different = "" if apart is None else f"{apart:.1e}"
        whole = record["sides"][key]["median_seconds"]
        rows.append((key, f"{whole:.3f}", f"{search:.3f}", f"{measure:.3f}", different))
    header = ("side", "s (median)", "search", "measures", "max |diff| of 35 scores")
    common.print_table(header, rows)
    common.print_ratios(record["ratios"])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    import torch

    sizes = SIZES
    if args.documents or args.queries:
        sizes = {"custom": (args.documents or 50_000, args.queries or 1_000)}
    cases = {
        name: run_case(name, planted(documents, queries, args.dim), args)
        for name, (documents, queries) in sizes.items()
    }
    report = {
        "counted": __doc__,
        "data": "random unit vectors; each query lies near one of its judged documents",
        "threads": torch.get_num_threads(),
        "warm_up": "one run of every side, not timed",
        "cases": cases,
    }
    common.write_json(args.out, "retrieval", report)


if __name__ == "__main__":
    main()
