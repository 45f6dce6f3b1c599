"""Dropout, L2 and SGD written out, beside the same training with the library's parts.

python examples/from_scratch.py

A high-dimensional line, 200 inputs and 20 examples, with and without L2; then an MLP with dropout on the
handwritten digits of scikit-learn, which the extra `study` brings.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import ridgeline


def l2_penalty(w: Tensor) -> Tensor:
    """½‖w‖²; the strength is its factor in the loss."""
    return 0.5 * (w**2).sum()


def sgd(parameters: Sequence[Tensor], lr: float, batch_size: int = 1) -> None:
    """w ← w − lr · gradient / batch_size, in place; batch_size is for a loss that was summed, not averaged."""
    with torch.no_grad():
        for w in parameters:
            w -= lr * w.grad / batch_size
            w.grad = None


def draw_mask(shape: Sequence[int], p: float) -> Tensor:
    """Which elements stay, each with probability 1 − p."""
    return torch.rand(*shape) >= p


def dropout_layer(x: Tensor, p: float, mask: Callable[[Sequence[int], float], Tensor] = draw_mask) -> Tensor:
    """x with a share p of its elements set to zero and the others divided by 1 − p, which keeps the mean."""
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}; a probability lies in [0, 1]")
    if p == 0:
        return x
    if p == 1:
        return torch.zeros_like(x)
    return mask(x.shape, p).to(x.dtype) * x / (1 - p)


def squared_loss(output: Tensor, y: Tensor) -> Tensor:
    """½(ŷ − y)², the mean over a batch."""
    return (0.5 * (output - y) ** 2).mean()


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """−log of the probability that softmax gives the class, the mean over a batch."""
    return (logits.logsumexp(1) - logits[torch.arange(len(y)), y]).mean()


def train_line(
    x: Tensor, y: Tensor, w: Tensor, b: Tensor, order: Iterable[Tensor], lr: float, strength: float
) -> None:
    """Fit y = xw + b in place; the penalty is in the loss, on w alone. `order` gives each batch's rows."""
    for rows in order:
        loss = squared_loss(x[rows] @ w + b, y[rows]) + strength * l2_penalty(w)
        loss.backward()
        sgd([w, b], lr)


def mlp(
    x: Tensor,
    parameters: Sequence[Tensor],
    rates: Sequence[float] = (),
    mask: Callable[[Sequence[int], float], Tensor] = draw_mask,
) -> Tensor:
    """Logits: (linear, ReLU, dropout) for each hidden layer, linear. No rates: evaluation, dropout off."""
    *hidden, (weight, bias) = zip(parameters[::2], parameters[1::2], strict=True)
    for layer, (w, b) in enumerate(hidden):
        x = (x @ w.T + b).clamp(min=0)
        if rates:
            x = dropout_layer(x, rates[layer], mask)
    return x @ weight.T + bias


def train_mlp(
    x: Tensor,
    y: Tensor,
    parameters: Sequence[Tensor],
    order: Iterable[Tensor],
    lr: float,
    rates: Sequence[float],
    mask: Callable[[Sequence[int], float], Tensor] = draw_mask,
) -> None:
    """Fit the MLP in place, with dropout after each hidden layer."""
    for rows in order:
        cross_entropy(mlp(x[rows], parameters, rates, mask), y[rows]).backward()
        sgd(parameters, lr)


def shuffled(n: int, batch_size: int, epochs: int) -> list[Tensor]:
    """The rows of each batch, every epoch in a new order."""
    return [rows for _ in range(epochs) for rows in torch.randperm(n).split(batch_size)]


def line(strength: float) -> None:
    """The line three times from one start in one order: written out, torch's decay, ridgeline's L2."""
    torch.manual_seed(0)
    x = torch.randn(20, 200)
    y = 0.01 * x.sum(1, keepdim=True) + 0.05 + 0.01 * torch.randn(20, 1)
    start, order = torch.randn(200, 1), shuffled(20, 1, 100)

    w, b = start.clone().requires_grad_(), torch.zeros(1, requires_grad=True)
    train_line(x, y, w, b, order, 0.003, strength)

    def concise(by_ridgeline: bool) -> Tensor:
        model = nn.Linear(200, 1)
        with torch.no_grad():
            model.weight.copy_(start.T)
            model.bias.zero_()
        decay = 0.0 if by_ridgeline else strength
        groups = [{"params": [model.weight], "weight_decay": decay}, {"params": [model.bias]}]
        optimizer = torch.optim.SGD(groups, lr=0.003)
        reg = (
            ridgeline.regularize(model, ridgeline.L2(strength), optimizer=optimizer) if by_ridgeline else None
        )
        for rows in order:
            loss = 0.5 * nn.functional.mse_loss(model(x[rows]), y[rows])
            optimizer.zero_grad()
            (loss + reg.penalty() if reg else loss).backward()
            optimizer.step()
        return model.weight.detach().T

    ends = {"from scratch": w.detach(), "torch": concise(False), "ridgeline": concise(True)}
    norms = ", ".join(f"{name} {end.norm():.4f}" for name, end in ends.items())
    apart = max((end - w.detach()).abs().max() for end in ends.values()) / w.detach().abs().max()
    print(f"line, strength {strength:g}: ‖w‖ {norms}; largest difference {apart:.0e} of the largest weight")


def digits(rates: Sequence[float]) -> None:
    """The MLP twice from one start in one order; each draws its own masks."""
    found = load_digits()
    x, y = torch.tensor(found.data, dtype=torch.float32) / 16, torch.tensor(found.target)
    torch.manual_seed(0)
    drops = [nn.Dropout(p) for p in rates]
    hidden = [nn.Linear(64, 64), nn.ReLU(), drops[0], nn.Linear(64, 64), nn.ReLU(), drops[1]]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    parameters = [p.detach().clone().requires_grad_() for p in model.parameters()]
    order = shuffled(1_000, 50, 30)
    train_mlp(x, y, parameters, order, 0.1, rates)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in order:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    ends = {"from scratch": mlp(x[1_000:], parameters), "torch": model.eval()(x[1_000:])}
    right = ", ".join(f"{name} {(z.argmax(1) == y[1_000:]).float().mean():.3f}" for name, z in ends.items())
    print(f"digits, dropout {rates[0]:g} and {rates[1]:g}: test accuracy {right}")


if __name__ == "__main__":
    for strength in (0.0, 3.0):
        line(strength)
    digits((0.0, 0.0))
    digits((0.2, 0.5))
