"""How often a gate cries wolf, and how often it sees a drop: ours and fixed tolerances, same draws.

A population of items is made whose true drop is known; candidate and baseline are drawn from it
again and again, and every gate judges the same draws.

* ours: ``evalsuite gate``'s verdicts with ``max_drop`` 0.01 and alpha 0.05.
* drop > T: fails if the score fell by more than T, as gates of this kind do; T = 0.08 is what
  vLLM's accuracy gate tolerates, T = 0.01 is our ``max_drop``.

Populations:

* accuracy: 1,000 questions, one in five of which one model answers and the other does not.
* SciFact nDCG@10: 300 queries drawn from the committed items of all-MiniLM-L6-v2 at 384 and 128
  dimensions in bf16, tilted exponentially so that the mean difference is the drop wanted.
* STSBenchmark Spearman: 1,379 pairs of the same two; which model is which is decided by coin for
  every pair (true difference 0), and a share of the candidate's ranks is replaced by layer 3's.

A policy of twenty rows of the SciFact population shows what many rows do: with no drop anywhere,
with every row exactly at ``max_drop``, and with one row of twenty that fell.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, rankdata

from benchmarks import common
from evalsuite import measures, stats
from evalsuite.gate.policy import Rule
from evalsuite.gate.verdict import INCONCLUSIVE, PASS, REGRESSION, Compared, Figures, Row, judge
from evalsuite.stats import Sample, derived_seed
from evalsuite.store import load_items, load_results

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, float], tuple[Sample, Sample]]
"""``(random numbers, true drop) -> (candidate, baseline)``."""

MAX_DROP = 0.01
TOLERANCES = (0.0, 0.01, 0.02, 0.08)
DROPS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12)
NDCG, ACCURACY = measures.parse("ndcg@10"), measures.parse("precision@1")
SPEARMAN = measures.parse("cosine_spearman")
OURS = "evalsuite gate"
FIGURE = common.ROOT / "docs" / "figures" / "gate-power.svg"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = common.parser("gate_power", __doc__, rounds=1)
    parser.add_argument("--draws", type=int, default=500, help="of each drop; policies: a fifth")
    parser.add_argument("--results", type=Path, default=common.ROOT / "results")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="SVG to write")
    return parser.parse_args(argv)


# ---- populations


def accuracy(n: int = 1000) -> Draw:
    """Return draws of questions answered right or wrong."""

    def draw(rng: np.random.Generator, drop: float) -> tuple[Sample, Sample]:
        changed = rng.choice([-1, 0, 1], n, p=[0.1 + drop / 2, 0.8, 0.1 - drop / 2])
        both = rng.random(n) < 0.7
        candidate = np.where(changed == 0, both, changed > 0).astype(float)
        baseline = np.where(changed == 0, both, changed < 0).astype(float)
        return Sample({"precision@1": candidate}), Sample({"precision@1": baseline})

    return draw


def retrieval(candidate: Floats, baseline: Floats) -> Draw:
    """Return draws of queries from pairs of scores, tilted to the mean difference wanted."""
    d, n = candidate - baseline, len(baseline)

    def weights(theta: float) -> Floats:
        tilted = np.exp(theta * (d - d.mean()))
        return np.asarray(tilted / tilted.sum())

    def draw(rng: np.random.Generator, drop: float) -> tuple[Sample, Sample]:
        theta = brentq(lambda t: float(weights(t) @ d) + drop, -60, 60)
        rows = rng.choice(n, n, p=weights(theta))
        return Sample({"ndcg@10": candidate[rows]}), Sample({"ndcg@10": baseline[rows]})

    return draw


def similarity(gold: Floats, one: Floats, other: Floats, worse: Floats) -> Draw:
    """Return draws of pairs; a share of the candidate's ranks is that of a worse model."""
    ranks = np.stack([rankdata(values) for values in (one, other, worse)])
    n = len(gold)

    def drawn(rng: np.random.Generator, size: int, share: float) -> tuple[Sample, Sample]:
        rows, coin = rng.integers(0, n, size), rng.integers(0, 2, size)
        candidate = np.where(rng.random(size) < share, ranks[2, rows], ranks[1 - coin, rows])
        return tuple(  # type: ignore[return-value]
            Sample({"gold": gold[rows], "cosine": values})
            for values in (candidate, ranks[coin, rows])
        )

    def true_drop(share: float) -> float:
        sides = drawn(np.random.default_rng(0), 3_000_000, share)
        candidate, baseline = (float(stats.score(SPEARMAN, side)) for side in sides)
        return baseline - candidate

    shares: dict[float, float] = {0.0: 0.0}

    def draw(rng: np.random.Generator, drop: float) -> tuple[Sample, Sample]:
        if drop not in shares:
            shares[drop] = brentq(lambda share: true_drop(share) - drop, 0, 1, xtol=1e-4)
        return drawn(rng, n, shares[drop])

    return draw


