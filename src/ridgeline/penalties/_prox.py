"""Proximal operators as pure functions of tensors: argmin_u R(u) + ½ Σ (uᵢ − wᵢ)²/stepᵢ."""

import torch
from torch import Tensor

_NEWTON_STEPS = 25


def soft_threshold(w: Tensor, threshold: float | Tensor) -> Tensor:
    """sign(w) · max(|w| − threshold, 0), elementwise, with +0 where it is zero."""
    if not isinstance(threshold, Tensor):  # as_tensor alone would round a float to float32
        threshold = torch.tensor(threshold, dtype=torch.promote_types(w.dtype, torch.float32))
    limit = threshold.to(w.device)
    return w.sub(w.clamp(-limit, limit))


def shrink_groups(w: Tensor, threshold: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Each group (the elements along `dims`) scaled by max(1 − threshold/‖w_g‖, 0).

    Args:
        threshold: ≥ 0, broadcasts to the group norms, which keep their reduced dimensions.
    """
    norm: Tensor = torch.linalg.vector_norm(w, dim=dims, keepdim=True)
    safe = torch.where(norm > 0, norm, torch.ones_like(norm))
    return w * (1.0 - threshold / safe).clamp_min(0.0) * (norm > 0)


def shrink_groups_weighted(w: Tensor, strength: Tensor, step: Tensor, dims: tuple[int, ...]) -> Tensor:
    """argmin_u κ‖u_g‖ + ½ Σ (uᵢ − wᵢ)²/stepᵢ for each group, with one step an element.

    With h = 1/step the minimum is u = h w s/(h s + κ), where s = ‖u_g‖ solves the secular equation
    φ(s) = Σ (h w/(h s + κ))² = 1; it is 0 where ‖h w‖ ≤ κ. Newton's method on 1/√φ − 1 rises to the root
    without passing it, since 1/√φ is concave; it starts at (‖h w‖ − κ)/max h, where φ ≥ 1.

    Args:
        strength: κ ≥ 0, broadcasts to the group norms with reduced dimensions kept.
        step: > 0, like w; where it is 0 the element keeps its value.
    """
    frozen = step <= 0
    pull = torch.where(frozen, torch.zeros_like(w), w)
    h = 1.0 / torch.where(frozen, torch.ones_like(step), step)
    most = h.amax(dims, keepdim=True)
    h, kappa = h / most, strength / most  # the same minimum, in numbers of a tame size
    force = torch.linalg.vector_norm(h * pull, dim=dims, keepdim=True)
    active = ~(force <= kappa)  # NaN stays NaN
    s = torch.where(active, force - kappa, torch.zeros_like(force))
    kappa = torch.where(active, kappa, torch.ones_like(force))
    moving, exact = active, 2 * torch.finfo(w.dtype).eps
    watched = w.device.type == "cpu" and not torch.compiler.is_compiling()  # elsewhere asking would wait
    for _ in range(_NEWTON_STEPS):
        below = h * s + kappa
        ratio = h * pull / below
        phi = ratio.square().sum(dims, keepdim=True)
        slope = (ratio.square() * h / below).sum(dims, keepdim=True)
        rise = (phi.sqrt() - 1.0) * phi / torch.where(slope > 0, slope, torch.ones_like(slope))
        moving = moving & (rise > exact * s)  # each group stops by itself, so none depends on the others
        s = torch.where(moving, s + rise, s)
        if watched and not bool(moving.any()):
            break
    shrunk = torch.where(active, pull * (h * s) / (h * s + kappa), torch.zeros_like(w))
    shrunk = torch.where((strength > 0).expand_as(active), shrunk, pull)
    return torch.where(frozen, w, shrunk)


def project_ball(w: Tensor, limit: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Each group scaled to a norm of at most `limit`; a group inside is returned bit for bit."""
    norm = torch.linalg.vector_norm(w, dim=dims, keepdim=True)
    outside = norm > limit
    return torch.where(outside, w * (limit / torch.where(outside, norm, torch.ones_like(norm))), w)


def soft_threshold_spectrum(w: Tensor, threshold: Tensor) -> Tensor:
    """The matrices w (…, m, n) with their singular values soft-thresholded."""
    u, s, vh = torch.linalg.svd(w, full_matrices=False)
    found: Tensor = (u * (s - threshold[..., None]).clamp_min(0.0)[..., None, :]) @ vh
    return found
