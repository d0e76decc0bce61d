#!/usr/bin/env python3
"""Models transactions that write the sums of one class at the same time, for ADR 37.

    races.py [SHARDS…]

Of two transactions on one item that overlap, DynamoDB cancels the later one. It is repeated after a random pause, as
crates/aws/src/store/spend.rs does. Prints for each number of shards: the transactions that were left to the caller, the
repetitions, and the 50th and the 99th percentile of the time until one is written, in ms.
"""

import heapq
import random
import sys

TRANSACTIONS = 64
TAKES = (10, 20)
MAX_RACES = 6
FIRST_PAUSE = 10
RUNS = 500


def run(shards: int, seed: int) -> tuple[int, int, list[float]]:
    dice = random.Random(seed)
    free_at = [0.0] * shards
    queue = [(0.0, n, 0, dice.randrange(shards)) for n in range(TRANSACTIONS)]
    heapq.heapify(queue)
    left, repeated, written = 0, 0, []
    while queue:
        now, number, races, shard = heapq.heappop(queue)
        takes = dice.uniform(*TAKES)
        if now >= free_at[shard]:
            free_at[shard] = now + takes
            written.append(now + takes)
        elif races == MAX_RACES:
            left += 1
        else:
            repeated += 1
            pause = dice.uniform(0, FIRST_PAUSE * 2 ** (races + 1))
            heapq.heappush(queue, (now + takes + pause, number, races + 1, shard))
    return left, repeated, written


def main(shards: list[int]) -> None:
    for count in shards:
        runs = [run(count, seed) for seed in range(RUNS)]
        times = sorted(time for _, _, written in runs for time in written)
        left, repeated = (sum(run[i] for run in runs) / RUNS for i in (0, 1))
        p50, p99 = (times[int(len(times) * part)] for part in (0.50, 0.99))
        print(f"{count:2} shards: {left:5.2f} left, {repeated:6.1f} repetitions, {p50:5.0f} ms, {p99:5.0f} ms")


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or [1, 2, 4, 8, 16])
