"""What a plug-in's own mode may use: `python -m nasplug mode=NAME`.

A mode is a function `main(cfg)` that conf/mode/NAME.yaml of the plug-in names; `cfg` is the composed
configuration. Its file lists the parts that must be chosen, and its own settings, if it has any:

    # @package _global_
    # What the mode does, in one line
    mode:
      _target_: nasplug_acme.compare.main
      needs: [space]  # parts that must be chosen
    compare:          # mode=compare
      n: 300          # what it is

    def main(cfg: Any) -> None:
        settings = read_settings(cfg, "compare", Settings)
        parts = build_evaluation(cfg)
        archs = parts.space.valid(parts.space.sample(settings.n, rng))
        with lock_folder(folder):
            save_or_verify_config(folder, config)
            with on_interrupt(f"stopped; {folder} has what was measured"):
                outcomes = parts.evaluator.restrict(names).evaluate(archs, names)
        print_table("what was found", header, rows)

`build_evaluation` builds the space, the task and the evaluators of a configuration, without a
strategy, and `evaluator_settings` gives the evaluators' part of it. `lock_folder` has a folder to
itself, `save_or_verify_config` refuses one of another configuration, and `fingerprint` is for its name.
Under the key `DATA` a configuration keeps its task's `data_fingerprint()`.
"""

from __future__ import annotations

from nasplug.app.command_line.mode_settings import read_settings
from nasplug.app.command_line.stopping import orderly as on_interrupt
from nasplug.app.components import EvaluationComponents as EvaluationComponents
from nasplug.app.components import evaluator_nodes as evaluator_settings
from nasplug.app.components import measuring as build_evaluation
from nasplug.app.terminal import table as print_table
from nasplug.engine.run_folder import DATA as DATA
from nasplug.engine.run_folder import fingerprint, lock_folder, save_or_verify_config

__all__ = [
    "DATA",
    "EvaluationComponents",
    "build_evaluation",
    "evaluator_settings",
    "fingerprint",
    "lock_folder",
    "on_interrupt",
    "print_table",
    "read_settings",
    "save_or_verify_config",
]