def stored(root: Path, task: str) -> dict[str, dict[str, Floats]]:
    """Return the item columns of all-MiniLM-L6-v2 on a task, by variant."""
    return {
        result.variant: dict(load_items(result).ordered().columns)
        for result in load_results(root)
        if result.model["name"] == "all-MiniLM-L6-v2" and result.task["name"] == task
    }


# ---- gates


def compared(
    measure: measures.Measure, sides: tuple[Sample, Sample], seed: int, name: str = "row"
) -> Compared:
    """Return a row as ``evalsuite gate`` compares it."""
    candidate, baseline = sides
    new, old = (float(stats.score(measure, side)) for side in sides)
    found = stats.difference(measure, candidate, baseline, seed=seed)
    figures = Figures(new, old, n=candidate.n_rows, n_changed=found.n_changed)
    row = Row(name, measure.name, "", "", Rule(max_drop=MAX_DROP), figures)
    return Compared(row, measure, candidate.n_units, found if found.n_changed else None)


@dataclass(frozen=True)
class Case:
    """A population, its measure and how many draws of each drop are made."""

    title: str
    measure: measures.Measure
    draw: Draw
    draws: int


def run_case(case: Case) -> list[dict[str, Any]]:
    """Judge every draw of every drop; return one record a drop."""
    records = []
    for drop in DROPS:
        rng = np.random.default_rng(derived_seed("gate_power", case.title, drop))
        verdicts, falls = [], []
        for number in range(case.draws):
            row = judge([compared(case.measure, case.draw(rng, drop), number)])[0]
            assert row.figures is not None
            verdicts.append(row.verdict)
            falls.append(row.figures.drop)
        failing = {OURS: verdicts.count(REGRESSION)}
        failing |= {f"drop > {t:g}": int((np.array(falls) > t).sum()) for t in TOLERANCES}
        records.append(
            {
                "true_drop": drop,
                "draws": case.draws,
                "fails": {gate: rate(count, case.draws) for gate, count in failing.items()},
                "passes": rate(verdicts.count(PASS), case.draws),
                "inconclusive": rate(verdicts.count(INCONCLUSIVE), case.draws),
            }
        )
    return records


def rate(count: int, n: int) -> dict[str, Any]:
    """Return a share with its exact 95 % interval (Clopper & Pearson 1934)."""
    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return {"rate": count / n, "ci95": [low, high]}


