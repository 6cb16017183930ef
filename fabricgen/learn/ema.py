"""A running average of weights: smoother than the last step, and what is shipped."""

import torch
from torch import Tensor, nn


def start(model: nn.Module) -> dict[str, Tensor]:
    """The average before the first step: a copy of every entry of the state."""
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def follow(average: dict[str, Tensor], model: nn.Module, *, step: int, decay: float) -> None:
    """Move the average toward the weights, in place.

    Young averages follow faster, so that the random start is soon forgotten: the decay is
    min(decay, (1 + step) / (10 + step)). Entries that are not floating point are copied.

    Args:
        average: What `start` made.
        model: The trained model.
        step: Steps done before this one.
        decay: Share of the old average that stays, 0…1.
    """
    keep = min(decay, (1 + step) / (10 + step))
    state = model.state_dict()
    floats = [name for name, value in state.items() if value.is_floating_point()]
    torch._foreach_lerp_(
        [average[name] for name in floats], [state[name] for name in floats], 1.0 - keep
    )
    for name, value in state.items():
        if not value.is_floating_point():
            average[name].copy_(value)
