"""gdb pretty-printer: shows what a shared_dict::SharedDict holds, in a live process and in a core file.

    (gdb) source shared_dict_gdb.py
    (gdb) print dict

It reads memory and calls nothing in the process. Offsets are those of detail/bytes/layout.hpp; the geometry and the types' stored names are
those of the process's own verified copy. Strings are shown as such, and so is what is stored as the objects' own bytes: by gdb, as the types
that the program knows. What cereal or a user's codec wrote is shown in hexadecimal. Other processes go on while it reads: an item that changes
at that moment may be shown wrong, or as damaged. Damaged contents never end the display: an error text stands in their place.
In a core file shared memory is there only if bit 3 of /proc/PID/coredump_filter was set.
"""
import re
import struct

import gdb
import gdb.printing
import gdb.types

LAYOUT_MAGIC = 0x3174636944726853
COMMITTED, CLEAR_GENERATION = 3072, 3080
SHARD_BYTES, SHARD_TABLE, SHARD_GENERATION = 576, 72, 80
BUCKET_BYTES, WORD = 64, 8
OFFSET_MASK = (1 << 48) - 1
MAX_KEY = (1 << 24) - 1
MAX_ITEM_BYTES = 1 << 16  # of a key or value: more doesn't fit the screen, nor gdb's max-value-size
POINTERS = ("_M_ptr", "__ptr_", "_Ptr")  # in a std::shared_ptr: of libstdc++, of libc++, of Microsoft's library

# Stored names of types whose stored bytes are those of the object, also if cereal wrote it.
SCALAR = re.compile(r"(u?int\d+|float\d+(x2|\(size \d+\))?|bool|char\d*|wchar\d+|byte|enum .+)$")
SCALAR_CODES = (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_FLT, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_CHAR, gdb.TYPE_CODE_ENUM)

# What reading a process's memory, and making values of it, throws.
UNREADABLE = (gdb.error, OverflowError, TypeError, ValueError)


class Damaged(Exception):
    pass


def host_charset():
    return gdb.host_charset() if hasattr(gdb, "host_charset") else "utf-8"


def quoted(data):
    """Text without what a terminal would obey or can't show, as the inspector shows it."""
    charset = host_charset()
    out = []
    for c in data.decode("utf-8", "surrogateescape"):
        code = ord(c)
        if c in '\\"':
            out.append("\\" + c)
        elif c in "\n\t":
            out.append("\\n" if c == "\n" else "\\t")
        elif code < 0x20 or 0x7F <= code < 0xA0 or 0xDC80 <= code < 0xDD00 or not c.encode(charset, "ignore"):
            out.extend("\\x%02x" % byte for byte in c.encode("utf-8", "surrogateescape"))
        else:
            out.append(c)
    return '"%s"' % "".join(out)


