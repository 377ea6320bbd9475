// Prints what the assignors beside Kafka's group coordinator give in groups drawn at random (from one seed), a line each:
//
//   assignor|HOMOGENEOUS or HETEROGENEOUS|topic=partitions ..|member/instance or -/topic,..;topic:partition.partition,.. ..|
//   member/topic:partition.partition,.. ..
//
// Run by scripts/assignor-vectors. Each group is asked twice: as it begins, and after members came and went and topics grew,
// with what the first answer gave. Maps are filled in the order of ids, as Ringlog fills them.

import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.modern.*;

public class ServerAssignors {
    record Member(String instance, TreeSet<Uuid> topics, TreeMap<Uuid, TreeSet<Integer>> owned) {}

    static final Comparator<Uuid> ORDER = Comparator.comparing(ServerAssignors::hex);
    static final Random RANDOM = new Random(848);

    public static void main(String[] none) {
        for (int n = 0; n < 40; n++) {
            for (boolean same : new boolean[] {true, false}) {
                twice(new UniformAssignor(), same, n);
                twice(new RangeAssignor(), same, n);
            }
        }
    }

    static void twice(PartitionAssignor assignor, boolean same, int n) {
        TreeMap<Uuid, Integer> topics = new TreeMap<>(ORDER);
        int most = n % 5 == 0 ? 40 : 9;
        for (int i = RANDOM.nextInt(n % 7 == 0 ? 20 : 5); i >= 0; i--)
            topics.put(new Uuid(RANDOM.nextLong(), RANDOM.nextLong()), 1 + RANDOM.nextInt(most));
        TreeMap<String, Member> members = new TreeMap<>();
        TreeSet<Uuid> all = some(topics, true);
        for (int i = RANDOM.nextInt(n % 5 == 0 ? 30 : 6); i >= 0; i--) join(members, same, all, topics);
        var assigned = print(assignor, same, topics, members);
        for (String id : List.copyOf(members.keySet())) {
            if (RANDOM.nextInt(4) == 0) { members.remove(id); continue; }
            Member before = members.get(id);
            TreeSet<Uuid> read = !same && RANDOM.nextInt(3) == 0 ? some(topics, false) : before.topics;
            members.put(id, new Member(before.instance, read, assigned.getOrDefault(id, new TreeMap<>(ORDER))));
        }
        for (int i = RANDOM.nextInt(3); i > 0; i--) join(members, same, all, topics);
        if (RANDOM.nextBoolean()) topics.replaceAll((topic, count) -> count + RANDOM.nextInt(3));
        if (!members.isEmpty()) print(assignor, same, topics, members);
    }

    static void join(TreeMap<String, Member> members, boolean same, TreeSet<Uuid> all, TreeMap<Uuid, Integer> topics) {
        String instance = RANDOM.nextInt(4) == 0 ? "i" + RANDOM.nextInt(100000) : null;
        members.put(new Uuid(RANDOM.nextLong(), RANDOM.nextLong()).toString().substring(0, 1 + RANDOM.nextInt(21)) + "m" + members.size(),
            new Member(instance, same ? all : some(topics, false), new TreeMap<>(ORDER)));
    }

    static TreeSet<Uuid> some(TreeMap<Uuid, Integer> topics, boolean every) {
        TreeSet<Uuid> some = new TreeSet<>(ORDER);
        for (Uuid topic : topics.keySet()) if (every || RANDOM.nextInt(3) > 0) some.add(topic);
        return some;
    }

    static Map<String, TreeMap<Uuid, TreeSet<Integer>>> print(PartitionAssignor assignor, boolean same, TreeMap<Uuid, Integer> topics, TreeMap<String, Member> members) {
        Map<String, MemberSubscriptionAndAssignmentImpl> spec = new HashMap<>();
        Map<Uuid, Map<Integer, String>> inverted = new HashMap<>();
        members.forEach((id, member) -> {
            Map<Uuid, Set<Integer>> owned = new HashMap<>();
            member.owned.forEach((topic, partitions) -> {
                owned.put(topic, new HashSet<>(List.copyOf(partitions)));
                partitions.forEach(partition -> inverted.computeIfAbsent(topic, t -> new HashMap<>()).put(partition, id));
            });
            spec.put(id, new MemberSubscriptionAndAssignmentImpl(Optional.empty(), Optional.ofNullable(member.instance), new LinkedHashSet<>(member.topics), new Assignment(owned)));
        });
        var type = same ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
        var given = assignor.assign(new GroupSpecImpl(spec, type, inverted), new SubscribedTopicDescriber() {
            public int numPartitions(Uuid topic) { return topics.getOrDefault(topic, -1); }
            public Set<String> racksForPartition(Uuid topic, int partition) { return Set.of(); }
        });
        Map<String, TreeMap<Uuid, TreeSet<Integer>>> assigned = new TreeMap<>();
        given.members().forEach((id, one) -> {
            TreeMap<Uuid, TreeSet<Integer>> sorted = new TreeMap<>(ORDER);
            one.partitions().forEach((topic, partitions) -> sorted.put(topic, new TreeSet<>(partitions)));
            assigned.put(id, sorted);
        });
        System.out.println(String.join("|", assignor.name(), type.name(),
            topics.entrySet().stream().map(e -> hex(e.getKey()) + "=" + e.getValue()).collect(Collectors.joining(" ")),
            members.entrySet().stream().map(e -> e.getKey() + "/" + Objects.toString(e.getValue().instance, "-") + "/"
                + e.getValue().topics.stream().map(ServerAssignors::hex).collect(Collectors.joining(",")) + ";" + text(e.getValue().owned)).collect(Collectors.joining(" ")),
            assigned.entrySet().stream().map(e -> e.getKey() + "/" + text(e.getValue())).collect(Collectors.joining(" "))));
        return assigned;
    }

    static String text(TreeMap<Uuid, TreeSet<Integer>> partitions) {
        return partitions.entrySet().stream().map(e -> hex(e.getKey()) + ":" + e.getValue().stream().map(String::valueOf).collect(Collectors.joining("."))).collect(Collectors.joining(","));
    }

    static String hex(Uuid id) {
        return String.format("%016x%016x", id.getMostSignificantBits(), id.getLeastSignificantBits());
    }
}
