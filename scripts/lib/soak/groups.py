"""What a group's members were given and what they committed: nothing is left out, nothing has two owners, no commit goes back.

    on_assign -> owner[partition] = member, at: from the committed offset on     a record below what was committed: alarm
    record    -> one after the other                                             a gap: explained at the end by where the log begins
    on_revoke -> committed, owner gone                                           an owner beside another: alarm
"""

import collections
import time


class GroupBook:
    """One group, by (topic, partition)."""

    # A member learns late that it is out when the broker was away.
    GRACE_S = 60

    def __init__(self, name, alarm):
        self.name, self.alarm = name, alarm
        self.owners, self.upto, self.committed, self.seen, self.gaps = {}, {}, {}, {}, {}
        self.at, self.floor = {}, {}
        self.story = collections.defaultdict(lambda: collections.deque(maxlen=8))
        self.reread, self.rebalances, self.broker_came, self.got_at = 0, 0, None, time.monotonic()

    def late(self):
        return self.broker_came is not None and time.monotonic() < self.broker_came + self.GRACE_S

    def note(self, place, text):
        self.story[place].append(f"{time.monotonic():.2f} {text}")

    def of_late(self, place):
        return "; ".join(self.story[place])

    def assigned(self, member, where):
        self.rebalances += 1
        for place in where:
            owner = self.owners.get(place)
            self.note(place, f"{member} has it")
            if owner not in (None, member) and not self.late():
                self.alarm("two owners", f"{self.name}: {place} was given to {member} while {owner} had it ({self.of_late(place)})")
            self.owners[place] = member
            self.at[member, place] = None
            self.floor[member, place] = self.committed.get(place, 0)

    def revoked(self, member, where, how="gave it back"):
        for place in where:
            self.note(place, f"{member} {how}")
            if self.owners.get(place) == member:
                del self.owners[place]

    def got(self, member, place, offset):
        self.got_at = time.monotonic()
        if self.owners.get(place) != member and not self.late():
            self.alarm("two owners", f"{self.name}: {member} has a record of {place}, which is {self.owners.get(place)}'s")
        at = self.at.get((member, place))
        if at is None:
            if offset < self.floor.get((member, place), 0):
                self.alarm("goes back", f"{self.name}: {member} begins {place} at {offset}, and {self.floor[member, place]} was "
                                        "committed")
        elif offset < at:
            self.alarm("goes back", f"{self.name}: {member} has offset {offset} of {place} after {at - 1}")
        upto = self.upto.get(place, 0)
        if offset > upto:
            self.gaps.setdefault(place, []).append((upto, offset))
        self.reread += offset < upto
        self.upto[place] = max(upto, offset + 1)
        self.at[member, place] = offset + 1

    def commits(self, place, offset):
        """A commit of this offset was acknowledged."""
        self.committed[place] = max(self.committed.get(place, 0), offset)

    def looked(self, place, offset):
        """The broker says that this offset is committed (below 0: none)."""
        before = self.seen.get(place, -1)
        if offset < before:
            self.alarm("commit", f"{self.name}: {offset} is committed for {place}, and it was {before}")
        self.seen[place] = max(before, offset)

    def stalls(self, held_up_s):
        """Records are written all the time: a group whose members are given none for so long hangs."""
        idle_s = time.monotonic() - self.got_at
        if idle_s > self.GRACE_S + held_up_s:
            self.alarm("stalled", f"{self.name}: no member was given a record for {idle_s:.0f} s; owners {self.owners}")
            self.got_at = time.monotonic()

    def settle(self, partitions):
        """At the end: every gap is one that a rule made. Gives how many records were left out by rules."""
        out = 0
        for place, gaps in self.gaps.items():
            partition = partitions[place]
            for begin, end in gaps:
                out += end - begin
                if not partition.has_holes and end > partition.start:
                    self.alarm("group gap", f"{self.name}: nobody was given {begin} to {end - 1} of {place}, and the log begins at "
                                            f"{partition.start}")
        return out
