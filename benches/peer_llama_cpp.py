#!/usr/bin/env python3
"""llama.cpp on the prompts of counterfactual_prompts.py, at its best: continuous batching, shared prefixes copied.

    peer_llama_cpp.py generate MODEL.gguf --batch 32 --prompts 128 --new-tokens 32 [--share]
    peer_llama_cpp.py score    MODEL.gguf --prompts 600
    peer_llama_cpp.py requantise MODEL.gguf FORMAT OUT.gguf        (F16, Q8_0, Q4_0)

`generate` is greedy and ignores ending tokens. `score` sums the log-probabilities of two continuations behind each
prompt, sequence by sequence, as a program does that shares nothing. Prints one JSON line. Needs llama-cpp-python, built
on this machine (CMAKE_ARGS=-DGGML_NATIVE=ON) for its best.
"""
import argparse
import ctypes
import json
import time

import llama_cpp as lib
import numpy as np

from counterfactual_prompts import pairs, prompts

parser = argparse.ArgumentParser()
parser.add_argument("task", choices=["generate", "score", "requantise"])
parser.add_argument("model")
parser.add_argument("rest", nargs="*")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--prompts", type=int, default=128)
parser.add_argument("--new-tokens", type=int, default=32)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--share", action="store_true")
options = parser.parse_args()


@lib.llama_log_callback
def silent(level, text, data):
    pass


lib.llama_log_set(silent, ctypes.c_void_p(0))
lib.llama_backend_init()

if options.task == "requantise":
    kind, out = options.rest
    params = lib.llama_model_quantize_default_params()
    params.ftype = {"F16": lib.LLAMA_FTYPE_MOSTLY_F16, "Q8_0": lib.LLAMA_FTYPE_MOSTLY_Q8_0, "Q4_0": lib.LLAMA_FTYPE_MOSTLY_Q4_0}[kind]
    params.allow_requantize, params.nthread = True, options.threads
    assert lib.llama_model_quantize(options.model.encode(), out.encode(), ctypes.byref(params)) == 0
    raise SystemExit

STEP = 2048
begun = time.perf_counter()
model = lib.llama_model_load_from_file(options.model.encode(), lib.llama_model_default_params())
vocab = lib.llama_model_get_vocab(model)
words = lib.llama_vocab_n_tokens(vocab)
params = lib.llama_context_default_params()
params.n_seq_max = options.batch + 1
params.n_ctx = 160 * params.n_seq_max
params.n_batch, params.n_ubatch = STEP, 512
params.n_threads = params.n_threads_batch = options.threads
params.kv_unified = True
context = lib.llama_init_from_model(model, params)
memory = lib.llama_get_memory(context)
load = time.perf_counter() - begun
batch = lib.llama_batch_init(STEP, 0, 1)


def encode(text):
    raw = text.encode()
    ids = (lib.llama_token * (len(raw) + 8))()
    return list(ids[: lib.llama_tokenize(vocab, raw, len(raw), ids, len(ids), False, True)])


def decode(rows):
    """rows: (token, position, sequence, logits wanted)"""
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
        batch.seq_id[i][0] = sequence
    batch.n_tokens = len(rows)
    assert lib.llama_decode(context, batch) == 0


def logits(row):
    return np.ctypeslib.as_array(lib.llama_get_logits_ith(context, row), (words,))


def shared(a, b):
    n = 0
    while n < min(len(a), len(b)) - 1 and a[n] == b[n]:
        n += 1
    return n


def generate():
    ids = [encode(text) for text in prompts(options.prompts)]
    waiting, free, live, made = list(range(len(ids)))[::-1], list(range(options.batch)), {}, [[] for _ in ids]
    root, base = [], options.batch  # tokens that the extra sequence holds for copying
    while waiting or live:
        rows = [(token, position, slot, 1) for slot, (_, position, token) in live.items()]
        slots = list(live)
        while waiting and free:
            prompt, start = ids[waiting[-1]], 0
            if options.share:
                start = shared(root, prompt)
                if start < 8 and len(waiting) > 1 and (common := shared(prompt, ids[waiting[-2]])) >= 8:
                    lib.llama_memory_seq_rm(memory, base, -1, -1)
                    decode([(prompt[i], i, base, 0) for i in range(common)])
                    root, start = prompt[:common], common
                start = start if start >= 8 else 0
            if len(rows) + len(prompt) - start > STEP:
                break
            job, slot = waiting.pop(), free.pop()
            lib.llama_memory_seq_rm(memory, slot, -1, -1)
            if start:
                lib.llama_memory_seq_cp(memory, base, slot, 0, start)
            rows += [(prompt[i], i, slot, i == len(prompt) - 1) for i in range(start, len(prompt))]
            slots.append(slot)
            live[slot] = (job, len(prompt) - 1, -1)
        decode(rows)
        wanted = [i for i, row in enumerate(rows) if row[3]]
        for slot, row in zip(slots, wanted):
            job, position, _ = live[slot]
            token = int(logits(row).argmax())
            made[job].append(token)
            live[slot] = (job, position + 1, token)
            if len(made[job]) == options.new_tokens:
                del live[slot]
                free.append(slot)
    return sum(map(len, made))


def score():
    jobs, total = [], 0.0
    for prompt, continuation in pairs(options.prompts):
        whole = encode(prompt + continuation)
        jobs.append((whole[:-1], len(encode(prompt)) - 1, whole))
    while jobs:
        rows, asked = [], []
        while jobs and len(asked) < options.batch and len(rows) + len(jobs[-1][0]) <= STEP:
            tokens, start, whole = jobs.pop()
            asked += [(len(rows) + i, whole[i + 1]) for i in range(start, len(tokens))]
            sequence = len({row[2] for row in rows})
            rows += [(token, i, sequence, i >= start) for i, token in enumerate(tokens)]
            if len({row[2] for row in rows}) == options.batch:
                break
        lib.llama_memory_clear(memory, True)
        decode(rows)
        for row, target in asked:
            values = logits(row).astype(np.float64)
            top = values.max()
            total += values[target] - top - np.log(np.exp(values - top).sum())
    return total


decode([(7, i, 0, i == 15) for i in range(16)])
lib.llama_memory_clear(memory, True)
begun = time.perf_counter()
result = {"engine": "llama.cpp", "load_s": round(load, 2)}
if options.task == "generate":
    new = generate()
    seconds = time.perf_counter() - begun
    result |= {"new_tokens": new, "new_tok_per_s": round(new / seconds, 1)}
else:
    result["nats"] = round(score(), 3)
    seconds = time.perf_counter() - begun
    result["prompts_per_s"] = round(options.prompts / seconds, 2)
print(json.dumps(result | {"seconds": round(seconds, 3)}))
