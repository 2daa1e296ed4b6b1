#!/usr/bin/env python3
"""Breaks one step of the protocols at a time and shows which test finds out.

  tests/mutants.py [--list] [--jobs N] [--critical] [NAME...]

Each mutant is a change of one place in the headers. A copy of them gets it, the tests that are named beside it are compiled against the
copy, and at least one of them must fail, crash, or not come to an end. The same tests pass against the headers as they are: that is
tried as well, except with --critical, which takes twenty that are found out quickly and leaves that to the tests themselves. Ends with 1
if a mutant survives. A test that ptrace isn't permitted for judges nothing, and says so.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
DETAIL = "shared_dict/detail/"
# Compiling takes most of the time, and clang without optimisation a third of what g++ takes.
COMPILER = shutil.which("clang++") or "g++"
FLAGS = ["-std=c++20", "-D_GLIBCXX_ASSERTIONS", "-w"]
UNJUDGED = "not judged: ptrace isn't permitted"
ATTEMPTS = 10
SECONDS = 300  # for one test program: far more than it takes when nothing is broken
STEPS = "steps/"  # these run beside each other
OPTIMISED = (STEPS, "processes/")  # where each instruction takes a while, or a store is to wait behind the load that follows it
# What a test program consists of beside the file of the test and the main program.
PARTS = {
    "steps/every_step_test.cpp": ("steps/changes.cpp",),
    "steps/second_death_test.cpp": ("steps/changes.cpp",),
    "steps/every_step_lifecycle_test.cpp": ("steps/lives.cpp",),
}


class Mutant:
    """`also`: another place of the same file, for a step that something else would make up for. `critical`: one of the twenty that are tried
    on every change."""

    def __init__(self, name, file, old, new, *tests, also=None, critical=False):
        self.name, self.file, self.tests, self.critical = name, DETAIL + file, tests, critical
        self.places = [(old, new)] + ([also] if also else [])


# name, file, what stands there, what stands there instead, tests: "file" or "file|name of the test case"
MUTANTS = [
    # ---- reading
    Mutant("a value is believed without validation", "operations/lookup.hpp",
           "  return still_valid(approach.view, *approach.bucket, approach.version);",
           "  return true;",
           "processes/torn_read_test.cpp",
           critical=True),
    Mutant("a key that compares unequal is believed without validation", "operations/lookup.hpp",
           "          if (still_valid(view, bucket, version)) continue;\n          again = true;\n          break;",
           "          continue;",
           "processes/alike_keys_test.cpp"),
    Mutant("a miss is believed although the epoch stepped", "operations/lookup.hpp",
           "  return view.shard->epoch.load(std::memory_order_relaxed) == view.epoch;",
           "  return view.shard != nullptr;",
           "processes/alike_keys_test.cpp"),
    Mutant("a clear is overlooked by readers", "operations/lookup.hpp",
           "  if (generation != segment.header().clear_generation.load(std::memory_order_acquire)) return view;",
           "  static_cast<void>(generation);",
           "unit/mutation_test.cpp|a clear is one step*"),
    # ---- writing
    Mutant("the version doesn't step", "mechanisms/slot_table.hpp",
           "    version.exchange(next_version, std::memory_order_seq_cst);",
           "    static_cast<void>(next_version);",
           "processes/torn_read_test.cpp",
           critical=True),
    Mutant("the version's step is a plain store", "mechanisms/slot_table.hpp",
           "    version.exchange(next_version, std::memory_order_seq_cst);",
           "    version.store(next_version, std::memory_order_release);",
           "processes/view_rounds_test.cpp|no word*"),
    Mutant("an insertion is a plain store", "mechanisms/slot_table.hpp",
           "    buckets_[at.bucket].slots[at.slot].exchange(word.bits(), std::memory_order_seq_cst);",
           "    buckets_[at.bucket].slots[at.slot].store(word.bits(), std::memory_order_release);",
           "processes/linearizable_test.cpp"),
    Mutant("a block is freed before the slot leads elsewhere", "operations/locked_shard.hpp",
           "    slots.store(found.at, SlotWord(offset, hash_tag(key.hash)));\n    finish_replacement(slots, found, value_bytes);",
           "    finish_replacement(slots, found, value_bytes);\n    slots.store(found.at, SlotWord(offset, hash_tag(key.hash)));",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("an overwritten block is kept before the slot leads elsewhere", "operations/overwriting.hpp",
           "  exchange_entry(segment, place, change, shape.sizes);\n  if (is_pinned",
           "  place.keep(old, shape.bytes);\n  exchange_entry(segment, place, change, shape.sizes);\n  if (is_pinned",
           "steps/every_step_test.cpp|*of words*"),
    Mutant("pins are overlooked when a value is overwritten", "operations/overwriting.hpp",
           "  if (is_pinned(segment, old)) [[unlikely]] {",
           "  if (old == 1) [[unlikely]] {",
           "steps/every_step_test.cpp|*of words*"),
    Mutant("a slot leads to an entry that isn't complete", "operations/locked_shard.hpp",
           "    const bool reused = slots.word(place.at).is_erased();\n    count_insertions(1);\n"
           "    slots.publish(place.at, SlotWord(offset, hash_tag(key.hash)));",
           "    const bool reused = slots.word(place.at).is_erased();\n    count_insertions(1);\n"
           "    const std::uint64_t sizes = load_word(segment_.at(offset));\n    store_word(segment_.at(offset), 0);\n"
           "    slots.publish(place.at, SlotWord(offset, hash_tag(key.hash)));\n    store_word(segment_.at(offset), sizes);",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("a new item's slot leads to an entry that isn't complete", "operations/inserting.hpp",
           "  slots.publish(*at, SlotWord(next.offset, hash_tag(key.hash)));",
           "  store_word(segment.at(next.offset), 0);\n"
           "  slots.publish(*at, SlotWord(next.offset, hash_tag(key.hash)));\n  store_word(segment.at(next.offset), shape.sizes.bits());",
           "steps/every_step_test.cpp|*of words*"),
    Mutant("the limits are overlooked when an item is added", "operations/inserting.hpp",
           "  if (segment.identity().max_items != 0 || limit_near(segment, {0, bytes})) [[unlikely]] return false;",
           "",
           "unit/errors_test.cpp"),
    Mutant("a tombstone that is used again stays counted", "operations/inserting.hpp",
           "  if (reused) shard.tombstones.store(tombstones - 1, std::memory_order_relaxed);\n",
           "  static_cast<void>(reused);\n",
           "unit/locked_shard_test.cpp", "model/model_test.cpp"),
    Mutant("a new key takes a tombstone although it may stand behind it", "mechanisms/slot_table.hpp",
           "        tombstone = std::min(slot, tombstone);",
           "        return Position{bucket, slot};",
           "unit/slot_table_test.cpp|a home bucket*"),
    Mutant("an insertion doesn't look whether its shard must be repaired first", "operations/inserting.hpp",
           "  if (!is_current(segment, shard) || !has_buckets(segment, table)) [[unlikely]] return false;",
           "  if (!has_buckets(segment, table)) [[unlikely]] return false;",
           "unit/damage_test.cpp|every change*"),
    Mutant("a block of a span is handed out twice", "mechanisms/spans.hpp",
           "    span.carved = carved;\n",
           "",
           "unit/heap_test.cpp"),
    Mutant("a spare block is taken twice", "mechanisms/heap.hpp",
           "      spare_place_of(size_class).take();\n",
           "",
           "model/model_test.cpp"),
    Mutant("an erased slot always becomes empty", "operations/locked_shard.hpp",
           "    const bool chain_ends = slots.word(slots.next(found.at)).is_empty();",
           "    const bool chain_ends = true;",
           "model/model_test.cpp"),
    Mutant("a small value is replaced in two halves", "operations/locked_shard.hpp",
           "  word_at(segment, entry.value_at).exchange(word, std::memory_order_seq_cst);",
           "  auto& stored = word_at(segment, entry.value_at);\n"
           "  stored.exchange((stored.load() & 0xffffffff00000000) | (word & 0xffffffff));\n  stored.exchange(word);",
           "steps/every_step_test.cpp|*of numbers*",
           critical=True),
    Mutant("a grown table is published before it is complete", "operations/repair.hpp",
           "  SlotTable next(segment.buckets(made), made.buckets());",
           "  SlotTable next(segment.buckets(made), made.buckets());\n  if (!old.none()) store_table(shard, made);",
           "steps/every_step_test.cpp|*of numbers*",
           critical=True),
    Mutant("the epoch doesn't step when a table grows", "operations/repair.hpp",
           "  store_table(shard, made);\n  step_epoch(shard);",
           "  store_table(shard, made);",
           "processes/alike_keys_test.cpp"),
    # ---- locks and death
    Mutant("a lock is taken in two words", "mechanisms/owner_lock.hpp",
           "    if (!word.compare_exchange_strong(expected, self_.bits(), std::memory_order_seq_cst, std::memory_order_relaxed)) [[unlikely]] {\n"
           "      wait(writer, word, sleepers, self_, waits);  // relaxed on failure: nothing is read on the strength of it\n    }",
           "    if (!word.compare_exchange_strong(expected, 0xffffffff, std::memory_order_seq_cst, std::memory_order_relaxed)) [[unlikely]] {\n"
           "      wait(writer, word, sleepers, self_, waits);\n    }\n    word.store(self_.bits(), std::memory_order_release);",
           "steps/every_step_test.cpp|*of numbers*",
           critical=True),
    Mutant("who waits long enough robs the owner", "mechanisms/attachment.hpp",
           "    // Shared, so that two who probe don't take each other for the owner.\n    return lock->try_lock_shared(error);",
           "    return true;",
           "processes/stopped_writer_test.cpp",
           critical=True),
    Mutant("a dead process's record is freed before its locks", "mechanisms/attachment.hpp",
           "    clear_area(segment_, index);\n    release_all(segment_, LockWord(index, state_of(index).generation()), name_);\n",
           "    const LockWord dead(index, state_of(index).generation());\n    free_record(index);\n    clear_area(segment_, index);\n"
           "    release_all(segment_, dead, name_);\n    if (kept != Kept::none || !state_of(index).used()) return;\n",
           "steps/second_death_test.cpp",
           also=("      return release_all(segment_, owner, name_);", "      return false;"),
           critical=True),
    Mutant("a dead process's record is freed although a child of it is on its way", "mechanisms/attachment.hpp",
           "    if (kept == Kept::none || !forking(index).child_pending()) free_record(index);",
           "    static_cast<void>(kept);\n    free_record(index);",
           "processes/fork_test.cpp|*forgotten when others clean up*"),
    Mutant("a dead owner's shard isn't marked", "mechanisms/held_locks.hpp",
           "  dirty.store(1, std::memory_order_relaxed);  // relaxed: [D1] publishes it",
           "  static_cast<void>(dirty);",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("a dead owner's lock is released before the shard is marked", "mechanisms/held_locks.hpp",
           "  dirty.store(1, std::memory_order_relaxed);  // relaxed: [D1] publishes it\n",
           "  lock.store(0, std::memory_order_release);\n  dirty.store(1, std::memory_order_relaxed);\n",
           "steps/second_death_test.cpp",
           critical=True),
    Mutant("a freed record keeps its generation", "bytes/words.hpp",
           "  constexpr RecordState freed() const noexcept { return {generation() + 1, false}; }",
           "  constexpr RecordState freed() const noexcept { return {generation(), false}; }",
           "unit/attachment_test.cpp", "unit/owner_lock_test.cpp"),
    Mutant("the repair doesn't step the epoch", "operations/repair.hpp",
           "  step_epoch(shard);\n  // [E2]",
           "  // [E2]",
           "unit/repair_test.cpp",
           critical=True),
    Mutant("the repair leaves the counts as they are", "operations/repair.hpp",
           "  shard.items.store(blocks.size(), std::memory_order_release);\n",
           "",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("the repair gives no orphaned run back", "operations/repair.hpp",
           "  for (const std::uint32_t page : orphans) pool.give(page);\n",
           "",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("the repair doesn't tell who waits", "operations/repair.hpp",
           "    if (now != before) tell(waiter, waited);",
           "    static_cast<void>(now != before);",
           "processes/waiting_test.cpp", "unit/waiting_test.cpp"),
    # ---- batches
    Mutant("a dead process's batch isn't carried out", "mechanisms/held_locks.hpp",
           " == dead) carry_out(segment, shard, name);",
           " == dead) static_cast<void>(carry_out);",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("a batch stores before its intent is published", "operations/batch.hpp",
           "    publish_intent(first, intent);\n    carry_out_stores(segment_, stores.data(), stores.size());",
           "    carry_out_stores(segment_, stores.data(), stores.size());\n    publish_intent(first, intent);",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("a batch's intent ends before its stores", "operations/batch.hpp",
           "    carry_out_stores(segment_, stores.data(), stores.size());\n    end_intent(first);",
           "    end_intent(first);\n    carry_out_stores(segment_, stores.data(), stores.size());",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    # ---- save and load
    Mutant("each shard is saved as it is at a time of its own", "operations/snapshot.hpp",
           "  for (std::vector<LockedShard> shards = lock_all(writer); !shards.empty(); shards.pop_back()) {\n"
           "    const LockedShard& shard = shards.back();",
           "  for (std::uint32_t i = 0; i < segment.shard_count(); ++i) {\n    const LockedShard shard(writer, i);",
           "processes/saving_test.cpp"),
    Mutant("a load stores its tables before its intent is published", "operations/replacement.hpp",
           "    publish_intent(first, intent_);\n    carry_out_stores(segment_, stores_.data(), stores_.size());",
           "    carry_out_stores(segment_, stores_.data(), stores_.size());\n    publish_intent(first, intent_);",
           "steps/every_step_test.cpp|*of words*"),
    Mutant("a load steps no epoch", "operations/replacement.hpp",
           "    step_epoch(fields);",
           "",
           "unit/snapshot_test.cpp", "processes/saving_test.cpp"),
    Mutant("a saved block is believed without its checksum", "operations/saved_file.hpp",
           "      if (checksum_of(block, header_.checksum, number, buffer_.data()) != block.checksum)",
           "      if (checksum_of(block, header_.checksum, number, buffer_.data()) != block.checksum && block.items == 0)",
           "unit/snapshot_test.cpp"),
    Mutant("a dictionary is there before it is loaded", "operations/lifecycle.hpp",
           "      if (fill) fill(attachment);\n      // [M1] release, pairs with [M2]: complete before it counts.\n      header.magic.store(kMagic, std::memory_order_release);",
           "      header.magic.store(kMagic, std::memory_order_release);\n      if (fill) fill(attachment);",
           "processes/saving_test.cpp"),
    # ---- views and loans
    Mutant("pins are overlooked by writers", "mechanisms/heap.hpp",
           "  bool in_view(std::uint64_t offset) const noexcept { return is_pinned(segment_, offset); }",
           "  bool in_view(std::uint64_t offset) const noexcept { return is_pinned(segment_, offset) && offset == 1; }",
           "unit/view_test.cpp",
           critical=True),
    Mutant("pins are overlooked by the repair", "operations/repair.hpp",
           "  const std::vector<std::uint64_t> pinned = pinned_blocks(segment);",
           "  const std::vector<std::uint64_t> pinned;",
           "steps/every_step_test.cpp|*of words*",
           critical=True),
    Mutant("a dead process's pins stay", "mechanisms/process_area.hpp",
           "  // The counts after what they count: a death in between leaves nothing behind them.\n  forget_area(segment, index);",
           "",
           "unit/process_area_test.cpp", "steps/every_step_test.cpp|*of words*"),
    Mutant("users of areas are looked for among the first records", "mechanisms/pin.hpp",
           "  segment.header().areas_used.fetch_or(std::uint32_t{1} << (record / 64), std::memory_order_seq_cst);",
           "  segment.header().areas_used.fetch_or(1, std::memory_order_seq_cst);",
           "unit/pin_test.cpp"),
    Mutant("a table's pages don't say how large it is", "operations/repair.hpp",
           "  return {PageKind::table, static_cast<std::uint32_t>(pages), index, log2};",
           "  return {PageKind::table, static_cast<std::uint32_t>(pages), index};",
           "unit/repair_test.cpp"),
    Mutant("a view isn't validated behind its pin", "mechanisms/pin.hpp",
           "        if (pins[at].compare_exchange_strong(expected, offset, std::memory_order_seq_cst)) {",
           "        if (pins[at].compare_exchange_strong(expected, kNoBlock, std::memory_order_seq_cst)) {",
           "unit/view_test.cpp",
           critical=True),
    # ---- life cycle
    Mutant("a process is known by its pid alone", "platform/process_types.hpp",
           "  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;",
           "  friend bool operator==(const ProcessIdentity& a, const ProcessIdentity& b) { return a.pid == b.pid; }",
           "processes/identity_test.cpp", "processes/namespaces_test.cpp"),
    Mutant("memory that couldn't be had is taken for committed", "mechanisms/segment.hpp",
           "      if (const std::error_code error = commit_pages(committed, pages)) return error;",
           "      static_cast<void>(commit_pages(committed, pages));",
           "unit/small_place_test.cpp", "unit/heap_test.cpp"),
]


class Workshop:
    """Compiles test programs against headers, several at a time, and runs most of them one after another: some mutants only show when
    both of two threads have a processor."""

    def __init__(self, place):
        self.place = place
        self.main = []

    def compile(self, source, include, to, optimised=False):
        command = [COMPILER, *FLAGS, "-O1" if optimised else "-O0", "-I", str(include), "-I", str(ROOT / "tests"), "-c", str(source), "-o", str(to)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{source} doesn't compile:\n{done.stderr[-4000:]}")
        return to

    def prepare(self):
        for name in ("main", "child"):
            self.main.append(self.compile(ROOT / "tests" / "support" / f"{name}.cpp", ROOT / "include", self.place / f"{name}.o"))

    def program(self, test_file, include):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.place))
        sources = folder / "test.cpp"  # as one file, for which the headers are read once
        sources.write_text("".join(f'#include "{part}"\n' for part in (test_file, *PARTS.get(test_file, ()))))
        program = folder / "test"
        test = self.compile(sources, include, folder / "test.o", optimised=test_file.startswith(OPTIMISED))
        subprocess.run([COMPILER, *map(str, (test, *self.main)), "-lpthread", "-ldl", "-o", str(program)], check=True)
        return program

    def broken(self, mutant):
        """Compiles its tests. What tells which of them ended how: at once where no test needs a second processor."""
        include = break_headers(mutant, pathlib.Path(tempfile.mkdtemp(dir=self.place)))
        programs = [(test, self.program(test.partition("|")[0], include)) for test in mutant.tests]
        if not all(test.startswith(STEPS) for test in mutant.tests):
            return lambda: self.judge(programs)
        told = self.judge(programs)
        return lambda: told

    def judge(self, programs):
        """The test that finds out and how it ended, or the last one and None or UNJUDGED."""
        unjudged = None
        # Some show only when two threads meet: what survives is given another chance.
        for test, program in ATTEMPTS * programs:
            ending = self.run(program, test)
            if ending not in (None, UNJUDGED):
                return test, ending
            unjudged = unjudged or ending
        return test, unjudged

    def run(self, program, test):
        """How it ended: None if all passed, UNJUDGED if it could try nothing."""
        case = test.partition("|")[2]
        place = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None, prefix="mutants_of_shared_dict.")
        environment = dict(os.environ, SHARED_DICT_DIR=place, SHARED_DICT_TEST_RUN=f"mutant-{os.path.basename(place)}")
        with subprocess.Popen([str(program), *([case] if case else []), "--abort"], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              start_new_session=True) as process:
            try:
                output, _ = process.communicate(timeout=SECONDS)
                ending = None if process.returncode == 0 else f"signal {-process.returncode}" if process.returncode < 0 else "failed"
                if ending is None and "ptrace isn't permitted" in output:
                    ending = UNJUDGED
            except subprocess.TimeoutExpired:
                ending = "didn't end"
            try:  # children that outlived it are its session's
                os.killpg(process.pid, 9)
            except ProcessLookupError:
                pass
        shutil.rmtree(place, ignore_errors=True)
        return ending


def require_places(mutants):
    """Each mutant breaks one place that is there: told before anything is compiled."""
    wrong = [m.name for m in mutants for old, _ in m.places if (ROOT / "include" / m.file).read_text().count(old) != 1]
    if wrong:
        sys.exit("what these break doesn't stand exactly once in its file: " + "; ".join(wrong))


def break_headers(mutant, folder):
    include = folder / "include"
    shutil.copytree(ROOT / "include", include)
    path = include / mutant.file
    text = path.read_text()
    for old, new in mutant.places:
        text = text.replace(old, new)
    path.write_text(text)
    return include


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="only tell what there is")
    parser.add_argument("--critical", action="store_true", help="the twenty that are tried on every change, and nothing unbroken")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("names", nargs="*", help="parts of the names of those that are wanted")
    arguments = parser.parse_args()
    mutants = [m for m in MUTANTS
               if (m.critical or not arguments.critical) and (not arguments.names or any(name in m.name for name in arguments.names))]
    if arguments.list:
        for mutant in mutants:
            print(f"{mutant.name}: {', '.join(mutant.tests)}")
        return 0
    require_places(mutants)
    tests = [] if arguments.critical else sorted({test for mutant in mutants for test in mutant.tests})
    failing, killed, unjudged = 0, 0, 0
    with tempfile.TemporaryDirectory(prefix="mutants.") as name, concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        workshop = Workshop(pathlib.Path(name))
        workshop.prepare()
        files = sorted({test.partition("|")[0] for test in tests})
        unbroken = dict(zip(files, pool.map(lambda file: workshop.program(file, ROOT / "include"), files)))
        broken = list(pool.map(workshop.broken, mutants))  # all, before one runs that needs more than one processor
        for test in tests:
            ending = workshop.run(unbroken[test.partition("|")[0]], test)
            if ending not in (None, UNJUDGED):
                failing += 1
                print(f"{test}: {ending}, with nothing broken", flush=True)
        for mutant, judge in zip(mutants, broken):
            test, ending = judge()
            if ending is None:
                print(f"SURVIVED  {mutant.name}", flush=True)
            elif ending == UNJUDGED:
                unjudged += 1
                print(f"unjudged  {mutant.name} ({UNJUDGED})", flush=True)
            else:
                killed += 1
                print(f"killed    {mutant.name}: {test} ({ending})", flush=True)
    print(f"proof: mutants | broken {len(mutants)} | killed {killed} | not judged {unjudged}")
    return 0 if killed + unjudged == len(mutants) and failing == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
