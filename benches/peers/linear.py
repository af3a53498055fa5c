"""PyTorch's side of benches/linear.py: a linear layer with smoothed cross-entropy and its gradients, on request.

Reads lines from standard input and answers each with one line: `prepare N WIDTH CLASSES MODE`, then `kernel ROUNDS`.
MODE is eager or compile. With the arguments `peak N WIDTH CLASSES MODE` computes twice, of which the first may compile,
and prints the bytes that the second took at most beyond input and weight.
"""

import sys

import torch
import torch.nn.functional as F


def eager(x, w, target):
    x, w = x.detach().requires_grad_(True), w.detach().requires_grad_(True)
    loss = F.cross_entropy(F.linear(x, w), target, label_smoothing=0.1)
    return loss.detach(), *torch.autograd.grad(loss, (x, w))


def compiled(x, w, target):
    def loss(x, w):
        return F.cross_entropy(F.linear(x, w), target, label_smoothing=0.1)

    gradients, value = torch.func.grad_and_value(loss, argnums=(0, 1))(x, w)
    return value, *gradients


def prepare(n, d, k, mode):
    torch.manual_seed(0)
    x, w = torch.randn(n, d), torch.randn(k, d) / d**0.5
    target = torch.randint(0, k, (n,))
    function = torch.compile(compiled, fullgraph=True) if mode == "compile" else eager
    return lambda: function(x, w, target)


def memory(name):
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith(name + ":"))
    return int(line.split()[1]) << 10


def peak(function):
    function()
    # Linux starts the count of the most memory anew.
    with open("/proc/self/clear_refs", "w", encoding="ascii") as refs:
        refs.write("5")
    before = memory("VmRSS")
    function()
    return memory("VmHWM") - before


def main():
    if sys.argv[1:2] == ["peak"]:
        n, d, k, mode = sys.argv[2:]
        print(peak(prepare(int(n), int(d), int(k), mode)))
        return
    function = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "prepare":
            n, d, k, mode = words[1:]
            function = prepare(int(n), int(d), int(k), mode)
            function()
        else:
            for _ in range(int(words[1])):
                function()
        print("done", flush=True)


if __name__ == "__main__":
    main()
