"""PyTorch's side of benches/cross_entropy.py: rounds of smoothed cross-entropy with gradient, on request.

Reads lines from standard input and answers each with one line: `prepare N K DTYPE TARGETS MODE`, then
`kernel ROUNDS`. DTYPE is f32, bf16 or f16; TARGETS is index or soft; MODE is eager or compile. The allocator is
tuned by the environment (MALLOC_MMAP_THRESHOLD_, MALLOC_TRIM_THRESHOLD_), the threads by OMP_NUM_THREADS.
"""

import sys

import torch
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
ROTATED = 256 << 20


def loss_and_gradient(logits, target):
    """Value and gradient of the mean loss, in one graph."""
    logits = logits.detach().requires_grad_(True)
    loss = F.cross_entropy(logits, target, label_smoothing=0.1)
    (gradient,) = torch.autograd.grad(loss, logits)
    return loss.detach(), gradient


def compiled_loss_and_gradient(logits, target):
    """The same through torch.func, which torch.compile traces as one graph."""
    gradient, loss = torch.func.grad_and_value(
        lambda z: F.cross_entropy(z, target, label_smoothing=0.1)
    )(logits)
    return loss, gradient


def prepare(n, k, dtype, targets, mode):
    torch.manual_seed(0)
    dtype = DTYPES[dtype]
    logits = (torch.rand(n, k) * 8 - 4).to(dtype)
    if targets == "soft":
        target = torch.softmax(torch.rand(n, k), dim=1).to(dtype)
    else:
        target = torch.randint(0, k, (n,))
    copies = max(1, min(64, ROTATED // (n * k * logits.element_size())))
    pool = [logits.clone() for _ in range(copies)]
    function = loss_and_gradient
    if mode == "compile":
        torch._dynamo.reset()
        function = torch.compile(compiled_loss_and_gradient, fullgraph=True)
    # Compilation and the first pages are no part of a round.
    for buffer in pool[:2]:
        function(buffer, target)
    state = {"round": 0}

    def rounds(count):
        for _ in range(count):
            state["round"] += 1
            function(pool[state["round"] % copies], target)

    return rounds


def main():
    rounds = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "prepare":
            rounds = None
            rounds = prepare(int(words[1]), int(words[2]), *words[3:])
        else:
            rounds(int(words[1]))
        print("done", flush=True)


if __name__ == "__main__":
    main()
