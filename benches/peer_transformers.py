#!/usr/bin/env python3
"""Hugging Face transformers on the prompts of counterfactual_prompts.py, as users batch it: left-padded, static batches.

    peer_transformers.py MODEL.gguf --batch 32 --prompts 128 --new-tokens 32

The GGUF file's weights are dequantised, so that all engines run the same ones. Prints one JSON line. Needs torch,
transformers and gguf.
"""
import argparse
import json
import os
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from counterfactual_prompts import prompts

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--prompts", type=int, default=128)
parser.add_argument("--new-tokens", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
options = parser.parse_args()

torch.set_num_threads(options.threads)
folder, file = os.path.split(os.path.abspath(options.model))
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, padding_side="left")
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()


@torch.inference_mode()
def answer(texts):
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    limits = {"max_new_tokens": options.new_tokens, "min_new_tokens": options.new_tokens}
    out = model.generate(**batch, **limits, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    return out.shape[0] * (out.shape[1] - batch["input_ids"].shape[1])


texts = prompts(options.prompts)
answer(texts[:2])
begun = time.perf_counter()
new = sum(answer(texts[at : at + options.batch]) for at in range(0, len(texts), options.batch))
seconds = time.perf_counter() - begun
print(json.dumps({"engine": "transformers f32", "seconds": round(seconds, 3), "new_tokens": new, "new_tok_per_s": round(new / seconds, 1)}))
