#!/usr/bin/env python3
"""Times tiltmeter and PyTorch in turn on 1,000 texts of about 40 tokens, and prints the table of docs/performance.md.

    peers/bin/python benches/compare_encoders.py --model FOLDER [--rounds 3]

FOLDER is a sentence encoder (the default of `tiltmeter model fetch minilm-l6`) or, with --classifier, a classifier. Builds
the bench once. Needs a quiet machine.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("--model", required=True)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--classifier", action="store_true")
options = parser.parse_args()


def run(*command):
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().splitlines()
    return json.loads(lines[-1])


build = ["cargo", "bench", "--bench", "encoder", "--no-run", "--message-format", "json"]
messages = subprocess.run(build, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout.splitlines()
bench = [m["executable"] for m in map(json.loads, messages) if m.get("executable") and m["target"]["name"] == "encoder"][-1]

with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as texts:
    texts.write(subprocess.run([sys.executable, HERE / "encoder_texts.py"], check=True, capture_output=True, text=True).stdout)
    texts.flush()
    rates = {}
    for _ in range(options.rounds):
        peer = [sys.executable, HERE / "peer_encoder.py", options.model, texts.name]
        for command in (
            peer + (["--classifier"] if options.classifier else []),
            [bench, options.model, texts.name, "--repeats", "3"],
            [bench, options.model, texts.name, "--repeats", "3", "--precision", "int8"],
        ):
            result = run(*command)
            rates.setdefault(result["engine"], []).append(result["texts_per_s"])

base = statistics.median(rates["torch f32"])
print("| engine | texts/s | ratio to torch |\n|---|---|---|")
for engine, values in rates.items():
    middle = statistics.median(values)
    print(f"| {engine} | {middle:.0f} [{min(values):.0f}–{max(values):.0f}] | {middle / base:.2f} |")
