"""What every image classification task measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from nasplug import Metric

METRICS: Mapping[str, Metric] = MappingProxyType(
    {"top1": Metric("%", "maximize"), "loss": Metric("nats", "minimize")}
)


@torch.no_grad()
def quality(model: nn.Module, batches: Iterable[tuple[Any, ...]]) -> dict[str, float]:
    """Top-1 accuracy (%) and mean cross-entropy (nats, no label smoothing) of `model` as it stands.

    Batches are (images (b, c, h, w), labels (b,)) on the CPU; they go to the model's device.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    count, right, loss = 0, 0, 0.0
    for images, labels in batches:
        outputs = model(images.to(device)).float()
        labels = labels.to(device)
        count += len(labels)
        right += int((outputs.argmax(1) == labels).sum())
        loss += float(functional.cross_entropy(outputs, labels, reduction="sum"))
    return {"top1": 100 * right / count, "loss": loss / count}
