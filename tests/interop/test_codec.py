"""Two implementations of protobuf, byte by byte: protobuf-c with our decoder, and Python's."""

import subprocess
import sys
import unittest

from google.protobuf.message import DecodeError

import provium_pb2 as pb
import tap

VECTORS = sys.argv[1]

BOUNDS = {
    "int32": (-2**31, 2**31 - 1), "sint32": (-2**31, 2**31 - 1), "sfixed32": (-2**31, 2**31 - 1),
    "uint32": (0, 2**32 - 1), "fixed32": (0, 2**32 - 1),
    "int64": (-2**63, 2**63 - 1), "sint64": (-2**63, 2**63 - 1), "sfixed64": (-2**63, 2**63 - 1),
    "uint64": (0, 2**64 - 1), "fixed64": (0, 2**64 - 1),
}


def type_name(field):
    names = {getattr(field, name): name[5:].lower() for name in dir(field)
             if name.startswith("TYPE_")}
    return names[field.type]


def value_of(field, largest):
    kind = type_name(field)
    if kind in BOUNDS:
        return BOUNDS[kind][largest]
    if kind == "bool":
        return largest
    if kind == "bytes":
        return bytes(range(256)) if largest else b""
    if kind == "string":
        # No NUL: protobuf-c's strings end there, and no text of the schema has one.
        return "a\u00e4\u20ac\U0001f427\x01" * 50 if largest else ""
    if kind == "enum":
        return field.enum_type.values[-1 if largest else 0].number
    raise ValueError(kind)


def fill(message, largest, choice):
    """Sets every field; of a oneof the one that the choice picks."""
    for field in message.DESCRIPTOR.fields:
        if field.containing_oneof:
            members = field.containing_oneof.fields
            if members[choice % len(members)].name != field.name:
                continue
        if field.label == field.LABEL_REPEATED:
            for _ in range(3 if largest else 1):
                if field.message_type:
                    fill(getattr(message, field.name).add(), largest, choice)
                else:
                    getattr(message, field.name).append(value_of(field, largest))
        elif field.message_type:
            getattr(message, field.name).SetInParent()
            fill(getattr(message, field.name), largest, choice)
        else:
            setattr(message, field.name, value_of(field, largest))
    return message


def bodies():
    return [field.name for field in pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields]


def generated():
    """(name, message): each body with smallest and largest values, and each choice below it."""
    for name in bodies():
        for largest in (False, True):
            for below in range(3):
                message = pb.Message(id=2**32 - 1 if largest else 0,
                                     kernel_events=[2**64 - 1, 0, 1] if largest else [0])
                getattr(message, name).SetInParent()
                fill(getattr(message, name), largest, below)
                yield name, message


def echo(lines):
    result = subprocess.run([VECTORS, "echo"], input="\n".join(lines) + "\n", text=True,
                            stdout=subprocess.PIPE, check=True)
    return result.stdout.splitlines()


class Codec(unittest.TestCase):
    def test_what_c_encodes(self):
        lines = subprocess.run([VECTORS, "generate"], stdout=subprocess.PIPE, text=True,
                               check=True).stdout.splitlines()
        seen = set()
        for line in lines:
            name, _, digits = line.partition(" ")
            data = bytes.fromhex(digits)
            message = pb.Message.FromString(data)
            self.assertEqual(message.WhichOneof("body"), name)
            self.assertTrue(message.IsInitialized(), name)
            self.assertEqual(message.SerializeToString().hex(), digits, name)
            seen.add(name)
        self.assertEqual(seen, set(bodies()))

    def test_what_python_encodes(self):
        messages = list(generated())
        lines = [message.SerializeToString().hex() for _, message in messages]
        self.assertEqual(len(messages), 6 * len(bodies()))
        for (name, _), line, back in zip(messages, lines, echo(lines), strict=True):
            self.assertEqual(back, line, name)

    def test_unknown_fields_survive(self):
        # Field 1000 of a later minor version, inside PING and beside it.
        data = pb.Message(id=3, ping={"payload": b"x"}).SerializeToString()
        later = bytes.fromhex("6a06") + b"\x0a\x01x" + bytes.fromhex("c03e07") + data[-3:]
        self.assertEqual(echo([later.hex()]), [pb.Message.FromString(later).SerializeToString().hex()])

    def test_malformed_is_malformed_for_both(self):
        for digits in ("80", "6a05", "6aff", "800101ff", "0b", "68ff"):
            with self.subTest(digits):
                self.assertEqual(echo([digits]), ["malformed"])
                with self.assertRaises(DecodeError):
                    pb.Message.FromString(bytes.fromhex(digits))

    def test_required_fields_are_required(self):
        digits = "820800"
        self.assertEqual(echo([digits]), ["malformed"])
        try:
            self.assertFalse(pb.Message.FromString(bytes.fromhex(digits)).IsInitialized())
        except DecodeError:
            # Not all of Python's implementations hand it out.
            pass

    def test_limit(self):
        # 200 000 empty submessages are 600 kB here and 11 MB decoded.
        message = pb.Message(exec={"rlimits": [{} for _ in range(200000)]})
        self.assertEqual(echo([message.SerializeToString().hex()]), ["limit"])

    def test_many_arguments_are_no_bomb(self):
        message = pb.Message(exec={"argv": [b"%d" % number for number in range(8000)]})
        digits = message.SerializeToString().hex()
        self.assertEqual(echo([digits]), [digits])


if __name__ == "__main__":
    tap.main()
