"""A network with nni's choices, searched by gradient and by measuring, on the same task.

python examples/nni_article.py                          small, in seconds
python examples/nni_article.py --epochs 20 --budget 8   in about two minutes
"""

import argparse
import tempfile
import warnings

import torch.nn.functional as functional
from nasplug_oneshot.shared_weights import Training
from torch import Tensor, nn

import nasplug

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nni 3 warns of a torch newer than itself
    from nni.nas.nn.pytorch import InputChoice, LayerChoice, ModelSpace


class Net(ModelSpace, label_prefix="net"):
    """Two convolutions of 3 or 5 pixels, and a skip connection or none."""

    def __init__(self, in_channels: int = 1, num_classes: int = 10, width: int = 8) -> None:
        super().__init__()
        self.conv1 = LayerChoice(
            [nn.Conv2d(in_channels, width, k, padding=k // 2) for k in (3, 5)], label="conv1"
        )
        self.pool = nn.MaxPool2d(2)
        self.conv2 = LayerChoice(
            [nn.Conv2d(width, width, k, padding=k // 2) for k in (3, 5)], label="conv2"
        )
        self.skip = InputChoice(n_candidates=2, n_chosen=1, label="skip")
        self.norm = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * 4, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, in_channels, h, w) -> logits (n, num_classes)."""
        x = self.pool(functional.relu(self.conv1(x)))
        y = functional.relu(self.conv2(x))
        y = self.norm(self.skip([y, x + y]))
        return self.fc(functional.adaptive_avg_pool2d(y, 2).flatten(1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2, help="of each training")
    parser.add_argument("--budget", type=int, default=2, help="networks that each search measures")
    parser.add_argument("--image-size", type=int, default=12)
    arguments = parser.parse_args()
    epochs = arguments.epochs

    task = nasplug.make("task", "digits", image_size=arguments.image_size)
    space = nasplug.make("space", "nni", model=Net, **task.network_dimensions)
    evaluators = [
        nasplug.make("evaluator", "training", space=space, task=task, epochs=epochs),
        nasplug.make("evaluator", "costs", space=space),
    ]
    training = Training(epochs=epochs)
    darts = nasplug.make("strategy", "darts", training=training, weights_first=epochs // 2)
    for name, strategy in (("darts", darts), ("linas", nasplug.make("strategy", "linas"))):
        with tempfile.TemporaryDirectory() as folder:
            run = nasplug.search(
                space, evaluators, strategy, objectives=["top1", "macs"],
                budget=arguments.budget, run=f"{folder}/run", task=task,
            )  # fmt: skip
            print(f"{name} (of {space.size} networks):")
            print(run.front()[["number", "top1", "macs", "config"]].to_string(index=False))


if __name__ == "__main__":
    main()
