package ringlog;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A group whose members change from the classic protocol to the consumer protocol one by one, and back, while a producer writes:
 * `ringlog.GroupUpgrade BOOTSTRAP TOPIC PARTITIONS STRATEGY MEMBERS`. The group is named as the topic. Each member leaves once its
 * successor has its share, and the next one comes once all is shared out again. Prints a line of each such rest (STAGE, how many
 * members speak which protocol, what the group is), and at the end how many values were written, how many were read, how many of
 * them twice, and how far the group has committed. Ends with 1, and why, where something does not come to rest.
 */
public class GroupUpgrade {
    private static final long LIMIT_MS = 60_000;

    private final String bootstrap;
    private final String topic;
    private final int partitions;
    private final String strategy;
    private final Map<String, Integer> reads = new ConcurrentHashMap<>();
    private final AtomicInteger written = new AtomicInteger();
    private volatile boolean writes = true;
    private volatile Throwable broken;

    private GroupUpgrade(String[] arguments) {
        bootstrap = arguments[0];
        topic = arguments[1];
        partitions = Integer.parseInt(arguments[2]);
        strategy = arguments[3];
    }

    public static void main(String[] arguments) throws Exception {
        GroupUpgrade upgrade = new GroupUpgrade(arguments);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", upgrade.bootstrap))) {
            upgrade.run(admin, Integer.parseInt(arguments[4]));
            System.exit(0);
        } catch (Throwable failure) {
            System.out.println("FAILED " + failure);
            System.exit(1);
        }
    }

    private void run(Admin admin, int count) throws Exception {
        Deque<Member> members = new ArrayDeque<>();
        for (int n = 0; n < count; n++) {
            members.add(new Member(true));
        }
        rest(admin, members);
        Thread writer = new Thread(this::write);
        writer.start();
        replaceEach(admin, members, false);
        replaceEach(admin, members, true);
        writes = false;
        writer.join();
        until("all is read", () -> reads.size() >= written.get());
        for (Member member : members) {
            member.leave();
        }
        long twice = reads.values().stream().filter(times -> times > 1).count();
        long committed = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().values().stream()
            .mapToLong(offset -> offset.offset()).sum();
        System.out.println("END " + written + " " + reads.size() + " " + twice + " " + committed);
    }

    private void replaceEach(Admin admin, Deque<Member> members, boolean isClassic) throws Exception {
        for (int n = members.size(); n > 0; n--) {
            members.addLast(new Member(isClassic));
            rest(admin, members);
            members.removeFirst().leave();
            rest(admin, members);
        }
    }

    /** Waits until each partition is one member's, and each member has its part. */
    private void rest(Admin admin, Deque<Member> members) throws Exception {
        until("each of " + members + " has its share", () -> {
            Set<Integer> all = new HashSet<>();
            int total = 0;
            for (Member member : members) {
                total += member.assigned.size();
                all.addAll(member.assigned);
            }
            int least = partitions / members.size();
            return total == partitions && all.size() == partitions
                && members.stream().allMatch(member -> member.assigned.size() >= least);
        });
        ConsumerGroupDescription group = admin.describeConsumerGroups(List.of(topic)).all().get().get(topic);
        long classic = members.stream().filter(member -> member.isClassic).count();
        System.out.println("STAGE " + classic + " " + (members.size() - classic) + " " + group.type());
    }

    private interface Condition {
        boolean holds();
    }

    private void until(String what, Condition condition) throws InterruptedException {
        long end = System.currentTimeMillis() + LIMIT_MS;
        while (!condition.holds()) {
            if (broken != null) {
                throw new IllegalStateException("while it waited until " + what, broken);
            }
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("not within " + LIMIT_MS + " ms: " + what + "; " + reads.size() + " of " + written + " read");
            }
            Thread.sleep(20);
        }
    }

    /** Values in order, over all partitions, each acknowledged. */
    private void write() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("acks", "all");
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
            for (int n = 0; writes; n++) {
                producer.send(new ProducerRecord<>(topic, n % partitions, null, Integer.toString(n)), (metadata, error) -> {
                    if (error == null) {
                        written.incrementAndGet();
                    } else {
                        broken = error;
                    }
                });
                Thread.sleep(2);
            }
        } catch (Throwable failure) {
            broken = failure;
        }
    }

    /** A consumer on a thread of its own, which commits what it has read at once. */
    private final class Member implements Runnable, ConsumerRebalanceListener {
        private final boolean isClassic;
        private final KafkaConsumer<String, String> consumer;
        private final Thread thread = new Thread(this);
        private volatile Set<Integer> assigned = Set.of();
        private volatile boolean stays = true;

        private Member(boolean isClassic) {
            this.isClassic = isClassic;
            Properties settings = new Properties();
            settings.put("bootstrap.servers", bootstrap);
            settings.put("group.id", topic);
            settings.put("enable.auto.commit", false);
            settings.put("auto.offset.reset", "earliest");
            settings.put("group.protocol", isClassic ? "classic" : "consumer");
            if (isClassic) {
                settings.put("partition.assignment.strategy", strategy);
                settings.put("session.timeout.ms", 10_000);
                settings.put("heartbeat.interval.ms", 500);
            }
            consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
            thread.start();
        }

        @Override
        public void run() {
            try (consumer) {
                consumer.subscribe(List.of(topic), this);
                while (stays) {
                    consumer.poll(Duration.ofMillis(50)).forEach(record -> reads.merge(record.value(), 1, Integer::sum));
                    commit();
                    note();
                }
            } catch (Throwable failure) {
                broken = failure;
            }
        }

        private void commit() {
            try {
                consumer.commitSync();
            } catch (RebalanceInProgressException | CommitFailedException | RetriableException later) {
                // What stays is committed with the next records; what goes, before it goes.
            }
        }

        private void note() {
            Set<Integer> now = new HashSet<>();
            consumer.assignment().forEach(partition -> now.add(partition.partition()));
            assigned = now;
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> gone) {
            commit();
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> come) { }

        private void leave() throws InterruptedException {
            stays = false;
            thread.join(LIMIT_MS);
        }

        @Override
        public String toString() {
            return (isClassic ? "classic" : "consumer") + assigned;
        }
    }
}
