"""Times the expansion of a suite of a million cases, and its lint.

    cargo build --release && python3 benches/expand_million.py
"""

import os
import resource
import subprocess
import tempfile
import time

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "target", "release", "tiltmeter")


def suite():
    def names(stem):
        return "\n".join(f"        - {{ name: {stem}{i}, they: {stem.lower()} }}" for i in range(8))

    return f"""suite: million
version: 1
description: A million cases, to be timed
source: benches/expand_million.py
license: CC0-1.0
axes:
  gender:
    reference: man
    groups:
      woman:
{names("She")}
      man:
{names("He")}
factors:
  job: {[f"job {i}" for i in range(250)]}
  place: {[f"place {i}" for i in range(250)]}
templates:
  letter: "Praise {{{{ job | a }}}} in {{{{ place }}}}: {{{{ gender.name }}}}, as {{{{ gender.they }}}} {{{{ gender.they | verb('has', 'have') }}}} come."
probes: [generate]
scorers: [sentiment]
outcomes: [{{ score: sentiment, margin: 0.05, why: a bench }}]
"""


def timed(*arguments):
    began = time.monotonic()
    subprocess.run([PROGRAM, *arguments], stdout=subprocess.DEVNULL, check=True)
    seconds = time.monotonic() - began
    # Of all children so far; the largest of them is what is asked for.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{' '.join(arguments[:1] + arguments[2:]):24} {seconds:5.1f} s  {peak:5.0f} MB at most so far")


with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "million.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(suite())
    timed("expand", path, "--format", "csv")
    timed("expand", path, "--format", "jsonl")
    timed("check", path)
