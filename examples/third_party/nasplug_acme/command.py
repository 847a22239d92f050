"""An evaluator that measures by a shell command: on a phone, in a simulator, with a vendor's tool."""

import json
import math
import os
import shlex
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from nasplug import Evaluator, Failure, Measurement, Metric, NasplugError, describe, seeded
from nasplug.toolkit.networks.weights import write_weights


class CommandFailed(Exception):
    """The command did not measure this network."""


class AcmeCommand(Evaluator):
    """Runs `command` for each network; {folder} in it is a folder with the network:

    - network.json: {"space": .., "architecture": [option indices], "config": {variable: value}}
    - weights.safetensors: its state dict, with fresh weights of `seed`.

    What the command prints last must be a JSON object with the metrics that `measures` declares, such
    as {"latency": 3.2}. A time-out, an exit status other than 0 and other output fail the network.
    """

    def __init__(
        self,
        space,
        command: str,
        measures: dict[str, dict[str, str]],
        timeout: float = 60.0,
        alone: bool = True,
        seed: int = 0,
    ) -> None:
        """`measures` maps a metric to its unit and direction. `timeout` is in seconds; with `alone`
        nothing else is measured meanwhile."""
        if "{folder}" not in command:
            raise NasplugError(f"command must have {{folder}} for the network, but got {command!r}")
        self.space, self.command, self.measures = space, command, measures
        self.timeout, self.alone, self.seed = timeout, alone, seed
        self.runs_alone = tuple(measures) if alone else ()

    partial_fidelity = True  # what it measures does not depend on the training

    @property
    def metrics(self):
        """What `measures` says."""
        return {name: Metric(**metric) for name, metric in self.measures.items()}

    def evaluate(self, trials, names):
        """One run of the command each."""
        return [self._measure(trial.arch, names) for trial in trials]

    def _measure(self, arch, names):
        start = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory(prefix="acme-") as folder:
                self._write(arch, Path(folder))
                values = self._run(self.command.replace("{folder}", shlex.quote(folder)), names)
        except CommandFailed as error:
            return Failure(f"the command {error}", time.perf_counter() - start)
        return Measurement(values, time.perf_counter() - start)

    def _write(self, arch, folder):
        about = {
            "space": describe(self.space),
            "architecture": list(arch),
            "config": self.space.config(arch),
        }
        (folder / "network.json").write_text(json.dumps(about))
        with seeded(self.seed):
            write_weights(self.space.build(arch), folder / "weights.safetensors")

    def _run(self, command, names):
        with subprocess.Popen(
            command, shell=True, text=True, errors="replace", start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                out, err = process.communicate(timeout=self.timeout)
            except subprocess.TimeoutExpired:
                raise CommandFailed(f"took more than {self.timeout:g} s") from None
            finally:
                if process.poll() is None:  # the time is over, or the search was stopped
                    os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            reason = (err.strip().splitlines() or ["without a word"])[-1]
            raise CommandFailed(f"ended with status {process.returncode}: {reason:.200}")
        try:
            found = json.loads(out.strip().splitlines()[-1])
            values = {name: float(found[name]) for name in names}
        except (IndexError, KeyError, TypeError, ValueError):
            values = {}
        if not values or not all(map(math.isfinite, values.values())):
            raise CommandFailed(
                f"must print a JSON object with {', '.join(names)}, not {out[:200]!r}"
            )
        return values
