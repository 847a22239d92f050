"""The vision transformer: plain, or of elastic layers."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nasplug_denas.vit.layers import PatchDistances, PatchTokens


@final
class VisionTransformer(nn.Module):
    """Patches, layers with attention among all of them, and a linear layer on the mean of the patches.

    Chen et al., AutoFormer: Searching Transformers for Visual Recognition, ICCV 2021, with the layer
    norms before attention and MLP, and the class token left out of the mean, as in its experiments.

    Args:
        patch: Convolution that makes a vector of each patch.
        tokens: Adds the class token and the positions.
        layers: Sequence of layers.
        norm: Of the last layer's result.
        head: From the mean to the classes.
    """

    def __init__(
        self,
        patch: nn.Module,
        tokens: PatchTokens,
        layers: nn.Sequential,
        norm: nn.Module,
        head: nn.Module,
    ) -> None:
        super().__init__()
        self.patch, self.tokens, self.layers = patch, tokens, layers
        self.norm, self.head = norm, head

    def forward(self, images: Tensor) -> Tensor:
        """Images (n, channels, size, size) -> logits (n, classes)."""
        x = self.tokens(self.patch(images).flatten(2).transpose(1, 2))
        x = self.norm(self.layers(x))
        logits: Tensor = self.head(x[:, 1:].mean(1))
        return logits


def initialise(network: nn.Module, std: float) -> None:
    """Draw the weights anew as AutoFormer does, from torch's global generator.

    Linear layers, tokens, positions and relative positions from a normal distribution of standard
    deviation `std` (published: 0.02) cut at 2, biases 0; the patches' convolution as torch does.
    """
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
        elif isinstance(module, PatchTokens | PatchDistances):
            for table in module.parameters(recurse=False):
                nn.init.trunc_normal_(table, std=std)
