"""gdb pretty-printer: shows what a shared_dict::SharedDict holds, in a live process and in a core file.

    (gdb) source shared_dict_gdb.py
    (gdb) print dict

It reads memory and calls nothing in the process. Offsets are those of detail/bytes/layout.hpp. What is stored as plain numbers and strings
is shown as such, all else in hexadecimal. Other processes go on while it reads: an item that changes at that moment may be shown wrong.
In a core file shared memory is there only if bit 3 of /proc/PID/coredump_filter was set.
"""
import struct

import gdb
import gdb.printing

LAYOUT_MAGIC = 0x3174636944726853
SHARDS_AT, SHARD_COUNT, KEY_NAME_BYTES, KEY_NAME, VALUE_NAME = 24 + 40, 24 + 88, 24 + 128, 24 + 136, 24 + 1160
VALUE_ALIGNMENT, CLEAR_GENERATION = 24 + 108, 3080
SHARD_BYTES, SHARD_TABLE, SHARD_GENERATION = 576, 72, 80
BUCKET_BYTES, WORD = 64, 8
OFFSET_MASK = (1 << 48) - 1
MAX_ITEM_BYTES = 1 << 16  # of a key or value that is damaged or doesn't fit the screen anyway
NUMBERS = {"int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
           "int64": "q", "uint64": "Q", "float32": "f", "float64": "d", "bool": "?"}


class Memory:
    def __init__(self, base):
        self.base = base
        self.inferior = gdb.selected_inferior()

    def bytes(self, at, size):
        return bytes(self.inferior.read_memory(self.base + at, size)) if size else b""

    def u32(self, at):
        return struct.unpack("=I", self.bytes(at, 4))[0]

    def u64(self, at):
        return struct.unpack("=Q", self.bytes(at, 8))[0]


def shown(name, data, size):
    if name == "string":
        text = '"%s"' % data.decode("utf-8", "backslashreplace").replace("\\", "\\\\").replace('"', '\\"')
        return text + ("..." if size > len(data) else "")
    code = NUMBERS.get(name)
    if code and struct.calcsize("=" + code) == size:
        return str(struct.unpack("=" + code, data)[0])
    return "0x" + data.hex() + ("..." if size > len(data) else "")


class SharedDictPrinter:
    def __init__(self, value):
        self.name = value["name_"]
        attachment = value["attachment_"]["_M_ptr"]
        self.memory = Memory(int(attachment["segment_"]["base_"])) if int(attachment) else None

    def to_string(self):
        if self.memory is None:
            return "closed SharedDict"
        try:
            if self.memory.u64(0) != LAYOUT_MAGIC:
                return "SharedDict whose memory is no dictionary"
        except gdb.error:
            return "SharedDict whose memory can't be read (for a core file: bit 3 of coredump_filter)"
        return "SharedDict"

    def display_hint(self):
        return "map"

    def children(self):
        if self.to_string() != "SharedDict":
            return
        memory = self.memory
        key_type = memory.bytes(KEY_NAME, min(memory.u32(KEY_NAME_BYTES), 1024)).decode("latin-1")
        value_type = memory.bytes(VALUE_NAME, min(memory.u32(KEY_NAME_BYTES + 4), 1024)).decode("latin-1")
        number = 0
        for entry in self.entries():
            sizes = memory.u64(entry)
            key_size, value_size = sizes & 0xFFFFFF, sizes >> 24
            alignment = max(WORD, memory.u32(VALUE_ALIGNMENT))
            value_at = (entry + WORD + key_size + alignment - 1) // alignment * alignment
            for name, at, size in ((key_type, entry + WORD, key_size), (value_type, value_at, value_size)):
                yield str(number), shown(name, memory.bytes(at, min(size, MAX_ITEM_BYTES)), size)
                number += 1

    def entries(self):
        memory = self.memory
        generation = memory.u64(CLEAR_GENERATION)
        for index in range(memory.u32(SHARD_COUNT)):
            shard = memory.u64(SHARDS_AT) + index * SHARD_BYTES
            table = memory.u64(shard + SHARD_TABLE)
            if table == 0 or memory.u64(shard + SHARD_GENERATION) != generation:
                continue
            for bucket in range(1 << (table & 63)):
                words = struct.unpack("=8Q", memory.bytes((table & ~63) + bucket * BUCKET_BYTES, BUCKET_BYTES))
                for word in words[1:]:
                    if word > 1:
                        yield word & OFFSET_MASK


printers = gdb.printing.RegexpCollectionPrettyPrinter("shared_dict")
printers.add_printer("SharedDict", "^shared_dict::SharedDict<.*>$", SharedDictPrinter)
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)
