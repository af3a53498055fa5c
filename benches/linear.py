"""A linear layer with smoothed cross-entropy, value and gradients: Candor beside PyTorch and the three products.

    python3 -m pip install -r benches/peers/requirements.txt
    python3 benches/linear.py [--threads 1] [--rounds 3] [--cases NAME ...] [--budgets 100 50 25 10 5]

Every side is a process of its own, and they take turns. A figure is the median over rounds of the process's CPU time
(with several threads, the wall time). The products are those of logits, input's gradient and weight's gradient of all
rows at once, by the `gemm` crate (the library) and by Candor's own tiles. Candor computes within budgets of memory, in percent of
the logits. Memory is the most that one computation adds to a process that holds input and weight, as the operating
system counts it, without the two gradients themselves.
"""

import argparse
import os
import subprocess
import sys

from cross_entropy import ROOT, TUNED, Side, medians, target

# Name: rows, width, classes.
CASES = {"512x1024x32000": (512, 1024, 32000), "1024x768x128256": (1024, 768, 128256)}
# Budget in percent: the ratios to the products and to torch.compile to be reached.
WANTED = {25: (1.05, 0.9), 5: (1.2, None)}
PEERS = ["eager", "compile"]


def ours():
    return ROOT / target() / "release/examples/linear_rounds"


def script(*arguments):
    return [sys.executable, ROOT / "benches/peers/linear.py", *arguments]


def megabytes(command, threads):
    """The peak that a process of its own prints."""
    count = str(threads)
    variables = {"RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
    environment = {**os.environ, **variables}
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return int(found.stdout) / 1e6


def compare(name, threads, rounds, budgets):
    n, d, k = CASES[name]
    shape = [str(n), str(d), str(k)]
    gradients = 4 * (n * d + d * k) / 1e6
    bytes_of = {budget: n * k * 4 * budget // 100 for budget in budgets}
    peaks = {f"{budget} %": megabytes([ours(), "peak", *shape, str(bytes_of[budget])], threads) for budget in budgets}
    peaks.update({peer: megabytes(script("peak", *shape, peer), threads) for peer in PEERS})

    candor = Side([ours()], threads)
    candor.ask("prepare " + " ".join(shape))
    sides = {"library": (candor, "library"), "products": (candor, "products")}
    sides.update({f"{budget} %": (candor, f"loss {bytes_of[budget]}") for budget in budgets})
    others = {peer: Side(script(), threads, TUNED) for peer in PEERS}
    for peer, side in others.items():
        side.ask("prepare " + " ".join([*shape, peer]))
        sides[peer] = (side, "kernel")
    found = medians(sides, 1, rounds)
    for side in [candor, *others.values()]:
        side.stop()

    print(f"\n{name}, {threads} thread(s): the three products")
    for side, label in [("library", "by the gemm crate"), ("products", "by Candor's tiles")]:
        print(f"{label}: {found[side]:.0f} ms, {6 * n * d * k / found[side] / 1e6:.0f} GFLOP/s")
    figures = ["ms", "/ library", "wanted", "/ own products", "/ compile", "wanted"]
    columns = ["", *figures, "MB beyond the gradients", "% of the logits"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for side in [f"{budget} %" for budget in budgets] + PEERS:
        time = found[side]
        wanted = WANTED.get(int(side.split()[0]), (None, None)) if side.endswith("%") else (None, None)
        wanted = [f"<= {value}" if value else "" for value in wanted]
        extra = peaks[side] - gradients
        ratios = {other: f"{time / found[other]:.2f}" for other in ["library", "products", "compile"]}
        figures = [f"{time:.0f}", ratios["library"], wanted[0], ratios["products"], ratios["compile"], wanted[1]]
        label = f"Candor, budget {side}" if side.endswith("%") else f"torch {side}"
        print("| " + " | ".join([label, *figures, f"{extra:.0f}", f"{extra / (n * k * 4e-8):.0f}"]) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 50, 25, 10, 5])
    chosen = parser.parse_args()
    build = ["cargo", "build", "--release", "-p", "candor", "--example", "linear_rounds"]
    subprocess.run(build, cwd=ROOT, check=True)
    for threads in chosen.threads:
        for name in chosen.cases:
            print(f"load {os.getloadavg()}")
            compare(name, threads, chosen.rounds, chosen.budgets)


if __name__ == "__main__":
    main()
