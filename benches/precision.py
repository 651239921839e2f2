#!/usr/bin/env python3
"""What int8 costs: perplexity of benches/english.txt and agreement of greedy answers, int8 against f32.

    precision.py --tiltmeter target/release/tiltmeter --model SmolLM2-135M-Instruct.Q4_1.gguf [--text FILE]

Perplexity: each paragraph behind its first sentence, exp of the mean negative log-probability over all tokens scored.
Agreement: the prompts of counterfactual_prompts.py, 32 new tokens each, ending tokens ignored.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile

from counterfactual_prompts import prompts

HERE = pathlib.Path(__file__).parent
parser = argparse.ArgumentParser()
parser.add_argument("--tiltmeter", default="target/release/tiltmeter")
parser.add_argument("--model", required=True)
parser.add_argument("--text", default=str(HERE / "english.txt"))
options = parser.parse_args()


def ask(precision, rows):
    with tempfile.TemporaryDirectory() as folder:
        requests, answers = pathlib.Path(folder, "requests.jsonl"), pathlib.Path(folder, "answers.jsonl")
        requests.write_text("".join(json.dumps({"id": i, **row}) + "\n" for i, row in enumerate(rows)))
        command = [options.tiltmeter, "ask", "--model", options.model, "--precision", precision, "--device", "cpu",
                   "--ignore-eos", "--quiet", str(requests), "-o", str(answers)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        return [json.loads(line) for line in answers.open()]


paragraphs = [p.strip() for p in pathlib.Path(options.text).read_text().split("\n\n") if ". " in p]
split = [(p[: p.index(". ") + 1], p[p.index(". ") + 1 :]) for p in paragraphs]
scored = {p: ask(p, [{"context": c, "continuation": t} for c, t in split]) for p in ("f32", "int8")}
tokens = sum(answer["tokens"] for answer in scored["f32"])
perplexity = {p: math.exp(-sum(a["nats"] for a in answers) / tokens) for p, answers in scored.items()}
change = perplexity["int8"] / perplexity["f32"] - 1
differences = [i - f for a, b in zip(scored["int8"], scored["f32"]) for i, f in zip(a["per_token"], b["per_token"])]
mean = sum(differences) / tokens
error = math.sqrt(sum((d - mean) ** 2 for d in differences) / (tokens - 1) / tokens)
print(f"perplexity over {tokens} tokens: f32 {perplexity['f32']:.4f}, int8 {perplexity['int8']:.4f} "
      f"({change:+.2%}; 95 % interval {math.exp(-mean - 1.96 * error) - 1:+.2%} … {math.exp(-mean + 1.96 * error) - 1:+.2%})")

rows = [{"prompt": prompt, "max_new_tokens": 32} for prompt in prompts()]
made = {p: [a["token_ids"] for a in ask(p, rows)] for p in ("f32", "int8")}
pairs = list(zip(made["f32"], made["int8"]))
same = sum(a == b for a, b in pairs)
first = [next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), len(a)) for a, b in pairs]
print(f"greedy answers: {same} of {len(pairs)} the same over 32 tokens; they part after {sum(first) / len(first):.1f} tokens on average")
