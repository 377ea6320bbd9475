"""Members of groups of both protocols by raw frames, thousands in one process: what they cost a broker, and how soon they agree.

    Classic     JoinGroup 5 -> SyncGroup 3 (the leader gives the partitions away) -> Heartbeat 3, each `interval_s`; told to, it joins anew
    Consumer    ConsumerGroupHeartbeat 1: epoch 0 -> what it is given -> what it has, at once where that changed, else each `interval_s`

Members read nothing. Each has a connection of its own, as a consumer has to its coordinator.
"""

import asyncio
import struct
import uuid

from lib.report import need
from lib.wire import Cursor, array, frame, request, string

JOIN_GROUP, HEARTBEAT, SYNC_GROUP, CONSUMER_GROUP_HEARTBEAT = 11, 12, 14, 68
NONE, NOT_COORDINATOR, REBALANCE_IN_PROGRESS, MEMBER_ID_REQUIRED = 0, 16, 27, 79
COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, ILLEGAL_GENERATION = 14, 15, 22
NOT_YET = (COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR)
SESSION_MS, REBALANCE_MS = 45_000, 60_000
BEGIN_TRIES, BEGIN_WAIT_S = 150, 0.2


class Member:
    """What both protocols share: the connection, and what the member has."""

    def __init__(self, port, group, topic, partitions, interval_s):
        self.port, self.group, self.topic, self.partitions, self.interval_s = port, group, topic, partitions, interval_s
        self.id, self.owned, self.heartbeats = "", [], 0
        self.reader = self.writer = self.beats = None
        #: Called whenever what the member has changed, or may be used anew.
        self.on_change = lambda: None

    async def ask(self, key, version, body, is_flexible=False):
        head = request(key, version, b"", client="group-member") + (b"\0" if is_flexible else b"")
        self.writer.write(frame(head + body))
        size = struct.unpack(">i", await self.reader.readexactly(4))[0]
        return Cursor((await self.reader.readexactly(size))[5 if is_flexible else 4:])

    async def join(self):
        """Until it is a member that has been told what it has."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        await self.enter()
        self.beats = asyncio.ensure_future(self.beat())

    async def leave(self):
        if self.beats:
            self.beats.cancel()
        self.writer.close()

    async def again(self, ask):
        """Asks until the coordinator is there."""
        for _ in range(BEGIN_TRIES):
            code, rest = await ask()
            if code not in NOT_YET:
                return code, rest
            await asyncio.sleep(BEGIN_WAIT_S)
        need(False, f"no coordinator for {self.group}: error {code}")


class Classic(Member):
    """A member of the classic protocol. `generation` says which of the group's it is in."""

    generation = -1

    async def enter(self):
        code, answer = await self.again(self.ask_to_join)
        if code == MEMBER_ID_REQUIRED:
            code, answer = await self.ask_to_join()
        need(code == NONE, f"JoinGroup of {self.group}: error {code}")
        is_leader, members = answer
        given = self.given(members) if is_leader else []
        code = await self.sync(given)
        if code in (REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION):
            return await self.enter()
        need(code == NONE, f"SyncGroup of {self.group}: error {code}")
        self.on_change()

    async def ask_to_join(self):
        topics = struct.pack(">h", 0) + array([string(self.topic)]) + struct.pack(">i", -1)
        body = string(self.group) + struct.pack(">ii", SESSION_MS, REBALANCE_MS) + string(self.id) + string(None) + string("consumer")
        body += array([string("range") + struct.pack(">i", len(topics)) + topics])
        answer = await self.ask(JOIN_GROUP, 5, body)
        answer.take("i")
        code, generation = answer.take("hi")
        answer.string()
        leader, self.id = answer.string(), answer.string()
        members = []
        for _ in range(answer.take("i")):
            members.append(answer.string())
            answer.nullable(), answer.bytes(answer.take("i"))
        self.generation = generation
        return code, (leader == self.id, members)

    def given(self, members):
        """All partitions, in equal parts."""
        out = []
        for at, member in enumerate(sorted(members)):
            mine = range(at, self.partitions, len(members))
            told = struct.pack(">h", 0) + array([string(self.topic) + array([struct.pack(">i", one) for one in mine])])
            told += struct.pack(">i", -1)
            out.append(string(member) + struct.pack(">i", len(told)) + told)
        return out

    async def sync(self, given):
        body = string(self.group) + struct.pack(">i", self.generation) + string(self.id) + string(None) + array(given)
        answer = await self.ask(SYNC_GROUP, 3, body)
        answer.take("i")
        code, size = answer.take("h"), answer.take("i")
        self.owned = []
        if code == NONE and size > 0:
            answer.take("h"), answer.take("i"), answer.string()
            self.owned = [answer.take("i") for _ in range(answer.take("i"))]
        return code

    async def beat(self):
        while True:
            await asyncio.sleep(self.interval_s)
            body = string(self.group) + struct.pack(">i", self.generation) + string(self.id) + string(None)
            answer = await self.ask(HEARTBEAT, 3, body)
            self.heartbeats += 1
            answer.take("i")
            code = answer.take("h")
            if code == REBALANCE_IN_PROGRESS:
                await self.enter()
            else:
                need(code == NONE, f"Heartbeat of {self.group}: error {code}")


