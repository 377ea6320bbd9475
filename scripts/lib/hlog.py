"""Reads HdrHistogram interval logs (V2, deflated): counts by value, tags apart. Written from the format's description, so that
it checks the histograms of our tools and not their library.

    line     [Tag=<tag>,]<start s>,<length s>,<max>,<base64>
    base64   cookie 0x1c849304 u32 | length u32 | zlib( header of 40 bytes | counts as zig-zag LEB128, of at most 9 bytes )
    header   cookie 0x1c849303 u32 | payload length | normalizing offset | digits i32 | lowest i64 | highest i64 | ratio f64
    counts   a negative number stands for so many zeros
"""

import base64
import collections
import math
import struct
import zlib

from lib.report import need


def read(path, tag):
    """Counter of value -> count over all lines with this tag."""
    total = collections.Counter()
    for line in path.read_text().splitlines():
        if line.startswith(f"Tag={tag},"):
            total.update(decode(base64.b64decode(line.rsplit(",", 1)[1])))
    return total


def decode(data):
    need(struct.unpack_from(">I", data)[0] & ~0xF0 == 0x1C849304, f"no deflated V2 histogram: {data[:8].hex()}")
    plain = zlib.decompress(data[8:])
    cookie, length, _, digits, lowest, _, _ = struct.unpack_from(">IIIiqqd", plain)
    need(cookie & ~0xF0 == 0x1C849303, f"no V2 histogram: {plain[:8].hex()}")
    half = math.ceil(math.log2(2 * 10 ** digits)) - 1  # the order of magnitude of half a bucket's slots
    unit = int(math.log2(lowest))
    out, at, index = {}, 40, 0
    while at < 40 + length:
        count, at = zigzag(plain, at)
        if count > 0:
            out[middle(index, half, unit)] = count
        index += 1 if count >= 0 else -count
    return out


def zigzag(data, at):
    value = 0
    for place in range(9):
        byte = data[at]
        at += 1
        if place == 8:  # the ninth byte carries eight bits
            value |= byte << 56
            break
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            break
    return (value >> 1) ^ -(value & 1), at


def middle(index, half, unit):
    """The middle of the values that a slot stands for."""
    bucket, slot = (index >> half) - 1, (index & ((1 << half) - 1)) + (1 << half)
    if bucket < 0:
        bucket, slot = 0, slot - (1 << half)
    return (slot << bucket + unit) + ((1 << bucket + unit) >> 1)


def quantile(counts, p):
    """The value at floor(p n) of all in order, as Kafka's tool picks it."""
    wanted = int(p * sum(counts.values()))
    for value in sorted(counts):
        wanted -= counts[value]
        if wanted < 0:
            return value
    raise ValueError("an empty histogram")
