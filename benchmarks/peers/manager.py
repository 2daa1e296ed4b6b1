#!/usr/bin/env python3
"""The dictionary of Python's multiprocessing.Manager: the server process, and the processes that measure it.

usage: manager.py SOCKET serve
       manager.py SOCKET measure ITEMS KEY_SIZE VALUE_SIZE WORKER

Both say "ready" first. The measuring one then reads lines, ROW SECONDS WRITES, and answers each with the number of operations, the
seconds that they took, and how many results were wrong. It ends with its standard input.
"""
import random
import sys
from multiprocessing.managers import DictProxy, SyncManager
from time import perf_counter

CHUNK = 20  # operations between two looks at the clock
KEY_OF_SERVER = b"peers_bench"  # the socket lies in a directory that only its owner may enter

contents: dict[str, str] = {}


class Manager(SyncManager):
    pass


# What Manager().dict() gives, but always the same one, so that processes that aren't relatives can have it.
Manager.register("contents", callable=lambda: contents, proxytype=DictProxy)


class Measurer:
    def __init__(self, shared: DictProxy, items: int, key_size: int, value_size: int, worker: int) -> None:
        draw = random.Random(1)
        letters = "abcdefghijklmnopqrstuvwxyz"
        keys = ["".join(draw.choices(letters, k=key_size - 1)) for _ in range(items)]
        self.shared = shared
        self.value_size = value_size
        self.all = {key + "+": (letters[i % 26] + "1" * value_size)[:value_size] for i, key in enumerate(keys)}
        draw = random.Random(100 + worker)
        self.pairs = list(self.all.items())
        draw.shuffle(self.pairs)
        self.missing = [key[:-1] + "-" for key, _ in self.pairs]
        self.dice = [draw.randrange(100) for _ in keys]
        self.writes = 0
        self.wrong = 0
        if len(shared) != items:
            shared.update(self.all)

    def insert(self, i: int) -> None:
        key, value = self.pairs[i]
        self.shared[key] = value

    write = insert

    def read(self, i: int) -> None:
        key, value = self.pairs[i]
        found = self.shared[key]
        self.wrong += len(found) != self.value_size or found[0] != value[0]

    def mixed(self, i: int) -> None:
        if self.dice[i] < self.writes:
            self.write(i)
        else:
            self.read(i)

    def erase_insert(self, i: int) -> None:
        key, value = self.pairs[i]
        del self.shared[key]
        self.shared[key] = value

    def miss(self, i: int) -> None:
        self.wrong += self.missing[i] in self.shared

    def run(self, row: str, seconds: float, writes: int) -> tuple[int, float, int]:
        self.writes, self.wrong = writes, 0
        operation = getattr(self, row)
        count = len(self.pairs)
        if row == "insert":
            self.shared.clear()
        operations = 0
        start = now = perf_counter()
        while now - start < seconds and (row != "insert" or operations < count):
            for i in range(operations, operations + CHUNK):
                operation(i % count)
            operations += CHUNK
            now = perf_counter()
        if row == "insert":
            self.wrong += len(self.shared) != min(operations, count)
            self.shared.update(self.all)
        self.wrong += len(self.shared) != count
        return operations, now - start, self.wrong


def main() -> None:
    path, task, *numbers = sys.argv[1:]
    manager = Manager(address=path, authkey=KEY_OF_SERVER)
    if task == "serve":
        server = manager.get_server()
        print("ready", flush=True)
        server.serve_forever()
    manager.connect()
    measurer = Measurer(manager.contents(), *map(int, numbers))
    print("ready", flush=True)
    for line in sys.stdin:
        row, seconds, writes = line.split()
        print(*measurer.run(row, float(seconds), int(writes)), flush=True)


if __name__ == "__main__":
    main()
