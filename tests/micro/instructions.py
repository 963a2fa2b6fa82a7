#!/usr/bin/env python3
"""Counts the instructions of naru-instructions under callgrind, and compares them with instructions.json.

  instructions.py --program PATH --build TEXT [--output FOLDER] [--reference FILE] [--accept]

Times on a shared machine say little about a few percent; instructions are the same in every run, nearly. They depend
on compiler, libraries and flags too, so the reference names what it was made with, and elsewhere nothing is compared.

Exit codes: 0 as the reference says; 1 not so; 75 not compared, for the reason that is printed. --accept counts three
times and writes the reference. Needs valgrind, and of Python only the standard library.
"""

import argparse
import collections
import glob
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SKIPPED = 75
# By how a figure's name begins; the longest counts. What takes part in appends are several threads, which wait for each
# other now and then, most of all where one append is under way at a time and other work has the processors (15 % were
# seen); the rest is the same to the instruction, until the compiler lays something out in another way.
TOLERANCE_PERCENT = {
    "": 1,
    "append": 4,
    "append small batches one by one": 8,
    "append small batches one by one: naru::Syncer::Commit": 25,
}
# Whose versions the reference notes, for whoever wonders why it does not hold.
PACKAGES = ["libabsl20220623", "libc6", "libisal2", "librocksdb7.8", "libstdc++6", "valgrind"]


class Skip(Exception):
    """Nothing can be compared here."""


class Broken(Exception):
    """The figures could not be had."""


def inclusive_costs(text):
    """{function: instructions of all its calls, with what they call} of a callgrind file."""
    names = {}
    costs = collections.Counter()
    called, is_cost_of_call = None, False
    for line in text.splitlines():
        named = re.match(r"c?fn=\((\d+)\)(?: (.+))?$", line)
        if named:
            # A name is spelt out once, and is its number from there on.
            if named[2]:
                names[named[1]] = named[2]
            if line.startswith("cfn="):
                called = names[named[1]]
        elif line.startswith("calls="):
            is_cost_of_call = True
        elif is_cost_of_call:
            costs[called] += int(line.split()[1])
            is_cost_of_call = False
    return costs


def figures_of_phase(line, costs):
    """({what: instructions for each}) of a phase: its line of naru-instructions, its costs."""
    name, count, unit, *functions = line.split("\t")
    figures = {}
    for function in functions:
        cost = sum(c for f, c in costs.items() if f.startswith(function + "("))
        if cost == 0:
            raise Broken(f"{name}: no call of {function} was seen. Has it another name now, or was it inlined?")
        figures[f"{name}: {function}, per {unit}"] = round(cost / int(count), 1)
    return figures


def file_of_phase(output, name):
    return os.path.join(output, "callgrind." + re.sub(r"\W+", "-", name))


def count(program, output):
    """{what: instructions for each}, in the order of the phases. `output` gets callgrind's file of each phase."""
    os.makedirs(output, exist_ok=True)
    for old in glob.glob(os.path.join(output, "callgrind*")):
        os.remove(old)
    files = os.path.join(output, "callgrind")
    # Threads in turn, not by chance; and nothing of the caller's environment.
    command = ["valgrind", "--tool=callgrind", "--fair-sched=yes", "--zero-before=naru::micro::BeginPhase*",
               "--dump-after=naru::micro::EndPhase*", f"--callgrind-out-file={files}", program]
    environment = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise Broken(f"{' '.join(command)}\nexit code {ran.returncode}\n{ran.stdout}{ran.stderr}")
    figures = {}
    for number, line in enumerate(ran.stdout.splitlines(), 1):
        path = file_of_phase(output, line.split("\t")[0])
        os.rename(f"{files}.{number}", path)
        with open(path, encoding="utf-8") as f:
            figures.update(figures_of_phase(line, inclusive_costs(f.read())))
    return figures


def change_percent(before, after):
    return 100 * (after - before) / before


def allowed_percent(what):
    return TOLERANCE_PERCENT[max((begin for begin in TOLERANCE_PERCENT if what.startswith(begin)), key=len)]


