"""How much slower the main job is beside other work: python examples/benchmarks/busy_machine.py

A shortened main job (a super-network trained for --epochs epochs, --budget architectures measured)
runs alone, then beside --busy processes that count, then alone once more; each with a fresh cache.
Beside two busy processes on two cores it may take 3 times as long as alone. --spin tries another
GOMP_SPINCOUNT: 300000 is libgomp's own, 10000 nasplug's. The machine must be idle.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
COUNT = "n = 0\nwhile True: n += 1"


@contextmanager
def busy(processes):
    """Within it `processes` of them count, each on one core if there are enough."""
    started = [subprocess.Popen([sys.executable, "-c", COUNT]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def job(epochs, budget, spin):
    """Seconds of one shortened main job."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "plugins"), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": folder}
        if spin is not None:
            environment["GOMP_SPINCOUNT"] = str(spin)
        command = [
            *(sys.executable, "-m", "nasplug", "-q", "+space=ofa_mbv3", "+strategy=linas"),
            *(f"evaluator.training.epochs={epochs}", f"budget={budget}", f"run={folder}/run"),
        ]
        start = time.perf_counter()
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--budget", type=int, default=8)
    parser.add_argument("--busy", type=int, default=os.cpu_count())
    parser.add_argument("--spin", type=int, help="GOMP_SPINCOUNT; by default nasplug's own")
    given = parser.parse_args()

    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.2f} before the start")
    if load > 0.3:
        print("other work is under way: these figures are not those of an idle machine")
    alone = [job(given.epochs, given.budget, given.spin)]
    print(f"alone                       {alone[0]:7.1f} s", flush=True)
    with busy(given.busy):
        beside = job(given.epochs, given.budget, given.spin)
    print(f"beside {given.busy} busy processes     {beside:7.1f} s", flush=True)
    alone.append(job(given.epochs, given.budget, given.spin))
    print(f"alone again                 {alone[1]:7.1f} s")
    print(f"beside other work it takes {beside / (sum(alone) / 2):.2f} times as long as alone")


if __name__ == "__main__":
    main()
