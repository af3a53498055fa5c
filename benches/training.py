"""CPU seconds an epoch of `candor train vision` and of PyTorch by turns, medians of each.

Both train with one thread on the same rows in the same setting (benches/peers/training.py says which). An epoch's
cost is the CPU time of a process with many epochs minus that of one with a single epoch, so that start-up,
reading and the last evaluation cancel.

    cargo build --release
    python3 -m pip install -r benches/peers/requirements.txt
    python3 benches/training.py DATA [--model mlp|lenet|vit] [--program target/release/candor] [--runs 3]
        [--epochs 16] [--batch-size 128] [--train-size 55000]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PEER = Path(__file__).parent / "peers" / "training.py"

# What makes a model that of the peer.
MODELS = {"mlp": [], "lenet": [], "vit": ["--hidden", "256", "--depth", "2"]}


def run(command: list[str]) -> tuple[float, str]:
    """CPU seconds of a process, user and system, and what it printed."""

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = used()
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return used() - before, output


def candor(args: argparse.Namespace, epochs: int, seed: int) -> tuple[float, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        command = [args.program, "train", "vision", "--data", args.data, "--model", args.model]
        command += ["--validation", "last:5000", "--train-size", str(args.train_size)]
        command += MODELS[args.model]
        command += ["--batch-size", str(args.batch_size), "--epochs", str(epochs), "--seed", str(seed)]
        command += ["--threads", "1", "--quiet", "--json", "--out", f"{folder}/run"]
        seconds, output = run(command)
    metrics = json.loads(output)["figures"]["test"]["metrics"]
    return seconds, {name: metrics[name]["value"] for name in ("accuracy", "nll", "brier", "ece")}


def peer(args: argparse.Namespace, epochs: int, seed: int) -> tuple[float, dict[str, float]]:
    command = [sys.executable, str(PEER), args.data, "--model", args.model]
    command += ["--train-size", str(args.train_size), "--batch-size", str(args.batch_size)]
    seconds, output = run([*command, "--epochs", str(epochs), "--seed", str(seed)])
    result = json.loads(output)
    return seconds, {name: result[name] for name in ("accuracy", "nll", "brier", "ece")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--program", default="target/release/candor")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--train-size", type=int, default=55_000)
    args = parser.parse_args()
    sides = {"candor": candor, "pytorch": peer}
    costs: dict[str, list[float]] = {side: [] for side in sides}
    for seed in range(args.runs):
        for side, train in sides.items():
            few, _ = train(args, 1, seed)
            many, figures = train(args, args.epochs, seed)
            cost = (many - few) / (args.epochs - 1)
            costs[side].append(cost)
            shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
            print(f"{side:8} seed {seed}: {cost:.3f} CPU s an epoch; after {args.epochs} epochs {shown}")
    medians = {side: statistics.median(values) for side, values in costs.items()}
    print(f"medians: candor {medians['candor']:.3f}, pytorch {medians['pytorch']:.3f} CPU s an epoch,", end=" ")
    print(f"ratio {medians['candor'] / medians['pytorch']:.2f}")


if __name__ == "__main__":
    main()
