"""Smoothed cross-entropy, value and gradient: Candor beside PyTorch and beside a memcpy of the logits.

    python3 -m pip install -r benches/peers/requirements.txt
    python3 benches/cross_entropy.py [--threads 1 2] [--rounds 7] [--cases NAME ...] [--options]

Every side is a process of its own, and they take turns, so that other work on the machine meets all alike. A
figure is the median over rounds of the process's CPU time, user and system (with several threads, the wall time),
for one value and gradient. Buffers rotate over 256 MiB, so no side is measured on a hot copy. All compute with
smoothing 0.1 and the mean; Candor writes the gradient in place. PyTorch runs eagerly with glibc's allocator as it
is and told to keep its memory, and as one graph of loss and gradient through torch.compile; the fastest of the
three is the strongest peer. With --options, Candor alone: each option of the targets over the plain case.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Name: rows, classes, storage type, targets, the ratio to the strongest peer and to memcpy to be reached.
CASES = {
    "65536x10": (65536, 10, "f32", "index", 0.35, None),
    "16384x100": (16384, 100, "f32", "index", 0.33, None),
    "4096x1000": (4096, 1000, "f32", "index", 0.25, None),
    "4096x1000-soft": (4096, 1000, "f32", "soft", 0.40, None),
    "512x32000": (512, 32000, "f32", "index", 0.30, 1.15),
    "256x128256": (256, 128256, "f32", "index", 0.33, 1.2),
    "256x128256-bf16": (256, 128256, "bf16", "index", 0.25, None),
}
OPTIONS = ["weights", "ignore", "per_sample", "prior", "row_weights", "sparse", "soft", "forward"]
TUNED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}


class Side:
    """A process that answers requests, and its clock."""

    def __init__(self, command, threads, environment=None):
        self.threads = threads
        count = str(threads)
        variables = {"RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables, **(environment or {})},
        )

    def ask(self, request):
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        if self.process.stdout.readline().strip() != "done":
            sys.exit(f"{self.process.args} failed at: {request}")

    def clock(self):
        """The CPU time of the process: Linux numbers the clock by the complement of the process id."""
        return time.clock_gettime((~self.process.pid << 3) | 2) if self.threads == 1 else time.perf_counter()

    def milliseconds(self, request, repeats):
        """One round of `repeats` computations, a time each."""
        start = self.clock()
        self.ask(f"{request} {repeats}")
        return (self.clock() - start) * 1e3 / repeats

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def candor(threads):
    return Side([ROOT / target() / "release/examples/cross_entropy_rounds"], threads)


def target():
    return os.environ.get("CARGO_TARGET_DIR", "target")


def peers(threads):
    script = [sys.executable, ROOT / "benches/peers/cross_entropy.py"]
    return {
        "eager": (Side(script, threads), "eager"),
        "eager, tuned": (Side(script, threads, TUNED), "eager"),
        "compile": (Side(script, threads, TUNED), "compile"),
    }


def medians(sides, repeats, rounds):
    """`sides`: name -> (side, request). Interleaved rounds; the median of each."""
    times = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (side, request) in sides.items():
            times[name].append(side.milliseconds(request, repeats))
    return {name: statistics.median(values) for name, values in times.items()}


def repeats_of(n, k):
    """So many computations that a round takes tens of milliseconds."""
    return max(1, min(64, (1 << 25) // (n * k)))


def compare(names, threads, rounds):
    print(f"\n{threads} thread(s), milliseconds of {'CPU' if threads == 1 else 'wall'} time; load {os.getloadavg()}")
    columns = ["case", "Candor", "memcpy", "eager", "eager, tuned", "compile", "/ strongest", "wanted", "/ memcpy", "wanted"]
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    for name in names:
        n, k, dtype, targets, wanted, wanted_memcpy = CASES[name]
        ours, others = candor(threads), peers(threads)
        ours.ask(f"prepare {n} {k} {dtype} {targets}")
        for side, mode in others.values():
            side.ask(f"prepare {n} {k} {dtype} {targets} {mode}")
        sides = {"Candor": (ours, "kernel"), "memcpy": (ours, "memcpy")}
        sides.update({name: (side, "kernel") for name, (side, _) in others.items()})
        # The first round warms up.
        medians(sides, 1, 1)
        found = medians(sides, repeats_of(n, k), rounds)
        for side in [ours, *(side for side, _ in others.values())]:
            side.stop()
        strongest = min(found[peer] for peer in others)
        ratio, by_memcpy = found["Candor"] / strongest, found["Candor"] / found["memcpy"]
        figures = [f"{value:.2f}" for value in found.values()]
        memcpy = [f"{by_memcpy:.2f}" if k >= 1000 else "", f"<= {wanted_memcpy}" if wanted_memcpy else ""]
        row = [name, *figures, f"{ratio:.2f}", f"<= {wanted}", *memcpy]
        print("| " + " | ".join(row) + " |", flush=True)


def options(names, threads, rounds):
    print(f"\nTime over that of labels with uniform smoothing, {threads} thread(s); load {os.getloadavg()}")
    print("| case | " + " | ".join(OPTIONS) + " |\n" + "|---" * (len(OPTIONS) + 1) + "|")
    for name in names:
        n, k, dtype, targets, *_ = CASES[name]
        if targets != "index":
            continue
        sides = {}
        for form in ["index", *OPTIONS]:
            side = candor(threads)
            side.ask(f"prepare {n} {k} {dtype} {form}")
            sides[form] = (side, "kernel")
        medians(sides, 1, 1)
        found = medians(sides, repeats_of(n, k), rounds)
        for side, _ in sides.values():
            side.stop()
        print(f"| {name} | " + " | ".join(f"{found[form] / found['index']:.2f}" for form in OPTIONS) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--options", action="store_true")
    chosen = parser.parse_args()
    build = ["cargo", "build", "--release", "-p", "candor", "--example", "cross_entropy_rounds"]
    subprocess.run(build, cwd=ROOT, check=True)
    for threads in chosen.threads:
        (options if chosen.options else compare)(chosen.cases, threads, chosen.rounds)


if __name__ == "__main__":
    main()
