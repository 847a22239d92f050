"""How busy the machine was with other work while something was timed."""

from __future__ import annotations

import os
import time


class OtherWork:
    """Counts from its making on; the processors' own counters tell 1/100 of a second."""

    def __init__(self) -> None:
        self._start, self._busy = time.perf_counter(), _busy_elsewhere()

    def cores(self) -> float:
        """How many cores other processes kept busy since, on average."""
        seconds = max(time.perf_counter() - self._start, 1e-9)
        cores = max(0.0, _busy_elsewhere() - self._busy) / seconds
        return round(min(cores, os.cpu_count() or 1), 2)


def _busy_elsewhere() -> float:
    """Seconds that all cores have worked, but for this process."""
    import psutil

    times = psutil.cpu_times()._asdict()
    parts = (
        "user",
        "nice",
        "system",
        "irq",
        "softirq",
        "steal",
    )  # user has the time of guests in it
    busy: float = sum(times.get(part, 0.0) for part in parts)
    return busy - time.process_time()
