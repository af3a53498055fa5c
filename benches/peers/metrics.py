"""CPU seconds of other tools' calibration metrics on one thread: python benches/peers/metrics.py

The counterpart of `cargo bench -p candor --bench metrics`. A tool that is not installed is skipped.
Needs numpy; uses torchmetrics, scikit-learn, netcal and relplot where they are.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import importlib.util
import time

import numpy as np


def cpu_seconds(call, repeats=3):
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def has(module):
    return importlib.util.find_spec(module) is not None


def report(case, call, repeats=3):
    print(f"{case:45s} {cpu_seconds(call, repeats):8.3f} s")


def numpy_ece(p, y, bins=15):
    at = np.clip((p * bins).astype(np.int64), 0, bins - 1)
    gap = np.bincount(at, weights=p - y, minlength=bins)
    return np.abs(gap).sum() / len(p)


def binary(n=10_000_000):
    random = np.random.default_rng(0)
    p = random.random(n, dtype=np.float32)
    y = (random.random(n) < p).astype(np.int64)
    report(f"numpy bincount ECE, {n} binary", lambda: numpy_ece(p, y))
    if has("torchmetrics"):
        import torch
        from torchmetrics.functional.classification import binary_calibration_error

        torch.set_num_threads(1)
        tp, ty = torch.from_numpy(p), torch.from_numpy(y)
        report(f"torchmetrics ECE, {n} binary", lambda: binary_calibration_error(tp, ty, n_bins=15))
    if has("sklearn"):
        from sklearn.calibration import calibration_curve

        report(f"scikit-learn curve, {n} binary", lambda: calibration_curve(y, p, n_bins=15))
    if has("netcal"):
        from netcal.metrics import ECE

        report(f"netcal ECE, {n} binary", lambda: ECE(15).measure(p, y), 1)
    if has("relplot"):
        import relplot

        report(f"relplot smooth ECE, {n} binary", lambda: relplot.smECE(p.astype(float), y), 1)


def classes(n=1_000_000, k=10):
    random = np.random.default_rng(1)
    p = random.random((n, k)) ** 8 + 1e-3
    p = (p / p.sum(1, keepdims=True)).astype(np.float32)
    y = (p.cumsum(1) > random.random((n, 1))).argmax(1)

    def top_label():
        return numpy_ece(p.max(1), p.argmax(1) == y)

    report(f"numpy top-label ECE, {n}x{k}", top_label)
    if has("torchmetrics"):
        import torch
        from torchmetrics.functional.classification import multiclass_calibration_error

        tp, ty = torch.from_numpy(p), torch.from_numpy(y)
        report(
            f"torchmetrics top-label ECE, {n}x{k}",
            lambda: multiclass_calibration_error(tp, ty, num_classes=k, n_bins=15),
        )
    if has("netcal"):
        from netcal.metrics import ECE

        report(f"netcal top-label ECE, {n}x{k}", lambda: ECE(15).measure(p, y), 1)


if __name__ == "__main__":
    binary()
    classes()
