"""Counts instructions instead of time, under callgrind: what repeats within a percent even on a machine that is busy.

It sees the program and not the kernel, and no cache misses: it finds what grows by its nature, not what falls out of a cache."""
import glob
import os
import re

from .processes import run

SECONDS = 5
CONNECTIONS = 8


def prefix(directory):
    """What stands before the command of a process that is to be counted."""
    return ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={directory}/callgrind.%p"]


def count(process, directory, load):
    """Instructions that the process spends while `load()` runs."""
    control = ["callgrind_control", str(process.pid)]
    run(control[:1] + ["--instr=on"] + control[1:])
    run(control[:1] + ["--zero"] + control[1:])
    figures = load()
    run(control[:1] + ["--dump"] + control[1:])
    newest = max(glob.glob(f"{directory}/callgrind.*.*"), key=os.path.getmtime)
    with open(newest) as file:
        figures["instructions"] = int(re.search(r"^(?:summary|totals): (\d+)", file.read(), re.M).group(1))
    os.remove(newest)
    return figures
