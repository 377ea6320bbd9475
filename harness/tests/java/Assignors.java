// Prints what Kafka's own assignors give in groups drawn at random (from one seed): one JSON object a line,
// {"assignor", "topics": {name: partitions}, "members": [{"id", "instance", "topics", "owned", "generation"}],
//  "assigned": {member: ["topic-partition", ...]}}. Run by scripts/assignor-vectors.
//
// A sticky group is asked twice: as it begins, and after members came and went, with what the first answer gave.
// The subscriptions of StickyAssignor carry what that class writes itself as "userData" (hex).

import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.*;
import org.apache.kafka.clients.consumer.internals.AbstractPartitionAssignor;
import org.apache.kafka.common.*;

public class Assignors {
    record Member(String id, String instance, List<String> topics, List<TopicPartition> owned, int generation) {}

    static final Random RANDOM = new Random(4);

    public static void main(String[] none) throws Exception {
        for (int n = 0; n < 120; n++) {
            print(new RangeAssignor(), topics(), members(1 + RANDOM.nextInt(6), n % 2 == 0), "range");
            print(new RoundRobinAssignor(), topics(), members(1 + RANDOM.nextInt(6), n % 2 == 0), "roundrobin");
            sticky(new StickyAssignor(), new StickyAssignor(), n % 2 == 0, "sticky");
            sticky(new CooperativeStickyAssignor(), new CooperativeStickyAssignor(), n % 2 == 0, "cooperative-sticky");
        }
    }

    static void sticky(AbstractPartitionAssignor first, AbstractPartitionAssignor second, boolean same, String name) throws Exception {
        Map<String, Integer> topics = topics();
        List<Member> members = members(1 + RANDOM.nextInt(6), same);
        Map<String, List<TopicPartition>> assigned = print(first, topics, members, name);
        List<Member> next = new ArrayList<>();
        for (Member member : members)
            if (RANDOM.nextInt(4) > 0)
                next.add(new Member(member.id, member.instance, member.topics, assigned.get(member.id), RANDOM.nextInt(5) > 0 ? 7 : 6));
        for (Member member : members(RANDOM.nextInt(3), same))
            next.add(new Member("new-" + member.id, member.instance == null ? null : "new-" + member.instance, member.topics, List.of(), -1));
        if (RANDOM.nextBoolean()) topics.replaceAll((topic, count) -> count + 1);
        if (!next.isEmpty()) print(second, topics, next, name);
    }

    static Map<String, Integer> topics() {
        Map<String, Integer> topics = new TreeMap<>();
        for (int n = 0; n < 1 + RANDOM.nextInt(4); n++) topics.put("t" + n, 1 + RANDOM.nextInt(9));
        return topics;
    }

    /** All subscribe to the same topics, or each to some of them; "gone" does not exist. */
    static List<Member> members(int count, boolean same) {
        List<Member> members = new ArrayList<>();
        for (int n = 0; n < count; n++) {
            List<String> topics = new ArrayList<>();
            for (String topic : List.of("t0", "t1", "t2", "t3", "gone")) if (same || RANDOM.nextInt(3) > 0) topics.add(topic);
            String id = "m" + RANDOM.nextInt(1000) + "-" + n;
            members.add(new Member(id, RANDOM.nextInt(4) == 0 ? "i" + RANDOM.nextInt(100) + n : null, topics, List.of(), -1));
        }
        return members;
    }

    static Map<String, List<TopicPartition>> print(AbstractPartitionAssignor assignor, Map<String, Integer> topics, List<Member> members, String name) throws Exception {
        Node node = new Node(1, "h", 1);
        List<PartitionInfo> infos = new ArrayList<>();
        topics.forEach((topic, count) -> {
            for (int n = 0; n < count; n++) infos.add(new PartitionInfo(topic, n, node, new Node[] {node}, new Node[] {node}));
        });
        Cluster cluster = new Cluster("c", List.of(node), infos, Set.of(), Set.of());
        Map<String, Subscription> subscriptions = new HashMap<>();
        StringJoiner json = new StringJoiner(",", "[", "]");
        for (Member member : members) {
            ByteBuffer data = userData(name, member);
            Subscription subscription = new Subscription(member.topics, data, name.equals("sticky") ? List.of() : member.owned, member.generation, Optional.empty());
            subscription.setGroupInstanceId(Optional.ofNullable(member.instance));
            subscriptions.put(member.id, subscription);
            json.add("{\"id\":" + text(member.id) + ",\"instance\":" + text(member.instance) + ",\"topics\":" + list(member.topics)
                + ",\"owned\":" + list(member.owned) + ",\"generation\":" + member.generation + ",\"userData\":"
                + text(data == null ? null : HexFormat.of().formatHex(Arrays.copyOf(data.array(), data.limit()))) + "}");
        }
        var assignment = assignor.assign(cluster, new GroupSubscription(subscriptions)).groupAssignment();
        Map<String, List<TopicPartition>> assigned = new TreeMap<>();
        assignment.forEach((id, one) -> assigned.put(id, one.partitions()));
        String given = assigned.entrySet().stream().map(e -> text(e.getKey()) + ":" + list(e.getValue())).collect(Collectors.joining(",", "{", "}"));
        String counts = topics.entrySet().stream().map(e -> text(e.getKey()) + ":" + e.getValue()).collect(Collectors.joining(",", "{", "}"));
        System.out.println("{\"assignor\":" + text(name) + ",\"topics\":" + counts + ",\"members\":" + json + ",\"assigned\":" + given + "}");
        return assigned;
    }

    /** What the class writes after an assignment. */
    static ByteBuffer userData(String name, Member member) {
        if (member.generation < 0 || !name.contains("sticky")) return null;
        ConsumerPartitionAssignor writer = name.equals("sticky") ? new StickyAssignor() : new CooperativeStickyAssignor();
        writer.onAssignment(new Assignment(member.owned), new ConsumerGroupMetadata("g", member.generation, member.id, Optional.empty()));
        return writer.subscriptionUserData(new HashSet<>(member.topics));
    }

    static String text(String text) {
        return text == null ? "null" : "\"" + text + "\"";
    }

    static String list(Collection<?> items) {
        return items.stream().map(item -> text(item.toString())).collect(Collectors.joining(",", "[", "]"));
    }
}
