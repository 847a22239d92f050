"""An elastic CNN of one's own, trained, searched, exported: python examples/own_supernet.py."""

import logging
import tempfile

import torch
from torch import nn

import nasplug
from nasplug import elastic
from nasplug.elastic import Choice


def conv_norm(conv, width):
    return nn.Sequential(conv, elastic.ElasticBatchNorm2d(width), nn.ReLU())


def block(name, width):
    """An inverted residual; its kernel and its inner width are searched."""
    inner, kernel = width * Choice(f"{name}.expand", (1, 2, 3)), Choice(f"{name}.kernel", (3, 5))
    return elastic.ElasticResidual(
        nn.Sequential(
            conv_norm(elastic.ElasticConv2d(width, inner), inner),
            conv_norm(elastic.ElasticDepthwiseConv2d(inner, kernel), inner),
            elastic.ElasticConv2d(inner, width),
        )
    )


class MyCNN(elastic.ElasticSpace):
    """Two stages of elastic width and depth, for small grey images."""

    def model(self):
        """All sizes that are searched are a `Choice`, or follow from some."""
        layers, before = [], 1
        for stage, options in (("stage1", (8, 12, 16)), ("stage2", (16, 24, 32))):
            width, depth = Choice(f"{stage}.width", options), Choice(f"{stage}.depth", (1, 2, 3))
            blocks = [block(f"{stage}.block{k}", width) for k in (1, 2, 3)]
            layers.append(conv_norm(elastic.ElasticConv2d(before, width, 3, stride=2), width))
            layers.append(elastic.ElasticSequential(*blocks, depth=depth))
            before = width
        head = elastic.ElasticLinear(before, 10)
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)

    def example_inputs(self, batch_size):
        """Grey images of 16 x 16 pixels."""
        return (torch.linspace(-1, 1, batch_size * 256).view(batch_size, 1, 16, 16),)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    make, space = nasplug.make, MyCNN()
    task, schedule = make("task", "digits", image_size=16), make("training", "sandwich", epochs=2)
    supernet = make("evaluator", "supernet", space=space, task=task, training=schedule)
    costs, linas = make("evaluator", "costs", space=space), make("strategy", "linas")
    with tempfile.TemporaryDirectory() as folder:
        run = nasplug.search(space, [supernet, costs], linas, budget=20, run=folder)
        print(run.front()[["number", "top1", "macs"]])
        network = nasplug.load(run.export("knee"))
        print("exported, measured again:", task.quality(network, ["top1"]))
