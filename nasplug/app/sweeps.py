"""A multirun's end: its runs compared."""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from hydra.experimental.callback import Callback

from nasplug.toolkit.system.files import replacing

MARK, FAILED, SUMMARY = "run.txt", "failed.json", "summary.csv"


def mark(job: Path, folder: Path) -> None:
    """Note in a job's folder where its run is."""
    job.mkdir(parents=True, exist_ok=True)
    with replacing(job / MARK) as temporary:
        temporary.write_text(str(folder), encoding="utf-8")


def note_failure(hydra: Any, reason: str) -> None:
    """Note in the folder of a job, whose Hydra configuration is given, why it failed; the others go on."""
    job = Path(hydra.runtime.output_dir)
    job.mkdir(parents=True, exist_ok=True)
    (job / FAILED).write_text(json.dumps([list(hydra.overrides.task), reason]), encoding="utf-8")


class Summary(Callback):
    """Prints and writes a table of the runs of a multirun: measured, best of each objective, and the
    hypervolume in the box that all runs of the same objectives span together."""

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Called by Hydra, in the process that launched the jobs."""
        from nasplug.app.components import open_run
        from nasplug.app.files.trust import ANYTHING
        from nasplug.app.terminal import table
        from nasplug.toolkit.searching import pareto

        sweep = Path(config.hydra.sweep.dir)
        marks = sorted(sweep.glob(f"*/{MARK}"), key=lambda m: int(m.parent.name))
        runs = [open_run(m.read_text(encoding="utf-8"), [ANYTHING]) for m in marks]
        alike = defaultdict(list)
        for run in runs:
            alike[run.problem.objectives].append(run)
        lines: list[list[str]] = []
        for objectives, group in alike.items():
            low, high = pareto.bounds(np.concatenate([run.losses() for run in group]))
            header = ["run", "measured", *(f"best {o.name}" for o in objectives), "hypervolume"]
            rows = []
            for run in group:
                losses = run.losses()
                best = np.nanmin(losses, axis=0) * [o.sign for o in objectives]
                share = pareto.hypervolume(losses[run.front_mask()], high, low)
                rows.append(
                    [str(run.folder), str(len(losses)), *(f"{b:.5g}" for b in best), f"{share:.4f}"]
                )
            table("multirun: hypervolume in the box that all runs span", header, rows)
            lines += [header, *rows]
        if runs:
            with (
                replacing(sweep / SUMMARY) as temporary,
                temporary.open("w", newline="", encoding="utf-8") as file,
            ):
                csv.writer(file).writerows(lines)
            print(sweep / SUMMARY)
        _report_failures(sweep)


def _report_failures(sweep: Path) -> None:
    """One line for each reason why jobs failed, and exit status 1 if one did."""
    reasons = defaultdict(list)
    for note in sorted(sweep.glob(f"*/{FAILED}"), key=lambda n: int(n.parent.name)):
        words, reason = json.loads(note.read_text(encoding="utf-8"))
        reasons[reason].append((note.parent.name, " ".join(words)))
    for reason, jobs in reasons.items():
        numbers = ", ".join(number for number, _ in jobs)
        what = f"job {numbers} ({jobs[0][1]})" if len(jobs) == 1 else f"jobs {numbers}"
        print(f"nasplug: {what} failed: {reason}", file=sys.stderr)
    if reasons:
        raise SystemExit(1)
