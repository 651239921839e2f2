"""Times `tiltmeter analyze` on a million records, and pandas with numpy on the same file for a part of the same work.

    python3 benches/analyze_million.py target/release/tiltmeter [--rounds 3]

Records: 4 groups x 2,500 clusters (50 templates x 50 contexts) x 10 names x 10 scorers, as in the requirement. The peer reads the file,
averages cells, and for each scorer and group does the sign-flip test (9,999 flips) and the bootstrap-t interval (9,999 resamples of
clusters), vectorised: what somebody would write who knows which statistics to want. It has no names as a random factor, no Holm, no
omnibus, no noise floor. Needs numpy and pandas.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time

PEER = r"""
import sys, numpy as np, pandas as pd
records = pd.read_csv(sys.argv[1])
cells = records.groupby(["scorer", "template", "context", "group", "term"], sort=True)["score"].mean()
cells = cells.groupby(level=[0, 1, 2, 3]).mean().unstack()
random = np.random.default_rng(0)
for scorer, table in cells.groupby(level=0):
    for group in [name for name in table.columns if name != "a"]:
        d = (table[group] - table["a"]).to_numpy()
        n, gap = len(d), d.mean()
        reached, ratios = 0, []
        for _ in range(99):
            flips = random.integers(0, 2, (101, n)) * 2 - 1
            reached += (np.abs(flips @ d) >= abs(d.sum()) * (1 - 1e-12)).sum()
            drawn = d[random.integers(0, n, (101, n))]
            ratios.append(np.abs(drawn.mean(1) - gap) / (drawn.std(1, ddof=1) / n**0.5))
        q = np.quantile(np.concatenate(ratios), 0.95)
        half = q * d.std(ddof=1) / n**0.5
        print(scorer, group, gap, gap - half, gap + half, (reached + 1) / 10000)
"""


def write(path):
    import numpy as np

    random = np.random.default_rng(1)
    with open(path, "w") as out:
        out.write("suite,model,template,context,axis,group,term,sample,scorer,score\n")
        for template in range(50):
            for context in range(50):
                base = random.uniform(0.3, 0.5, 10)
                for g, group in enumerate("abcd"):
                    scores = np.clip(base + 0.01 * g + random.normal(0, 0.1, (10, 10)), 0, 1)
                    for name in range(10):
                        for scorer in range(10):
                            out.write(
                                f"s,m,t{template},c{context},axis,{group},{group}{name},0,score{scorer},{scores[name, scorer]:.6f}\n"
                            )


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def peak(command):
    """Peak memory of one command in MiB, measured in a process of its own."""
    code = (
        "import resource,subprocess,sys;subprocess.run(sys.argv[1:],check=True,stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss//1024)"
    )
    return int(subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiltmeter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-peer", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "records.csv")
        write(path)
        ours = [args.tiltmeter, "analyze", path, "-o", os.path.join(folder, "out"), "--reference", "a", "--quiet", "--format", "csv"]
        peer = [sys.executable, "-c", PEER, path]
        commands = {"tiltmeter": ours} | ({} if args.no_peer else {"pandas + numpy": peer})
        times = {name: [] for name in commands}
        for _ in range(args.rounds):
            for name, command in commands.items():
                times[name].append(timed(command))
        for name, command in commands.items():
            ordered = sorted(times[name])
            middle = ordered[len(ordered) // 2]
            print(f"{name}: {middle:.1f} s [{ordered[0]:.1f}-{ordered[-1]:.1f}], {peak(command)} MiB")


if __name__ == "__main__":
    main()
