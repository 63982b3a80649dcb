"""Interleaved runs, and the tables that are printed."""
import json
import statistics
import sys

#: A reference that varies by more than this says that the machine was busy with something else.
NOISY = 0.10


class Results:
    """All runs of all scenarios, for `--json`."""

    def __init__(self):
        self.runs = []
        self.about = {}

    def write(self, file):
        with open(file, "w") as output:
            json.dump({"about": self.about, "runs": self.runs}, output, indent=1)


def interleave(results, scenario, subjects, measure, reps):
    """A B C A B C: whatever the machine does meanwhile, it does to all. Returns the runs of each subject, by name."""
    runs = {subject.name: [] for subject in subjects}
    for rep in range(reps):
        for subject in subjects:
            figures = measure(subject)
            runs[subject.name].append(figures)
            results.runs.append({"scenario": scenario, "name": subject.name, "rep": rep, **figures})
            complain(scenario, subject.name, figures)
    return runs


def complain(scenario, name, figures):
    bad, errors = figures.get("bad", 0), figures.get("errors", 0)
    if bad or errors:
        print(f"! {scenario}, {name}: {bad} unexpected statuses and {errors} errors in {figures['requests']} requests",
              file=sys.stderr, flush=True)


def median(runs, key):
    values = [run[key] for run in runs if key in run]
    return statistics.median(values) if values else None


def show(title, runs, key, unit, reference=None, more=(), limit=None):
    """Prints medians of `key`, with minimum and maximum and the ratio to the reference. `more` are further columns, as (heading,
    key, format). `limit` maps names to the greatest ratio that is wanted."""
    base = median(runs[reference], key) if reference in runs else None
    print(f"\n{title}")
    print(f"{'':34} {unit:>10} {'min - max':>17} {'ratio':>7} " + " ".join(f"{heading:>9}" for heading, _, _ in more))
    for name, own in runs.items():
        values = [run[key] for run in own]
        middle = statistics.median(values)
        ratio = f"{middle / base:.3f}" if base else ""
        wanted = (limit or {}).get(name)
        verdict = "" if not wanted or not base else f"  wanted: {wanted}" + ("" if middle / base <= wanted else " MISSED")
        columns = " ".join(f"{cell(own, key_, form):>9}" for _, key_, form in more)
        spread = f"{min(values):.2f} - {max(values):.2f}"
        print(f"{name:34} {middle:10.2f} {spread:>17} {ratio:>7} {columns}{verdict}")
    if base and (max(run[key] for run in runs[reference]) - min(run[key] for run in runs[reference])) / base > NOISY:
        print(f"noisy: {reference} varied by more than {NOISY:.0%} in this run; do not quote it")
    sys.stdout.flush()


def against(runs, key, reference, limits):
    """One line for each ratio to a second reference that is wanted."""
    base = median(runs[reference], key)
    for name, wanted in limits.items():
        ratio = median(runs[name], key) / base
        print(f"{name}: {ratio:.3f} x {reference}  wanted: {wanted}" + ("" if ratio <= wanted else " MISSED"), flush=True)


def cell(runs, key, form):
    value = median(runs, key)
    return "" if value is None else form.format(value)
