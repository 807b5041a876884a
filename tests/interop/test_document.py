"""docs/protocol.md against the schema, the limits of the code, and its own examples."""

import re
import struct
import sys
import unittest

from google.protobuf import text_format

import provium_pb2 as pb
import tap

DOCUMENT, LIMITS = sys.argv[1:3]

with open(DOCUMENT, encoding="utf-8") as file:
    TEXT = file.read()


def section(title):
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S).group(1)


def rows(text):
    """The cells of every table row."""
    return [[cell.strip() for cell in line.strip("| \n").split(" | ")]
            for line in text.replace("| |", "|  |").splitlines() if line.startswith("|")]


def bodies():
    return pb.Message.DESCRIPTOR.oneofs_by_name["body"].fields


def limit(name):
    with open(LIMITS, encoding="utf-8") as file:
        expression = re.search(rf"#define {name}\s+\(?(.*?)\)?\n", file.read()).group(1)
    number, _, shift = expression.replace("u", "").partition(" << ")
    return int(number) << int(shift or 0)


class Document(unittest.TestCase):
    def test_every_code_is_in_the_tables(self):
        listed = {int(row[0]): row[2].strip("`") for row in rows(section("What is served"))
                  if row[0].isdigit()}
        self.assertEqual(listed, {field.number: field.name for field in bodies()})

    def test_every_field_is_described(self):
        text = section("The messages") + section("Messages and ids") + section("Errors")
        words = set(re.findall(r"`(\w+)`", text))
        unknown = []

        def look(descriptor):
            for field in descriptor.fields:
                if field.name not in words:
                    unknown.append(f"{descriptor.name}.{field.name}")
                if field.message_type:
                    look(field.message_type)

        for body in bodies():
            look(body.message_type)
        self.assertEqual(unknown, [])

    def test_every_enum_value_is_described(self):
        described = set(re.findall(r"\w+", section("The messages") + section("Errors")))
        for name, descriptor in pb.DESCRIPTOR.enum_types_by_name.items():
            for value in descriptor.values:
                word = value.name[6:] if name == "ErrorCode" else value.name
                self.assertIn(word, described)

    def test_error_codes(self):
        listed = {f"ERROR_{row[1]}": int(row[0]) for row in rows(section("Errors"))
                  if row[0].isdigit()}
        self.assertEqual(listed, dict(pb.ErrorCode.items()))

    def test_limits(self):
        listed = {int(number) for row in rows(section("Limits"))[2:]
                  for number in re.findall(r"\d+", row[1])}
        for name in ("PROVIUM_MAX_FRAME", "PROVIUM_CHUNK", "PROVIUM_MAX_PING",
                     "PROVIUM_WRITE_WINDOW", "PROVIUM_STDIN_WINDOW"):
            self.assertIn(limit(name), listed, name)
        self.assertIn(f"port {limit('PROVIUM_PORT')}", TEXT)

    def test_version(self):
        major, minor = limit("PROVIUM_PROTOCOL_MAJOR"), limit("PROVIUM_PROTOCOL_MINOR")
        self.assertIn(f"\nVersion {major}.{minor}.", TEXT)
        self.assertIn(f"Minor {minor} is the version", TEXT)

    def test_links(self):
        titles = {re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))
                  for title in re.findall(r"^#+ (.*)$", TEXT, re.M)}
        for link in re.findall(r"\]\(#([^)]*)\)", TEXT):
            self.assertIn(link, titles)

    def test_examples(self):
        blocks = re.findall(r"```text\n(.*?)```", section("Examples"), re.S)
        pairs = re.findall(r"((?:[0-9a-f ]+\n)+)= (.*(?:\n  \S.*)*)", "\n".join(blocks))
        self.assertGreater(len(pairs), 8)
        for digits, text in pairs:
            data = bytes.fromhex(digits)
            self.assertEqual(struct.unpack("<I", data[:4])[0], len(data) - 4, text)
            expected = text_format.Parse(text, pb.Message())
            self.assertEqual(pb.Message.FromString(data[4:]), expected)


if __name__ == "__main__":
    tap.main()
