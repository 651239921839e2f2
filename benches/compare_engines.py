#!/usr/bin/env python3
"""Times tiltmeter against transformers and llama.cpp on one job, in turn, and prints ratios of medians.

    compare_engines.py --tiltmeter target/release/tiltmeter --model SmolLM2-135M-Instruct.Q4_1.gguf [--reps 3] [--only generate,single,score,load,size]

Run it with a Python that has torch, transformers, gguf, numpy and llama-cpp-python (docs/performance.md has the commands).
Every engine runs as a process of its own, once a round; seconds exclude start and load.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from counterfactual_prompts import many, pairs, prompts

HERE = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("--tiltmeter", default="target/release/tiltmeter")
parser.add_argument("--model", required=True)
parser.add_argument("--reps", type=int, default=3)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--only", default="generate,single,score,load,size")
parser.add_argument("--without", default="", help="engines to leave out, by a part of their names, with commas between")
options = parser.parse_args()
work = pathlib.Path(tempfile.mkdtemp())
threads = ["--threads", str(options.threads)]


def requests(name, rows):
    path = work / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"id": i, **row}) + "\n" for i, row in enumerate(rows)))
    return str(path)


def tiltmeter(precision, file):
    return [options.tiltmeter, "ask", "--model", options.model, "--precision", precision, "--ignore-eos", "--quiet",
            "--device", "cpu", *threads, file, "-o", str(work / "answers.jsonl")]


def python(script, *rest):
    return [sys.executable, str(HERE / script), *rest, *threads]


def llama(task, model, *rest):
    return python("peer_llama_cpp.py", task, str(model), *rest)


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("{") and '"seconds"' in line]
    if not lines:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(lines[-1])


def compare(title, unit, engines, base):
    engines = [(name, command) for name, command in engines if not any(o and o in name for o in options.without.split(","))]
    found = {name: [] for name, _ in engines}
    for _ in range(options.reps):
        for name, command in engines:
            found[name].append(run(command)[unit])
    names = [name for name, _ in engines]
    divisor = statistics.median(found[base]) if base in found else None
    print(f"\n{title} ({options.reps} rounds)\n\n| engine | {unit}, median [range] | ratio to {base} |\n|---|---|---|")
    for name in names:
        values = sorted(found[name])
        median = statistics.median(values)
        ratio = f"{median / divisor:.2f}" if divisor else "–"
        print(f"| {name} | {median:.1f} [{values[0]:.1f}–{values[-1]:.1f}] | {ratio} |", flush=True)


variants = {"Q4_1": options.model}
for kind in ("F16", "Q8_0", "Q4_0"):
    if not any(o and o in f"llama.cpp {kind}" for o in options.without.split(",")):
        variants[kind] = work / f"{kind}.gguf"
        subprocess.run(llama("requantise", options.model, kind, str(variants[kind])), check=True)

jobs = options.only.split(",")
if "generate" in jobs:
    file = requests("generate", [{"prompt": p, "max_new_tokens": 32} for p in prompts(128)])
    compare("128 prompts × 32 new tokens", "new_tok_per_s", [
        ("transformers f32, batch 32", python("peer_transformers.py", options.model)),
        ("tiltmeter f32", tiltmeter("f32", file)),
        ("tiltmeter int8", tiltmeter("int8", file)),
        *[(f"llama.cpp {kind}, batch 32, shared prefixes", llama("generate", path, "--share")) for kind, path in variants.items()],
    ], "transformers f32, batch 32")
if "single" in jobs:
    file = requests("single", [{"prompt": prompts(1)[0], "max_new_tokens": 96}])
    one = ["--prompts", "1", "--batch", "1", "--new-tokens", "96"]
    compare("One stream, 96 new tokens", "new_tok_per_s", [
        *[(f"llama.cpp {kind}", llama("generate", variants[kind], *one)) for kind in ("Q8_0", "Q4_0") if kind in variants],
        ("tiltmeter int8", tiltmeter("int8", file)),
        ("tiltmeter f32", tiltmeter("f32", file)),
    ], "llama.cpp Q8_0")
if "score" in jobs:
    file = requests("score", [{"context": p, "continuation": c} for p, c in pairs(600)])
    compare("Two continuations of 600 prompts, seconds (less is better)", "seconds", [
        ("tiltmeter int8", tiltmeter("int8", file)),
        ("tiltmeter f32", tiltmeter("f32", file)),
        *[(f"llama.cpp {kind}, nothing shared", llama("score", path, "--prompts", "600")) for kind, path in variants.items()],
    ], "tiltmeter int8")
if "load" in jobs:
    file = requests("load", [{"prompt": "The", "max_new_tokens": 1}])
    size = os.path.getsize(options.model)
    print("\nLoad\n\n| precision | load_s, median | peak memory of a one-token run, MB | × file |\n|---|---|---|---|")
    for precision in ("f32", "int8"):
        loads, peak = [], 0
        for _ in range(options.reps):
            loads.append(run(tiltmeter(precision, file))["load_s"])
            timed = subprocess.run(["/usr/bin/env", "python3", "-c", "import resource,subprocess,sys;"
                "subprocess.run(sys.argv[1:],capture_output=True);print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss*1024)",
                *tiltmeter(precision, file)], capture_output=True, text=True)
            peak = max(peak, int(timed.stdout))
        print(f"| {precision} | {statistics.median(loads):.2f} | {peak / 1e6:.0f} | {peak / size:.2f} |")
if "size" in jobs:
    print("\nSize of a suite, 4 new tokens, int8\n\n| prompts | seconds | prompts/s |\n|---|---|---|")
    for count in (128, 1280, 12800):
        file = requests("size", [{"prompt": p, "max_new_tokens": 4} for p in many(count)])
        seconds = statistics.median(run(tiltmeter("int8", file))["seconds"] for _ in range(1 if count > 1280 else options.reps))
        print(f"| {count} | {seconds:.1f} | {count / seconds:.0f} |", flush=True)
