"""Trains a model of `candor train vision` with PyTorch, on IDX files of the MNIST family.

Prints a JSON line for each training, one after the other over strengths and seeds: CPU seconds of the process so
far and of an epoch, and the figures of the test part.
The setting is Candor's: Adam 1e-3, the last 5,000 training rows held out and judged after
each epoch, PyTorch's own initial weights. The images lie in memory as floats; a batch is one gather, which
is cheaper than a DataLoader.

    python3 benches/peers/training.py DATA [--model mlp|lenet|vit] [--epochs 5] [--batch-size 128] [--train-size 55000]
        [--smoothing 0 ...] [--seed 0] [--seeds 1] [--threads 1]
"""

import argparse
import gzip
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

HELD_OUT = 5_000
N_BINS = 15


def read_idx(folder: Path, name: str) -> np.ndarray:
    """One array of bytes; the file may be plain or gzip."""
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    shape = np.frombuffer(data, ">i4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def read_part(folder: Path, prefix: str) -> tuple[np.ndarray, torch.Tensor]:
    """Images as rows of floats in [0, 1], and labels."""
    images = read_idx(folder, f"{prefix}-images-idx3-ubyte").reshape(-1, 28 * 28).astype(np.float32) / 255
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte").astype(np.int64)
    return images, torch.from_numpy(labels)


def figures(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Accuracy, NLL, Brier (summed over classes) and ECE of the top class over bins (a, b]."""
    logits = logits.double()
    probs = logits.softmax(dim=1)
    confidence, predicted = probs.max(dim=1)
    correct = (predicted == labels).double()
    bins = torch.bucketize(confidence, torch.linspace(0, 1, N_BINS + 1, dtype=torch.float64)[1:-1])
    gaps = torch.zeros(N_BINS, dtype=torch.float64).index_add_(0, bins, correct - confidence)
    return {
        "accuracy": correct.mean().item(),
        "nll": F.cross_entropy(logits, labels).item(),
        "brier": (probs - F.one_hot(labels, probs.shape[1])).square().sum(dim=1).mean().item(),
        "ece": gaps.abs().sum().item() / len(labels),
    }


def mlp() -> nn.Module:
    """784-128-10."""
    return nn.Sequential(nn.Linear(28 * 28, 128), nn.ReLU(), nn.Linear(128, 10))


def lenet() -> nn.Module:
    """conv 32, pool, conv 64, pool, linear 128, linear 10."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


class Vit(nn.Module):
    """Patches of 4x4, two encoder blocks of width 256 with four heads, their mean: 256-wide tokens to 10 classes."""

    WIDTH, BLOCKS, HEADS, PATCH = 256, 2, 4, 4

    def __init__(self) -> None:
        super().__init__()
        width = self.WIDTH
        self.patches = nn.Linear(self.PATCH**2, width)
        self.positions = nn.Parameter(0.02 * torch.randn((28 // self.PATCH) ** 2, width))
        block = {"dim_feedforward": 4 * width, "dropout": 0.0, "activation": "gelu"}
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, self.HEADS, **block, batch_first=True, norm_first=True)
            for _ in range(self.BLOCKS)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        side = 28 // self.PATCH
        patches = images.view(-1, side, self.PATCH, side, self.PATCH).transpose(2, 3).flatten(3).flatten(1, 2)
        tokens = self.patches(patches) + self.positions
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens).mean(dim=1))


MODELS = {"mlp": mlp, "lenet": lenet, "vit": Vit}


def predict(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits, 500 rows at a time."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(rows) for rows in images.split(500)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--train-size", type=int, help="train on that many rows, drawn once; all by default")
    parser.add_argument("--smoothing", type=float, nargs="+", default=[0.0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each strength, with successive seeds")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    images, labels = read_part(args.data, "train")
    test_images, test_labels = read_part(args.data, "t10k")
    n_train = len(images) - HELD_OUT
    mean, sd = images[:n_train].mean(dtype=np.float64), images[:n_train].std(dtype=np.float64)
    images = torch.from_numpy(((images - mean) / sd).astype(np.float32))
    test_images = torch.from_numpy(((test_images - mean) / sd).astype(np.float32))
    for smoothing in args.smoothing:
        for seed in range(args.seed, args.seed + args.seeds):
            model, seconds = train(args, images, labels, smoothing, seed)
            result = {
                "torch": torch.__version__,
                "model": args.model,
                "threads": args.threads,
                "epochs": args.epochs,
                "smoothing": smoothing,
                "seed": seed,
                "cpu_seconds_per_epoch": round(seconds / args.epochs, 3),
                "cpu_seconds": round(time.process_time(), 3),
            }
            test = figures(predict(model, test_images), test_labels)
            print(json.dumps(result | {name: round(value, 4) for name, value in test.items()}))


def train(args, images, labels, smoothing: float, seed: int) -> tuple[nn.Module, float]:
    """A model, and the CPU seconds of its epochs with their evaluation."""
    torch.manual_seed(seed)
    n_train = len(images) - HELD_OUT
    train_rows = torch.randperm(n_train)[: args.train_size]
    model = MODELS[args.model]()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = time.process_time()
    for _ in range(args.epochs):
        model.train()
        for rows in train_rows[torch.randperm(len(train_rows))].split(args.batch_size):
            loss = F.cross_entropy(model(images[rows]), labels[rows], label_smoothing=smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        figures(predict(model, images[n_train:]), labels[n_train:])
    return model, time.process_time() - before


if __name__ == "__main__":
    main()
