"""Ends a pass through a network in its middle, forwards or backwards: a step takes seconds, a cancel may not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from audio_pipeline.models.speech.kokoro_torch_decoder import SnakeBlock
from audio_pipeline.models.speech.kokoro_torch_layers import StyledBlock


class Cancelled(Exception):  # noqa: N818 - nothing went wrong
    """Somebody wants the search to end."""


@contextmanager
def interruptible(network: nn.Module, cancelled: Callable[[], bool] | None) -> Iterator[None]:
    """Asks before every block of the network, and again on the gradient's way back, whether to go on."""
    if cancelled is None:
        yield
        return

    def ask(gradient: Tensor | None = None) -> None:
        if cancelled():
            raise Cancelled

    def after(module: nn.Module, inputs: Any, output: Tensor) -> None:
        ask()
        if output.requires_grad:
            output.register_hook(ask)  # type: ignore[no-untyped-call]

    blocks = [module for module in network.modules() if isinstance(module, SnakeBlock | StyledBlock)]
    handles = [block.register_forward_hook(after) for block in blocks]
    try:
        ask()
        yield
    finally:
        for handle in handles:
            handle.remove()