def array_of(data, element):
    """The objects that lie one behind the other, at least one, as gdb shows an array."""
    if element.sizeof == 1 and element.code == gdb.TYPE_CODE_INT:
        # gdb takes arrays of small numbers for text: so they become larger ones.
        signed = gdb.Value(-1).cast(element) < 0
        numbers = struct.unpack("=%d%s" % (len(data), "b" if signed else "B"), data)
        data, element = struct.pack("=%dh" % len(numbers), *numbers), gdb.lookup_type("short")
    return gdb.Value(data, element.array(len(data) // element.sizeof - 1))


class Stored:
    """How the keys, or the values, are stored, and what their bytes are shown as."""

    def __init__(self, type, name, fixed_bytes, is_key):
        self.type, self.name, self.fixed_bytes, self.is_key = type, name, fixed_bytes, is_key

    def shown(self, data, size):
        """A gdb.Value, or text. `data` is the front of `size` bytes."""
        more = "..." if size > len(data) else ""
        if self.name in ("string", "vector<char>"):
            return quoted(data) + more
        try:
            if not more and self.is_object(size):
                return gdb.Value(data, self.type)
            element = self.element()
            if element is not None and size % element.sizeof == 0:
                if size == 0:
                    return '""' if self.name.startswith("basic_string<") else "{}"
                array = array_of(data[: len(data) // element.sizeof * element.sizeof], element)
                return array.format_string() + more if more else array
        except UNREADABLE:  # the type is only declared here, or too large for gdb's settings: the bytes say more than nothing
            pass
        return "0x" + data.hex() + more

    def is_object(self, size):
        if self.type is None or self.type.sizeof != size:
            return False
        if self.type.code in SCALAR_CODES:
            return SCALAR.match(self.name) is not None
        return self.fixed_bytes == size and self.name.endswith("(size %d)" % size)

    def element(self):
        """The type of the elements whose own bytes are stored one behind the other, if that is how it is stored."""
        if self.type is None or not self.name.startswith(("vector<", "basic_string<")):
            return None
        element = self.type.template_argument(0).strip_typedefs()
        name = self.name[self.name.index("<") + 1 : -1]
        if element.code not in SCALAR_CODES:
            return element if name.endswith("(size %d)" % element.sizeof) else None
        archived = element.code == gdb.TYPE_CODE_BOOL or (self.is_key and element.code == gdb.TYPE_CODE_FLT)
        return element if SCALAR.match(name) and not archived else None


class Memory:
    """A segment in the process's memory, with the process's own copy of what it is."""

    def __init__(self, segment):
        self.base = int(segment["base_"])
        self.inferior = gdb.selected_inferior()
        identity = segment["identity_"]
        for name in ("shards_at", "shard_count", "data_at", "page_bytes", "page_count", "value_alignment",
                     "key_fixed_bytes", "value_fixed_bytes"):
            setattr(self, name, int(identity[name]))
        self.key_name, self.value_name = (self.text(identity, which) for which in ("key_name", "value_name"))

    @staticmethod
    def text(identity, which):
        characters, size = identity[which], int(identity[which + "_bytes"])
        return bytes(int(characters[i]) & 0xFF for i in range(min(size, characters.type.sizeof))).decode("latin-1")

    def bytes(self, at, size):
        return bytes(self.inferior.read_memory(self.base + at, size)) if size else b""

    def u64(self, at):
        return struct.unpack("=Q", self.bytes(at, 8))[0]

    def checked_count(self, at, what):
        bits = self.u64(at)
        if bits >> 32 != bits & 0xFFFFFFFF:
            raise Damaged(what + " is damaged")
        return bits & 0xFFFFFFFF

    def committed_bytes(self):
        return min(self.checked_count(COMMITTED, "the count of pages"), self.page_count) * self.page_bytes

    def clears(self):
        return self.checked_count(CLEAR_GENERATION, "the count of clears")

    def holds(self, at, size):
        """Whether that lies in pages that have memory behind them."""
        return self.data_at <= at and at + size <= self.data_at + self.committed_bytes()


class SharedDictPrinter:
    def __init__(self, value):
        self.memory, self.problem = None, None
        try:
            attachment = self.attachment(value["attachment_"])
            if int(attachment) == 0:
                self.problem = "closed SharedDict"
                return
            self.memory = Memory(attachment["segment_"])
            self.types = [self.argument(value.type, i) for i in range(2)]
        except UNREADABLE as error:
            self.problem = "SharedDict that can't be read: %s" % error
            return
        try:
            if self.memory.u64(0) != LAYOUT_MAGIC:
                self.problem = "SharedDict whose memory is no dictionary"
                return
            self.memory.committed_bytes(), self.memory.clears()
        except Damaged as error:
            self.problem = "SharedDict that is damaged: %s" % error
        except UNREADABLE:
            self.problem = "SharedDict whose memory can't be read (for a core file: bit 3 of coredump_filter)"

    @staticmethod
    def attachment(pointer):
        pointer_type = pointer.type.strip_typedefs()
        for name in POINTERS:
            if gdb.types.has_field(pointer_type, name):
                return pointer[name]
        raise gdb.error("%s is no std::shared_ptr of a known library" % pointer_type)

    @staticmethod
    def argument(dictionary, index):
        try:
            return gdb.types.get_basic_type(dictionary).template_argument(index).strip_typedefs()
        except UNREADABLE:
            return None

    def to_string(self):
        return self.problem or "SharedDict"

    def display_hint(self):
        return "map"

    def children(self):
        if self.problem:
            return
        memory = self.memory
        keys = Stored(self.types[0], memory.key_name, memory.key_fixed_bytes, True)
        values = Stored(self.types[1], memory.value_name, memory.value_fixed_bytes, False)
        number = 0
        for index in range(memory.shard_count):
            for pair in self.items(index, keys, values):
                for half in pair:
                    yield str(number), half
                    number += 1

    def items(self, index, keys, values):
        """Pairs to show of a shard's items; in place of what can't be read, why."""
        try:
            for entry in self.entries(index):
                try:
                    yield self.item(entry, keys, values)
                except (Damaged,) + UNREADABLE as error:
                    yield "<damaged>", "<entry at %d: %s>" % (entry, error)
        except (Damaged,) + UNREADABLE as error:
            yield "<damaged>", "<shard %d: %s>" % (index, error)

    def item(self, entry, keys, values):
        memory = self.memory
        if entry % WORD != 0 or not memory.holds(entry, WORD):
            raise Damaged("lies outside the pages in use")
        sizes = memory.u64(entry)
        key_size, value_size = sizes & MAX_KEY, sizes >> 24
        alignment = max(WORD, memory.value_alignment)
        value_at = (entry + WORD + key_size + alignment - 1) // alignment * alignment
        if not memory.holds(value_at, value_size):
            raise Damaged("sizes that can't be: %d and %d bytes" % (key_size, value_size))
        return (keys.shown(memory.bytes(entry + WORD, min(key_size, MAX_ITEM_BYTES)), key_size),
                values.shown(memory.bytes(value_at, min(value_size, MAX_ITEM_BYTES)), value_size))

    def entries(self, index):
        memory = self.memory
        shard = memory.shards_at + index * SHARD_BYTES
        table = memory.u64(shard + SHARD_TABLE)
        if table == 0 or memory.checked_count(shard + SHARD_GENERATION, "its count of clears") != memory.clears():
            return
        at, buckets = table & ~63, 1 << (table & 63)
        if not memory.holds(at, buckets * BUCKET_BYTES):
            raise Damaged("the table lies outside the pages in use")
        for bucket in range(buckets):
            words = struct.unpack("=8Q", memory.bytes(at + bucket * BUCKET_BYTES, BUCKET_BYTES))
            for word in words[1:]:
                if word > 1:
                    yield word & OFFSET_MASK


printers = gdb.printing.RegexpCollectionPrettyPrinter("shared_dict")
printers.add_printer("SharedDict", "^shared_dict::SharedDict<.*>$", SharedDictPrinter)
gdb.printing.register_pretty_printer(gdb.current_objfile(), printers, replace=True)
