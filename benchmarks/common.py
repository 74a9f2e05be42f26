"""What the benchmarks share: interleaved rounds, ratios with intervals, tables and JSON.

Imports neither torch nor a model library before it needs them: a process that measures another's
memory or start-up stays small itself.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite import hardware
from evalsuite.stats import derived_seed

ROOT = Path(__file__).resolve().parents[1]
RESAMPLES = 10_000
_ROLES = {"--data-dir": "DATA", "--out": "OUT", "--model": "MODEL"}
_PEERS = ("mteb", "datasets", "faiss-cpu", "faiss-gpu", "pytrec-eval-terrier", "scipy")

Work = Callable[[], Any]


def parser(name: str, description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the options every benchmark has."""
    built = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    out = ROOT / "benchmarks" / "results" / f"{name.replace('.', '-')}.json"
    built.add_argument("--out", type=Path, default=out, help="JSON file to write")
    built.add_argument("--rounds", type=int, default=rounds, help=f"timed rounds [{rounds}]")
    data = Path(os.environ.get("EVALSUITE_DATA") or ROOT.parent / "shared" / "data")
    built.add_argument("--data-dir", type=Path, default=data, help="local data [$EVALSUITE_DATA]")
    return built


def integers(text: str) -> list[int]:
    """Parse ``32,8,16`` on a command line."""
    return [int(part) for part in text.split(",") if part]


def words(text: str) -> list[str]:
    """Parse ``fp32,bf16`` on a command line."""
    return [part for part in text.split(",") if part]


def interleave(
    sides: Mapping[str, Work], rounds: int, between: Work | None = None
) -> dict[str, list[float]]:
    """Time every side once a round: A B C, then C B A, and so on.

    Args:
        sides: Name to what is timed; it ends only when its work has (device synchronised).
        rounds: How many rounds; warm-up is the caller's, before.
        between: Run after each round, not timed.

    Returns:
        Name to the seconds of each round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in list(sides)[:: 1 if number % 2 == 0 else -1]:
            started = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - started)
        if between is not None:
            between()
    return seconds


def ratio(ours: Sequence[float], peer: Sequence[float]) -> dict[str, Any]:
    """Return how many times larger the peer's numbers are than ours.

    The geometric mean of the rounds' ratios, with a 95 % percentile bootstrap interval over paired
    rounds (Efron & Tibshirani 1993, ch. 13); no interval from a single round.
    """
    logs = np.log(np.asarray(peer) / np.asarray(ours))
    result: dict[str, Any] = {"ratio": float(np.exp(logs.mean())), "rounds": len(logs)}
    result["ci95"] = None
    if len(logs) > 1:
        rng = np.random.default_rng(derived_seed(0, "benchmark", "ratio"))
        drawn = rng.integers(0, len(logs), size=(RESAMPLES, len(logs)))
        low, high = np.quantile(logs[drawn].mean(axis=1), [0.025, 0.975])
        result["ci95"] = [float(np.exp(low)), float(np.exp(high))]
    return result


def compare(
    seconds: Mapping[str, Sequence[float]], ours: Iterable[str], peers: Iterable[str]
) -> list[dict[str, Any]]:
    """Return the ratio of every one of our sides to every side of the peer."""
    peers = list(peers)
    return [
        {"ours": mine, "peer": peer, **ratio(seconds[mine], seconds[peer])}
        for mine in ours
        for peer in peers
    ]


def fastest(seconds: Mapping[str, Sequence[float]], names: Iterable[str]) -> str:
    """Return the side with the smallest median: a peer at its best setting."""
    return min(names, key=lambda name: float(np.median(seconds[name])))


def timing(seconds: Sequence[float], items: int | None = None, unit: str = "") -> dict[str, Any]:
    """Return the record of one side: every round, the median, and items a second."""
    median = float(np.median(seconds))
    record: dict[str, Any] = {"seconds": [round(s, 6) for s in seconds], "median_seconds": median}
    if items is not None:
        record[f"{unit}_per_second"] = items / median
    return record


def shown(result: Mapping[str, Any]) -> str:
    """Return ``1.63x [1.60, 1.66]``."""
    text = f"{result['ratio']:.2f}x"
    if result["ci95"] is None:
        return f"{text} (1 round: no interval)"
    low, high = result["ci95"]
    return f"{text} [{low:.2f}, {high:.2f}]"


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print columns aligned, the first to the left and numbers to the right."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join([first, *rest]).rstrip())
    print()


def print_ratios(ratios: Iterable[Mapping[str, Any]]) -> None:
    """Print ratios: how many times our side is ahead of the peer's."""
    rows = [(f"{r['ours']}  vs  {r['peer']}", shown(r)) for r in ratios]
    print_table(("ratio (above 1: evalsuite is ahead), 95 % interval", ""), rows)


def median_rows(sides: Mapping[str, Mapping[str, Any]], rate: str) -> list[tuple[str, ...]]:
    """Return table rows of name, median seconds and items a second."""
    return [
        (name, f"{side['median_seconds']:.3f}", f"{side[rate]:.1f}") for name, side in sides.items()
    ]


def environment(device: str = "cpu") -> dict[str, Any]:
    """Return the machine, packages, commit, command and load of this run."""
    machine = hardware.environment(device, _PEERS)
    machine["load_average"] = [round(load, 2) for load in os.getloadavg()]
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": list(hardware.command_line(_ROLES)),
        "machine": machine,
    }


def write_json(path: Path, benchmark: str, report: Mapping[str, Any], device: str = "cpu") -> None:
    """Write a report with the environment it was measured in."""
    full = {"benchmark": benchmark, **environment(device), **report}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(full, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"Written: {path.name}")
