"""What this plug-in uses of nni 3, imported here alone and without its known warnings.

Under a new torch, nni warns of every name in `torch.nn` that is not a module; its NAS-Bench-101
cell logs two lines whenever one is built.
"""

from __future__ import annotations

import logging
import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nni.mutable import Categorical, CategoricalMultiple, Mutable, Numerical
    from nni.mutable.annotation import MutableAnnotation
    from nni.mutable.mutable import MutableExpression
    from nni.mutable.symbol import SymbolicExpression
    from nni.nas.hub.pytorch.modules.nasbench101 import NasBench101Cell
    from nni.nas.nn.pytorch import Cell, InputChoice, LayerChoice, ModelSpace, Repeat
    from nni.nas.nn.pytorch.base import MutableModule, ParametrizedModule
    from nni.nas.nn.pytorch.cell import create_cell_op_candidates
    from nni.nas.nn.pytorch.choice import ChosenInputs
    from nni.nas.space import model_context

logging.getLogger("nni.nas.hub.pytorch.modules.nasbench101").setLevel(logging.WARNING)

__all__ = [
    "Categorical",
    "CategoricalMultiple",
    "Cell",
    "ChosenInputs",
    "InputChoice",
    "LayerChoice",
    "ModelSpace",
    "Mutable",
    "MutableAnnotation",
    "MutableExpression",
    "MutableModule",
    "NasBench101Cell",
    "Numerical",
    "ParametrizedModule",
    "Repeat",
    "SymbolicExpression",
    "create_cell_op_candidates",
    "model_context",
]