def differences(reference, figures):
    """A line for each figure that is not as the reference says."""
    expected = reference["instructions"]
    found = []
    for what, after in figures.items():
        if what not in expected:
            found.append(f"NEW    {what}: {after}")
            continue
        before = expected[what]
        change = change_percent(before, after)
        if abs(change) > allowed_percent(what):
            found.append(f"{'MORE' if change > 0 else 'FEWER':6} {what}: {before} before, {after} now ({change:+.1f} %)")
    found += [f"GONE   {what}: {before} before" for what, before in expected.items() if what not in figures]
    return found


def nearer(reference, first, second):
    """Of two countings the figures that are nearer to the reference."""
    expected = reference["instructions"]
    return {what: min(first[what], second[what], key=lambda n: abs(n - expected.get(what, n))) for what in first}


def build_here(build):
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    return f"{system.get('ID', 'unknown')} {system.get('VERSION_ID', '')}, {build}"


def package_versions():
    versions = {}
    for package in PACKAGES:
        try:
            asked = subprocess.run(["dpkg-query", "-W", "-f=${Version}", package], capture_output=True, text=True,
                                   check=False)
        except OSError:
            return {}
        if asked.returncode == 0:
            versions[package] = asked.stdout
    return versions


def check_machine():
    if shutil.which("valgrind") is None:
        raise Skip("valgrind is not installed")
    # What valgrind shows of the processor is the same on all that have it; libraries choose their code by that.
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        if not re.search(r"^flags.*\bavx2\b", f.read(), re.M):
            raise Skip("the processor has no AVX2, so libraries run other code than where the reference was made")


def compare(arguments, reference):
    if reference["build"] != build_here(arguments.build):
        raise Skip(f"the reference is of another build\n  reference: {reference['build']}\n"
                   f"  here:      {build_here(arguments.build)}")
    check_machine()
    figures = count(arguments.program, arguments.output)
    if differences(reference, figures):
        # Threads that met at a lock cost a little more; what the code costs is there again.
        figures = nearer(reference, figures, count(arguments.program, arguments.output))
    found = differences(reference, figures)
    for what, after in figures.items():
        before = reference["instructions"].get(what)
        print(f"{after:10} {f'{change_percent(before, after):+.1f} %' if before else 'new':>8}  {what}")
    if not found:
        print("instructions: as the reference says")
        return 0
    print("\nNot as the reference says:\n  " + "\n  ".join(found))
    versions = package_versions()
    for package, version in reference["packages"].items():
        if versions.get(package) != version:
            print(f"  the reference was made with {package} {version}; here is {versions.get(package, 'none')}")
    print(f"What costs how much: callgrind_annotate --inclusive=yes {file_of_phase(arguments.output, 'PHASE')}\n"
          "If it must be so: ./dev instructions --accept, and commit "
          f"{os.path.relpath(arguments.reference, ROOT)} with the reason.")
    return 1


def accept(arguments):
    check_machine()
    counted = [count(arguments.program, arguments.output) for _ in range(3)]
    reference = {
        "build": build_here(arguments.build),
        "packages": package_versions(),
        "instructions": {what: statistics.median(c[what] for c in counted) for what in counted[0]},
    }
    with open(arguments.reference, "w", encoding="utf-8") as f:
        json.dump(reference, f, indent=2)
        f.write("\n")
    print(f"written: {os.path.relpath(arguments.reference, ROOT)}")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--build", required=True, help="compiler, its version, processor and flags")
    parser.add_argument("--output", default="instructions", help="folder for callgrind's files")
    parser.add_argument("--reference", default=os.path.join(HERE, "instructions.json"))
    parser.add_argument("--accept", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.accept:
            return accept(arguments)
        with open(arguments.reference, encoding="utf-8") as f:
            return compare(arguments, json.load(f))
    except Skip as reason:
        print(f"instructions are not compared: {reason}")
        return SKIPPED
    except Broken as reason:
        print(f"instructions: {reason}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