class Consumer(Member):
    """A member of the consumer protocol (KIP-848). `epoch` is the member's."""

    epoch = 0

    async def enter(self):
        self.id = str(uuid.uuid4())
        code, _ = await self.again(lambda: self.heartbeat(True))
        need(code == NONE, f"ConsumerGroupHeartbeat of {self.group}: error {code}")

    async def heartbeat(self, is_first):
        compact = lambda text: bytes([len(text) + 1]) + text.encode()
        body = compact(self.group) + compact(self.id) + struct.pack(">i", self.epoch) + b"\0\0"
        body += struct.pack(">i", REBALANCE_MS if is_first else -1)
        body += b"\2" + compact(self.topic) if is_first else b"\0"
        body += b"\0\0" + self.owned_bytes(is_first) + b"\0"
        answer = await self.ask(CONSUMER_GROUP_HEARTBEAT, 1, body, is_flexible=True)
        self.heartbeats += 1
        answer.take("i")
        code = answer.take("h")
        for _ in range(2):  # the error's words, the member's id
            answer.bytes(unsigned(answer) - 1)
        epoch, _ = answer.take("ii")
        if code == NONE:
            self.epoch = epoch
            if answer.take("b") == 1:
                self.take(answer)
                self.has_news = True
            self.on_change()
        return code, None

    has_news, topic_id = False, bytes(16)

    def owned_bytes(self, is_first):
        """What it has, where the broker does not know it."""
        if not (is_first or self.has_news):
            return b"\0"
        self.has_news = False
        if not self.owned:
            return b"\1"
        return b"\2" + self.topic_id + count(len(self.owned)) + b"".join(struct.pack(">i", one) for one in self.owned) + b"\0"

    def take(self, answer):
        self.owned = []
        for _ in range(unsigned(answer) - 1):
            self.topic_id = answer.bytes(16)
            self.owned += [answer.take("i") for _ in range(unsigned(answer) - 1)]
            answer.bytes(1)

    async def beat(self):
        while True:
            if not self.has_news:
                await asyncio.sleep(self.interval_s)
            code, _ = await self.heartbeat(False)
            need(code == NONE, f"ConsumerGroupHeartbeat of {self.group}: error {code}")


def unsigned(cursor):
    """An unsigned varint."""
    value = shift = 0
    while True:
        byte = cursor.take("B")
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
        shift += 7


def count(items):
    """The length of a compact array."""
    items, out = items + 1, bytearray()
    while items > 0x7F:
        out.append(items & 0x7F | 0x80)
        items >>= 7
    return bytes(out) + bytes([items])
