"""scripts/group-cost: what heartbeats of many groups cost a broker, and how long a rebalance of a large group takes.

    beats       1,000 groups of three members: processor time of the broker for each heartbeat, and as a share of a core
    rebalance   100 members share 1,000 partitions; one more comes. Until all of them have their parts of it, once each

Brokers take turns; each gets a fresh folder, and the middle of the rounds counts. Members: lib/group_members.py.
"""

import asyncio
import collections
import pathlib
import resource
import statistics
import time

from lib import brokers, wire
from lib.group_members import BEGIN_TRIES, BEGIN_WAIT_S, Classic, Consumer
from lib.report import Failed, need

PROTOCOLS = {"classic": Classic, "consumer": Consumer}
#: Of the settled group, heartbeats come each so many seconds: the defaults of `heartbeat.interval.ms` and of
#: `group.consumer.heartbeat.interval.ms`.
INTERVAL_S = {"classic": 3.0, "consumer": 5.0}
SETTLE_S_MAX = 120.0
#: Members that come at the same time.
AT_ONCE = 50


def run(options):
    """Prints a line for each measurement; 1 where one could not be made."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    told = collections.defaultdict(list)
    for number in range(options.rounds):
        for target in options.targets if number % 2 == 0 else options.targets[::-1]:
            with brokers.scratch("ringlog-groups-") as folder:
                overrides = {"group.consumer.max.size": 1000, "offsets.topic.num.partitions": 50}
                broker = brokers.new(target, folder / "broker", binary=options.bin, overrides=overrides) if target == "ringlog" \
                    else brokers.new(target, folder / "broker", overrides=overrides)
                with broker:
                    for protocol in PROTOCOLS:
                        for what, value in asyncio.run(measured(options, broker, protocol)).items():
                            told[protocol, what, target].append(value)
                            print(f"round {number + 1} {target} {protocol} {what} {value:.4g}", flush=True)
    for (protocol, what, target), values in sorted(told.items()):
        print(f"{protocol} {what} {target}: {statistics.median(values):.4g} [{min(values):.4g} .. {max(values):.4g}]")
    return 0


def cpu_ns(broker):
    tasks = pathlib.Path(f"/proc/{broker.process.pid}/task").glob("*/schedstat")
    return sum(int(path.read_text().split()[0]) for path in tasks)


async def measured(options, broker, protocol):
    out = {}
    if options.groups:
        out.update(await beats(options, broker, protocol))
    if options.members:
        out.update(await rebalance(options, broker, protocol))
    return out


def topic_of(broker, name, partitions):
    code = wire.make_topic(broker.port, name, partitions)
    need(code == 0, f"{name} is not made: error {code}")
    wire.leader_port(broker.port, name, partitions - 1, create=False)
    return name


def coordinator(broker, group):
    """The port of a group's coordinator; the question makes `__consumer_offsets` where it is not there."""
    for _ in range(BEGIN_TRIES):
        with wire.Connection(broker.port) as connection:
            answer = connection.ask(wire.find_coordinator(group))
        if answer.take("h") == 0:
            answer.take("i"), answer.string()
            return answer.take("i")
        time.sleep(BEGIN_WAIT_S)
    raise Failed(f"no coordinator for {group} after {BEGIN_TRIES * BEGIN_WAIT_S:.0f} s")


async def joined(members):
    for at in range(0, len(members), AT_ONCE):
        await asyncio.gather(*(member.join() for member in members[at:at + AT_ONCE]))


async def left(members):
    for member in members:
        if member.beats and member.beats.done():
            member.beats.result()  # why it ended
        await member.leave()


async def beats(options, broker, protocol):
    topic = topic_of(broker, f"beats-{protocol}", 3)
    make = PROTOCOLS[protocol]
    port = coordinator(broker, f"beats-{protocol}-0")
    members = [make(port, f"beats-{protocol}-{group}", topic, 3, INTERVAL_S[protocol])
               for group in range(options.groups) for _ in range(3)]
    await joined(members)
    await asyncio.sleep(options.warm)
    before, begun, counted = cpu_ns(broker), time.monotonic(), sum(it.heartbeats for it in members)
    await asyncio.sleep(options.seconds)
    spent, took = cpu_ns(broker) - before, time.monotonic() - begun
    asked = sum(it.heartbeats for it in members) - counted
    for group in range(0, len(members), 3):
        owned = sorted(one for member in members[group:group + 3] for one in member.owned)
        need(owned == [0, 1, 2], f"{members[group].group} has {owned}")
    await left(members)
    need(asked >= len(members) * options.seconds / INTERVAL_S[protocol] * 0.6, f"{asked} heartbeats only")
    return {"core-percent": spent / took / 1e7, "us-per-heartbeat": spent / asked / 1e3, "heartbeats-per-s": asked / took}


async def rebalance(options, broker, protocol):
    topic = topic_of(broker, f"large-{protocol}", options.partitions)
    make = PROTOCOLS[protocol]
    port = coordinator(broker, f"large-{protocol}")
    members = [make(port, f"large-{protocol}", topic, options.partitions, options.interval)
               for _ in range(options.members + 1)]
    changed = asyncio.Event()
    for member in members:
        member.on_change = changed.set
    all_but_one = members[:-1]
    # A member of the classic protocol is in when all others have come, so they come at the same time.
    await asyncio.gather(*(member.join() for member in all_but_one))
    first_s = await settled(all_but_one, changed, options.partitions)
    before = cpu_ns(broker)
    begun = time.monotonic()
    late = asyncio.ensure_future(members[-1].join())
    await settled(members, changed, options.partitions)
    took = time.monotonic() - begun
    spent = cpu_ns(broker) - before
    await late
    await left(members)
    return {"first-s": first_s, "rebalance-s": took, "rebalance-cpu-ms": spent / 1e6}


async def settled(members, changed, partitions):
    """Until the members have all partitions, once each, in equal parts, and are in one generation."""
    begun = time.monotonic()
    least, most = partitions // len(members), -(-partitions // len(members))
    while True:
        owned = sorted(one for member in members for one in member.owned)
        equal = all(least <= len(member.owned) <= most for member in members)
        ages = {member.generation if isinstance(member, Classic) else member.epoch for member in members}
        known = not any(getattr(member, "has_news", False) for member in members)
        if owned == list(range(partitions)) and equal and len(ages) == 1 and known:
            return time.monotonic() - begun
        left_s = SETTLE_S_MAX - (time.monotonic() - begun)
        need(left_s > 0, f"not settled after {SETTLE_S_MAX} s: {len(owned)} of {partitions} partitions, generations {sorted(ages)[:5]}")
        for member in members:
            if member.beats and member.beats.done():
                member.beats.result()
        changed.clear()
        try:
            await asyncio.wait_for(changed.wait(), min(left_s, 1.0))
        except asyncio.TimeoutError:
            pass
