"""The names that networks and programs of nni before 3.0 use (`nni.retiarii`, `nni.nas.pytorch`).

Change the two import lines, and the rest runs:

>>> from nasplug_nni.retiarii import LayerChoice, InputChoice
>>> from nasplug_nni.retiarii import DartsTrainer

Choices stand in any `torch.nn.Module`. A choice without a label is called by its place in the
network: `self.conv1 = LayerChoice(..)` is "conv1".
"""

from nasplug_nni.retiarii.choices import InputChoice, LayerChoice, ValueChoice, space
from nasplug_nni.retiarii.darts_trainer import DartsTrainer

__all__ = ["DartsTrainer", "InputChoice", "LayerChoice", "ValueChoice", "space"]
