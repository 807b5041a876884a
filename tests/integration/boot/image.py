"""Makes initramfs images: cpio archives, and each compression that the kernel knows."""

import bz2
import gzip
import lzma
import stat
import struct

TRAILER = "TRAILER!!!"


def entry(name, mode, data=b"", inode=0, device=(0, 0)):
    """One entry of a newc archive (Documentation/driver-api/early-userspace/buffer-format.rst)."""
    name = name.encode() + b"\0"
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name), 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name
    head += bytes(-len(head) % 4)
    return head + data + bytes(-len(data) % 4)


def archive(files):
    """files: name -> bytes (a program), str (a symbolic link's target) or None (a directory)."""
    parts = []
    for inode, (name, content) in enumerate(files.items(), 1):
        if content is None:
            parts.append(entry(name, stat.S_IFDIR | 0o755, inode=inode))
        elif isinstance(content, str):
            parts.append(entry(name, stat.S_IFLNK | 0o777, content.encode(), inode=inode))
        else:
            parts.append(entry(name, stat.S_IFREG | 0o755, content, inode=inode))
    return b"".join(parts) + entry(TRAILER, 0)


def xz(data):
    return lzma.compress(data, lzma.FORMAT_XZ, check=lzma.CHECK_CRC32)


def lzma_alone(data):
    return lzma.compress(data, lzma.FORMAT_ALONE)


def zstd(data):
    """Blocks that are not compressed (RFC 8878, 3.1.1): no tool is needed, and none may be there."""
    frame = struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))
    blocks = [data[at:at + 131072] for at in range(0, len(data), 131072)]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        frame += struct.pack("<I", len(block) << 3 | last)[:3] + block
    return frame


def lz4(data):
    """The legacy format, of literals alone (lz4_Frame_format.md, lz4_Block_format.md)."""
    result = struct.pack("<I", 0x184C2102)
    for at in range(0, len(data), 8 << 20):
        piece = data[at:at + (8 << 20)]
        length, block = len(piece), b"\xf0"
        assert length >= 15
        rest = length - 15
        block += b"\xff" * (rest // 255) + bytes([rest % 255]) + piece
        result += struct.pack("<I", len(block)) + block
    return result


COMPRESSIONS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "lzma": lzma_alone,
    "xz": xz,
    "zstd": zstd,
    "plain": bytes,
    # Last: nothing but zeros tells where it ends.
    "lz4": lz4,
}


def acpi_table():
    """An ACPI table with nothing in it: the kernel tells that it found it, very early."""
    table = bytearray(b"SSDT" + struct.pack("<IBB", 36, 2, 0) + b"PROVIM" + b"PROVTEST" +
                      struct.pack("<I4sI", 1, b"PROV", 1))
    table[9] = -sum(table) & 0xFF
    return bytes(table)
