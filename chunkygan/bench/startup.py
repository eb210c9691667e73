"""How long commands take to answer and an inversion to take its first step, and which imports cost what."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from chunkygan.errors import ChunkyGANError

COMMANDS = {"chunkygan --help": ["--help"], "chunkygan list": ["list"]}

_RUN = "import sys; from chunkygan.cli.main import main; sys.exit(main(sys.argv[1:]))"

_FIRST_STEP = """
import os, sys, time, torch
from chunkygan.inversion import Inversion
from chunkygan.recipe import load
inversion = Inversion(load(sys.argv[1], ["trainer.accelerator=" + sys.argv[2]], job="invert"))
target = inversion.generator.synthesis(inversion.generator.styles(inversion.generator.w_avg.expand(
    1, inversion.generator.num_ws, -1))).clamp(-1, 1)
def first(step):
    print(time.monotonic(), sum(os.times()[:2]), flush=True)
    os._exit(0)
halves = (torch.arange(target.shape[3]) >= target.shape[3] // 2).long().expand(target.shape[2:])
masks = inversion.masks_for(target, masks=halves.numpy())
inversion.project(target, masks, listeners=[first])
"""


@dataclass(frozen=True)
class StartUp:
    """Seconds until something answered, medians of several processes.

    Attributes:
        seconds: by the clock.
        own: the process's own time, whatever else the machine does.
        imports: seconds of own code of the costliest packages, imports within them not counted; costliest first.
    """

    what: str
    seconds: float
    own: float
    imports: Mapping[str, float]

    def row(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def measure(*, rounds: int, recipe: str = "invert", accelerator: str = "cpu") -> list[StartUp]:
    """Help, list, and the first step of a recipe's inversion, in processes of their own, taken in turns.

    Raises:
        ChunkyGANError: a process failed.
    """
    runs = {what: ["-c", _RUN, *arguments] for what, arguments in COMMANDS.items()}
    runs["first step of an inversion"] = ["-c", _FIRST_STEP, recipe, accelerator]
    taken: dict[str, list[tuple[float, float]]] = {what: [] for what in runs}
    for _ in range(rounds):
        for what, arguments in runs.items():
            taken[what].append(_answered(arguments))
    return [
        StartUp(
            what,
            statistics.median(seconds for seconds, _ in taken[what]),
            statistics.median(own for _, own in taken[what]),
            costliest(_import_times(arguments)),
        )
        for what, arguments in runs.items()
    ]


def costliest(times: Sequence[tuple[str, float]], count: int = 8) -> dict[str, float]:
    """Seconds of the packages that cost most, their modules added up; two levels where it is torch's own.

    >>> costliest([("torch._dynamo.utils", 2.0), ("torch._dynamo", 1.0), ("scipy.signal", 0.5), ("numpy", 0.1)], 2)
    {'torch._dynamo': 3.0, 'scipy': 0.5}
    """
    totals: dict[str, float] = {}
    for module, seconds in times:
        parts = module.split(".")
        package = ".".join(parts[:2]) if parts[:2] in (["torch", "_dynamo"], ["torch", "fx"]) else parts[0]
        totals[package] = totals.get(package, 0.0) + seconds
    ranked = sorted(totals.items(), key=lambda item: -item[1])
    return {package: round(seconds, 4) for package, seconds in ranked[:count]}


def parsed(text: str) -> list[tuple[str, float]]:
    """Modules and the seconds of their own of what ``python -X importtime`` prints.

    >>> parsed("import time:      2500 |       9000 |   chunkygan.errors")
    [('chunkygan.errors', 0.0025)]
    """
    lines = re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", text)
    return [(module, int(micros) / 1e6) for micros, module in lines]


def _answered(arguments: Sequence[str]) -> tuple[float, float]:
    """Seconds by the clock, and of the process's own, until it ended or told that its first step was done."""
    began, before = time.monotonic(), os.times()
    done = _python(arguments)
    ended, after = time.monotonic(), os.times()
    own = sum(after[2:4]) - sum(before[2:4])
    told = done.stdout.split()
    if arguments[1] is not _FIRST_STEP:
        return ended - began, own
    return float(told[-2]) - began, float(told[-1])


def _import_times(arguments: Sequence[str]) -> list[tuple[str, float]]:
    return parsed(_python(["-X", "importtime", *arguments]).stderr)


def _python(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join([p or os.getcwd() for p in sys.path])
        done = subprocess.run(
            [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        raise ChunkyGANError(f"a process whose start was measured failed: {done.stderr.strip()[-500:]}")
    return done
