"""A kernel that takes no time: what the boot protocol wants of a bzImage, and a program that resets
the machine, upon which QEMU ends (-no-reboot).

Documentation/arch/x86/boot.rst has the header; the rest is for 16-bit real mode.
"""

import struct

SECTOR = 512
SETUP_SECTORS = 1
SIZE = 4 * SECTOR
# Behind the header.
CODE = 0x280
# mov al, 0xfe; out 0x64, al: the keyboard controller resets the processor. hlt, until it has.
RESET = bytes([0xb0, 0xfe, 0xe6, 0x64, 0xf4, 0xeb, 0xfd])


def make(path):
    image = bytearray(SIZE)

    def put(form, offset, value):
        struct.pack_into(form, image, offset, value)

    put("<B", 0x1f1, SETUP_SECTORS)
    put("<I", 0x1f4, (SIZE - (1 + SETUP_SECTORS) * SECTOR) // 16)
    put("<H", 0x1fe, 0xaa55)
    # A jump over the header is where it is entered.
    image[0x200:0x202] = bytes([0xeb, CODE - 0x202])
    image[0x202:0x206] = b"HdrS"
    put("<H", 0x206, 0x020f)
    # loadflags: loaded high.
    put("<B", 0x211, 1)
    # initrd_addr_max, xloadflags (64 bits), cmdline_size.
    put("<I", 0x22c, 0x7fffffff)
    put("<H", 0x236, 1)
    put("<I", 0x238, 2047)
    image[CODE:CODE + len(RESET)] = RESET
    with open(path, "wb") as file:
        file.write(image)
