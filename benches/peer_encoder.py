#!/usr/bin/env python3
"""PyTorch on the texts of encoder_texts.py, as users run it: sorted by length, padded batches.

    peer_encoder.py MODEL_FOLDER TEXTS --batch 32

MODEL_FOLDER holds a BERT encoder, or a classifier of any family (--classifier). Tokenising is included, loading is not.
Prints one JSON line. Needs torch and transformers.
"""
import argparse
import json
import time

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("texts")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--repeats", type=int, default=3)
parser.add_argument("--classifier", action="store_true")
options = parser.parse_args()

torch.set_num_threads(options.threads)
tokenizer = AutoTokenizer.from_pretrained(options.model)
kind = AutoModelForSequenceClassification if options.classifier else AutoModel
model = kind.from_pretrained(options.model, dtype=torch.float32).eval()
texts = [json.loads(line) for line in open(options.texts)]
pad = tokenizer.pad_token_id or 0


@torch.inference_mode()
def seconds(texts):
    start = time.perf_counter()
    ids = tokenizer(texts, truncation=True)["input_ids"]
    order = sorted(range(len(texts)), key=lambda i: len(ids[i]))
    for first in range(0, len(texts), options.batch):
        batch = [ids[i] for i in order[first:first + options.batch]]
        width = max(map(len, batch))
        tokens = torch.tensor([row + [pad] * (width - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in batch])
        out = model(input_ids=tokens, attention_mask=mask)
        if not options.classifier:
            weights = mask.unsqueeze(-1).float()
            pooled = (out.last_hidden_state * weights).sum(1) / weights.sum(1)
            torch.nn.functional.normalize(pooled, dim=1)
    return time.perf_counter() - start


seconds(texts[:64])
rates = sorted(len(texts) / seconds(texts) for _ in range(options.repeats))
print(json.dumps({
    "engine": "torch f32",
    "texts": len(texts),
    "texts_per_s": round(rates[len(rates) // 2], 1),
    "range": [round(rates[0], 1), round(rates[-1], 1)],
}))
