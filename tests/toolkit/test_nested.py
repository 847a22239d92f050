"""Structured values: what is found in them, what is made of them, and what of them may be reordered."""

from dataclasses import dataclass

import pytest
import torch
from nasplug_training.standalone_trainer import resized
from torch import Tensor, nn

from nasplug.toolkit.networks.devices import move
from nasplug.toolkit.networks.nested import main_output, map_tensors, named_tensors
from nasplug.toolkit.networks.reordering import change, elastic_axes


@dataclass
class Output:
    """As models return it."""

    states: tuple[Tensor, ...]
    logits: Tensor
    note: str = "kept"


OUTPUT = Output((torch.ones(2), {"last": torch.zeros(3)}), torch.full((4,), 2.0))


def test_names_are_places():
    names = [name for name, _ in named_tensors(OUTPUT)]
    assert names == ["states.0", "states.1.last", "logits"]


def test_each_tensor_is_changed_and_the_rest_stays():
    changed = map_tensors(lambda x: x + 1, OUTPUT)
    assert isinstance(changed, Output) and changed.note == "kept"
    assert changed.states[1]["last"].tolist() == [1, 1, 1] and OUTPUT.logits.tolist() == [2.0] * 4
    assert move(OUTPUT, torch.device("meta")).states[0].is_meta


def test_the_main_output_is_the_logits_or_the_first_of_real_numbers():
    assert main_output(OUTPUT) is OUTPUT.logits
    assert main_output((torch.ones(2, dtype=torch.int64), x := torch.ones(3))) is x
    assert main_output([torch.ones(2, dtype=torch.int64)]) is None


def test_only_elastic_axes_may_be_reordered():
    whole = {"logits": torch.arange(3.0), "states": torch.arange(8.0).view(2, 4)}
    axes = elastic_axes(whole, [{"logits": torch.zeros(3), "states": torch.zeros(2, 2)}])
    assert axes == {"logits": set(), "states": {1}}
    turned = {**whole, "states": whole["states"].flip(1)}
    assert change(whole, turned, axes) == 0
    assert change(whole, {**whole, "states": whole["states"].flip(0)}, axes) > 0.5
    assert change(whole, {**whole, "logits": whole["logits"].flip(0)}, axes) == 1


class Seeing(nn.Module):
    """Gives the size of the images that it is called with by keyword."""

    def forward(self, images, factor):
        return images.shape[-2:], factor.shape


@pytest.mark.parametrize("size", [4, None])
def test_images_that_are_keywords_are_resized(size):
    network, inputs = Seeing(), {"images": torch.zeros(2, 1, 8, 8), "factor": torch.zeros(2)}
    with resized(network, size):
        assert network(**inputs) == ((size or 8,) * 2, (2,))
