"""Loads the weights of a run into PyTorch and compares the logits with Candor's.

usage: load_weights.py RUN DATA PREDICTIONS.parquet

RUN is a run folder of `candor train vision`, DATA a folder of IDX or CIFAR-10 binary files, PREDICTIONS what
`candor predict RUN --data DATA` wrote. Prints the largest difference and fails above 1e-4.
Needs torch, safetensors, numpy and pyarrow.
"""

import gzip
import json
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn


class Mlp(nn.Module):
    def __init__(self, d):
        super().__init__()
        widths = [int(np.prod(d["shape"]["input"])), *d["model"]["hidden"], d["shape"]["classes"]]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class LeNet(nn.Module):
    def __init__(self, d):
        super().__init__()
        c, h, w = d["shape"]["input"]
        hidden = d["model"]["hidden"][0]
        self.conv1, self.conv2 = nn.Conv2d(c, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.fc1 = nn.Linear(64 * (h // 4) * (w // 4), hidden)
        self.fc2 = nn.Linear(hidden, d["shape"]["classes"])

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
        self.stride, self.pad = stride, (b - a) // 2

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        s = x[:, :, :: self.stride, :: self.stride]
        return F.relu(y + F.pad(s, (0, 0, 0, 0, self.pad, self.pad)))


class ResNet(nn.Module):
    def __init__(self, d):
        super().__init__()
        n, a, blocks = (d["model"].get("depth", 20) - 2) // 6, 16, []
        self.conv1 = nn.Conv2d(d["shape"]["input"][0], 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        for b in (16, 32, 64):
            for i in range(n):
                blocks.append(Block(a, b, 2 if i == 0 and b > 16 else 1))
                a = b
        self.blocks, self.fc = nn.ModuleList(blocks), nn.Linear(64, d["shape"]["classes"])

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            x = block(x)
        return self.fc(x.mean((2, 3)))


class Encoder(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.packed, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        parts = self.packed(self.norm1(x)).chunk(3, dim=2)
        seen = F.scaled_dot_product_attention(*(p.unflatten(2, (self.heads, -1)).transpose(1, 2) for p in parts))
        x = x + self.mixed(seen.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


class Vit(nn.Module):
    def __init__(self, d):
        super().__init__()
        c, h, w = d["shape"]["input"]
        model, width = d["model"], d["model"]["hidden"][0]
        self.patch = model.get("patch", 4)
        self.patches = nn.Linear(c * self.patch**2, width)
        self.positions = nn.Parameter(torch.zeros(h * w // self.patch**2, width))
        blocks = (Encoder(width, model.get("heads", 4)) for _ in range(model.get("depth", 4)))
        self.blocks, self.norm = nn.ModuleList(blocks), nn.LayerNorm(width)
        self.head = nn.Linear(width, d["shape"]["classes"])

    def forward(self, x):
        x = self.patches(F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


def read(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def test_images(folder, shape):
    folder = pathlib.Path(folder)
    if (folder / "test_batch.bin").exists():
        rows = np.frombuffer(read(folder / "test_batch.bin"), np.uint8).reshape(-1, 3073)
        return rows[:, 1:].reshape(-1, *shape)
    path = next(p for p in sorted(folder.iterdir()) if p.name.startswith("t10k-images"))
    return np.frombuffer(read(path)[16:], np.uint8).reshape(-1, *shape)


run, data, predictions = sys.argv[1:]
with safe_open(f"{run}/model.safetensors", "pt") as file:
    description = json.loads(file.metadata()["candor.vision"])
    weights = {name: file.get_tensor(name) for name in file.keys()}
model = {"mlp": Mlp, "lenet": LeNet, "resnet": ResNet, "vit": Vit}[description["model"]["name"]](description)
missing, unexpected = model.load_state_dict(weights, strict=False)
missing = [name for name in missing if not name.endswith("num_batches_tracked")]
assert not missing and not unexpected, (missing, unexpected)
model.eval()
n = description["normalisation"]
to = lambda values: torch.tensor(values).view(1, -1, 1, 1)
images = torch.tensor(test_images(data, description["shape"]["input"]).astype(np.float64) / n["scale"])
with torch.no_grad():
    logits = model(((images - to(n["mean"])) / to(n["sd"])).float()).numpy()
theirs = np.stack(pq.read_table(predictions)["logits"].to_pylist())
difference = np.abs(logits - theirs).max()
print(f"{len(logits)} rows, largest difference of a logit {difference:.2e}")
sys.exit(difference > 1e-4)
