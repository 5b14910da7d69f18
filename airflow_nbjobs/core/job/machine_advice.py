"""
Which machine a task needs, by what several of its runs used.

Called by the pages; pure.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from airflow_nbjobs.core.job.machines import Machine, smaller_than, with_more_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.core.job.metrics import Figures
    from airflow_nbjobs.core.job.prices import Prices

LEAST_RUNS = 5
MOST_RUNS = 20  # of the newest that count
MOST_READ = 40  # of the newest, whatever became of them
_LEAST_POINTS = 2  # of a run's metric: one alone may be of any moment
_LOW_PERCENT = 40  # below this in memory and CPU, a smaller machine does
_FIT_PERCENT = 80  # of the smaller machine, which leaves room for a run that needs more
_IDLE_PERCENT = 5
_FULL_PERCENT = 95


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """
    One job of a task on one type of machine: of a mapped task's run there are several.

    :param figures: by the metric's key, in percent of the machine.
    :param billed_seconds: of all its instances.
    """

    figures: Mapping[str, Figures]
    was_killed: bool = False
    has_completed: bool = True
    billed_seconds: float | None = None

    def maximum(self, key: str) -> float | None:
        found = self.figures.get(key)
        return None if found is None else found.maximum


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """
    What follows for the task's ``instance_type``.

    :param runs: how many runs it rests on.
    :param instance_type: what to take instead, where that is one of the table.
    """

    kind: Literal["too-few", "fits", "mixed", "smaller", "larger", "gpu-unused"]
    text: str
    runs: int
    instance_type: str | None = None


def advise(runs: Sequence[Run], machine: Machine, prices: Prices) -> list[Advice]:
    """
    Return what several runs agree on: one line at least, which may say that there are too few runs, that they do not agree, or that the machine fits.

    A smaller machine is advised where each of the runs stayed below 40 % of memory and CPU (95th percentile) and would fill at most 80 % of it; a larger one where each of
    the newest five was above 95 % of memory or was killed; GPUs are called unused where each run stayed below 5 % of them.

    :param runs: on this machine, newest first. Those without figures of CPU and memory do not count, nor those that failed: a notebook that ends in its first cell
        needs no memory. One that was killed, or had filled the memory, counts however it ended.
    """
    known = [run for run in runs if _counts(run)][:MOST_RUNS]
    if len(known) < LEAST_RUNS:
        text = (
            f"No advice: it takes {LEAST_RUNS} jobs on {machine.instance_type} that completed and whose metrics are known; "
            f"of the task's newest {MOST_READ} there {'is 1' if len(known) == 1 else f'are {len(known)}'}."
        )
        return [Advice(kind="too-few", text=text, runs=len(known))]
    given = [
        each
        for each in (
            _larger(known, machine) or _mixed(known, machine),
            _gpu_unused(known, machine),
            _smaller(known, machine, prices),
        )
        if each
    ]
    return given or [Advice(kind="fits", text=f"{machine.instance_type} fits: {_basis(known)}.", runs=len(known))]


def _counts(run: Run) -> bool:
    has_figures = all(key in run.figures and run.figures[key].count >= _LEAST_POINTS for key in ("cpu", "memory"))
    return run.was_killed or (has_figures and (run.has_completed or (run.maximum("memory") or 0) > _FULL_PERCENT))


def _larger(runs: list[Run], machine: Machine) -> Advice | None:
    newest = runs[:LEAST_RUNS]
    if not all(_was_short(run) for run in newest):
        return None
    larger = with_more_memory(machine)
    what = f"Take {larger.instance_type} ({larger})" if larger else f"Take a type with more memory than {machine}"
    text = f"{what}: of the newest {len(newest)} jobs {_shortage(newest)}."
    return Advice(kind="larger", text=text, runs=len(newest), instance_type=larger.instance_type if larger else None)


def _mixed(runs: list[Run], machine: Machine) -> Advice | None:
    """Return what is said where some runs, but not all of the newest, had too little memory: then nothing fits, and no size is known to."""
    short = [run for run in runs if _was_short(run)]
    if not short:
        return None
    text = (
        f"No advice: of {len(runs)} jobs on {machine.instance_type} {_shortage(short)}; "
        f"more memory is advised where that is so of each of the newest {LEAST_RUNS}."
    )
    return Advice(kind="mixed", text=text, runs=len(runs))


def _was_short(run: Run) -> bool:
    return run.was_killed or (run.maximum("memory") or 0) > _FULL_PERCENT


def _shortage(runs: list[Run]) -> str:
    killed = sum(run.was_killed for run in runs)
    full = sum((run.maximum("memory") or 0) > _FULL_PERCENT for run in runs)
    said = [
        f"{full} filled more than {_FULL_PERCENT} % of the memory" if full else "",
        f"{killed} {'was' if killed == 1 else 'were'} killed, most likely for want of memory" if killed else "",
    ]
    return " and ".join(filter(None, said))


def _gpu_unused(runs: list[Run], machine: Machine) -> Advice | None:
    if not _is_gpu_idle(runs, machine):
        return None
    most = max(run.maximum("gpu") or 0 for run in runs)
    text = (
        f"The GPU was never used: {machine.instance_type} has {machine.gpus}, and none of {len(runs)} jobs used more than {most:.0f} % of it. "
        "A type without GPU may do."
    )
    return Advice(kind="gpu-unused", text=text, runs=len(runs))


def _is_gpu_idle(runs: list[Run], machine: Machine) -> bool:
    used = [run.maximum("gpu") for run in runs]
    return machine.gpus > 0 and all(each is not None and each < _IDLE_PERCENT for each in used)


def _smaller(runs: list[Run], machine: Machine, prices: Prices) -> Advice | None:
    if any(run.was_killed for run in runs):
        return None
    memory = max(run.figures["memory"].maximum for run in runs)
    cpu = max(run.figures["cpu"].p95 for run in runs)
    smaller = smaller_than(machine)
    if smaller is None or memory >= _LOW_PERCENT or cpu >= _LOW_PERCENT:
        return None
    if smaller.gpus < machine.gpus and not _is_gpu_idle(runs, machine):
        return None
    filled = max(memory * machine.memory_gib / smaller.memory_gib, cpu * machine.vcpus / smaller.vcpus)
    if filled > _FIT_PERCENT:
        return None
    now, then = (prices.per_hour.get(each.instance_type) for each in (machine, smaller))
    if now is not None and then is not None and then >= now:
        return None
    text = f"{smaller.instance_type} ({smaller}) is enough: {_basis(runs)}.{_saving(runs, machine, smaller, prices)}"
    return Advice(kind="smaller", text=text, runs=len(runs), instance_type=smaller.instance_type)


def _basis(runs: list[Run]) -> str:
    """Return the figures that a word rests on."""
    memory = [run.figures["memory"].maximum for run in runs]
    cpu = [run.figures["cpu"].p95 for run in runs]
    return f"none of {len(runs)} jobs used more than {max(memory):.0f} % of the memory, or more than {max(cpu):.0f} % of the CPU for 95 % of its time"


def _saving(runs: list[Run], machine: Machine, smaller: Machine, prices: Prices) -> str:
    billed = [run.billed_seconds for run in runs if run.billed_seconds is not None]
    if not billed:
        return ""
    now, then = (prices.cost(each.instance_type, median(billed)) for each in (machine, smaller))
    if now is None or then is None:
        return ""
    return f" A job of {median(billed):.0f} s billed, their median, would cost {then} in place of {now} (list price, if it takes as long)."
