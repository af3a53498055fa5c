"""Wall time of twelve trainings: `candor compare vision` with two jobs, and PyTorch one after another with two threads.

Four strengths, three seeds, the setting of benches/peers/training.py. Both sides are whole processes, reading and
judging included; Candor also fits temperatures, computes intervals and writes its report. They take turns.

    cargo build --release
    python3 -m pip install -r benches/peers/requirements.txt
    python3 benches/comparison.py DATA [--program target/release/candor] [--rounds 3] [--epochs 5]
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PEER = Path(__file__).parent / "peers" / "training.py"
STRENGTHS = ["0", "0.05", "0.1", "0.2"]


def seconds(command: list[str]) -> float:
    """Wall time of a process with two threads."""
    start = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--program", default="target/release/candor")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    candor = [args.program, "compare", "vision", "--data", args.data, "--validation", "last:5000"]
    candor += ["--batch-size", "128", "--epochs", str(args.epochs), "--smoothing", ",".join(STRENGTHS)]
    candor += ["--seeds", "3", "--jobs", "2", "--quiet", "--out"]
    peer = [sys.executable, str(PEER), args.data, "--epochs", str(args.epochs), "--threads", "2"]
    peer += ["--seeds", "3", "--smoothing", *STRENGTHS]
    times: dict[str, list[float]] = {"candor": [], "pytorch": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            times["candor"].append(seconds([*candor, f"{folder}/compare"]))
        times["pytorch"].append(seconds(peer))
        print(", ".join(f"{side} {found[-1]:.1f} s" for side, found in times.items()), flush=True)
    ours, theirs = (statistics.median(found) for found in times.values())
    print(f"medians: candor {ours:.1f} s, pytorch {theirs:.1f} s, ratio {ours / theirs:.2f} (wanted <= 1.3)")


if __name__ == "__main__":
    main()