def run_policy(draw: Draw, draws: int, rows: int = 20) -> list[dict[str, Any]]:
    """Judge policies of many rows: how often does any row fail?"""
    situations: dict[str, list[float]] = {
        "no row fell": [0.0] * rows,
        "every row fell by max_drop": [MAX_DROP] * rows,
        "one row fell by 0.08": [0.08] + [0.0] * (rows - 1),
    }
    records = []
    for title, drops in situations.items():
        rng = np.random.default_rng(derived_seed("gate_power", "policy", title))
        failing = dict.fromkeys([OURS, *(f"drop > {t:g}" for t in TOLERANCES)], 0)
        for number in range(draws):
            sides = [compared(NDCG, draw(rng, d), number, str(i)) for i, d in enumerate(drops)]
            judged = judge(sides)
            falls = [row.figures.drop for row in judged if row.figures is not None]
            failing[OURS] += any(row.verdict == REGRESSION for row in judged)
            for t in TOLERANCES:
                failing[f"drop > {t:g}"] += max(falls) > t
        fails = {gate: rate(count, draws) for gate, count in failing.items()}
        records.append({"situation": title, "rows": rows, "draws": draws, "fails": fails})
    return records


# ---- what is shown


def print_case(title: str, records: Sequence[Mapping[str, Any]], key: str) -> None:
    """Print how often each gate fails."""
    gates = list(records[0]["fails"])
    header = (title, *(f"fails: {gate}" for gate in gates))
    if "inconclusive" in records[0]:
        header += ("ours: inconclusive",)
    rows = []
    for record in records:
        shares = [record["fails"][gate]["rate"] for gate in gates]
        shares += [record["inconclusive"]["rate"]] if "inconclusive" in record else []
        rows.append((record[key], *(f"{share:.1%}" for share in shares)))
    common.print_table(header, rows)


def plot(cases: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw the share of failing draws over the true drop, a panel a population."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with plt.rc_context({"svg.hashsalt": "gate-power", "svg.fonttype": "none", "font.size": 9}):
        figure, panels = plt.subplots(1, len(cases), figsize=(11, 3.6), sharey=True)
        styles = ("-o", "--s", "--^", "--v", "--d")
        for panel, (title, records) in zip(panels, cases.items(), strict=True):
            drops = [record["true_drop"] for record in records]
            for style, gate in zip(styles, records[0]["fails"], strict=True):
                shares = [record["fails"][gate]["rate"] for record in records]
                wide = 2.0 if gate == OURS else 1.0
                panel.plot(drops, shares, style, label=gate, linewidth=wide, markersize=3.5)
            panel.axvline(MAX_DROP, color="0.6", linewidth=0.8)
            panel.axhline(0.05, color="0.6", linewidth=0.8, linestyle=":")
            panel.set_title(title, fontsize=9)
            panel.set_xlabel("true drop (grey line: max_drop)")
        panels[0].set_ylabel("share of draws that fail (dotted: 5 %)")
        panels[-1].legend(fontsize=8, loc="center right")
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    args = arguments(argv)
    scifact, sts = stored(args.results, "SciFact"), stored(args.results, "STSBenchmark")
    full, cut, layer = "cpu,bf16", "cpu,bf16,dim=128", "cpu,bf16,layer=3"
    queries = retrieval(scifact[cut]["ndcg@10"], scifact[full]["ndcg@10"])
    pairs = similarity(sts[full]["gold"], *(sts[name]["cosine"] for name in (full, cut, layer)))
    cases = (
        Case("accuracy, n = 1,000", ACCURACY, accuracy(), args.draws),
        Case("SciFact nDCG@10, n = 300", NDCG, queries, args.draws),
        Case("STSBenchmark Spearman, n = 1,379", SPEARMAN, pairs, args.draws),
    )
    records = {case.title: run_case(case) for case in cases}
    for title, one in records.items():
        print_case(f"{title}; true drop", one, "true_drop")
    policy = run_policy(queries, max(1, args.draws // 5))
    print_case("twenty rows of SciFact", policy, "situation")
    plot(records, args.figure)
    report = {
        "counted": __doc__,
        "warm_up": "none: nothing is timed",
        "max_drop": MAX_DROP,
        "alpha": 0.05,
        "cases": records,
        "policy_of_twenty_rows": policy,
    }
    common.write_json(args.out, "gate_power", report)


if __name__ == "__main__":
    main()
