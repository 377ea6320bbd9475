package ringlog;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Transactions with Kafka's own producer, run in ToolHost: `ringlog.Transactions VERB BOOTSTRAP TOPIC`. The transactional id is
 * the topic's name with the verb in front. Prints what happened, one fact a line; values that were written stand behind the word
 * that says what became of them.
 */
public class Transactions {
    private static final int PARTITIONS = 3;

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[1];
        String topic = arguments[2];
        switch (arguments[0]) {
            case "write" -> write(bootstrap, topic);
            case "fence" -> fence(bootstrap, topic);
            case "timeout" -> timeout(bootstrap, topic);
            case "offsets" -> offsets(bootstrap, topic);
            case "turn" -> turn(bootstrap, topic);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static KafkaProducer<String, String> producer(String bootstrap, String id, int timeoutMs) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", timeoutMs);
        settings.put("max.block.ms", 30_000);
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
        producer.initTransactions();
        return producer;
    }

    /** Sends ten values over the partitions in the open transaction; they are in the log when this returns. */
    private static List<String> send(KafkaProducer<String, String> producer, String topic, String name) {
        List<String> values = new ArrayList<>();
        for (int n = 0; n < 10; n++) {
            values.add(name + "-" + n);
            producer.send(new ProducerRecord<>(topic, n % PARTITIONS, null, name + "-" + n));
        }
        producer.flush();
        return values;
    }

    private static void say(String what, List<String> values) {
        System.out.println(what + " " + String.join(" ", values));
    }

    /** Thirteen transactions: every fourth is aborted, the last one is left open. */
    private static void write(String bootstrap, String topic) {
        KafkaProducer<String, String> producer = producer(bootstrap, "write-" + topic, 600_000);
        for (int transaction = 0; transaction < 13; transaction++) {
            producer.beginTransaction();
            List<String> values = send(producer, topic, "t" + transaction);
            if (transaction == 12) {
                say("OPEN", values);
            } else if (transaction % 4 == 1) {
                producer.abortTransaction();
                say("ABORTED", values);
            } else {
                producer.commitTransaction();
                say("COMMITTED", values);
            }
        }
        producer.close(Duration.ZERO); // which does not abort
    }

    /** Four transactions of whoever has the id for a while: the second one is aborted. */
    private static void turn(String bootstrap, String topic) {
        KafkaProducer<String, String> producer = producer(bootstrap, "turn-" + topic, 600_000);
        String name = Long.toString(System.nanoTime());
        for (int transaction = 0; transaction < 4; transaction++) {
            producer.beginTransaction();
            List<String> values = send(producer, topic, name + "-" + transaction);
            if (transaction == 1) {
                producer.abortTransaction();
            } else {
                producer.commitTransaction();
            }
            say(transaction == 1 ? "ABORTED" : "COMMITTED", values);
        }
        producer.close();
    }

    /** A second producer takes the id over from one that has a transaction open, which then cannot commit. */
    private static void fence(String bootstrap, String topic) {
        KafkaProducer<String, String> zombie = producer(bootstrap, "fence-" + topic, 600_000);
        zombie.beginTransaction();
        say("ABORTED", send(zombie, topic, "zombie"));
        KafkaProducer<String, String> successor = producer(bootstrap, "fence-" + topic, 600_000);
        refused("COMMIT", zombie::commitTransaction);
        successor.beginTransaction();
        say("COMMITTED", send(successor, topic, "successor"));
        successor.commitTransaction();
        refused("AGAIN", zombie::beginTransaction);
        successor.close();
        zombie.close(Duration.ZERO);
    }

    /** A transaction that outlives its timeout is aborted by the coordinator, and its commit comes too late. */
    private static void timeout(String bootstrap, String topic) throws Exception {
        KafkaProducer<String, String> slow = producer(bootstrap, "timeout-" + topic, 1_000);
        slow.beginTransaction();
        say("ABORTED", send(slow, topic, "slow"));
        Thread.sleep(4_000);
        refused("COMMIT", slow::commitTransaction);
        slow.close(Duration.ZERO);
        KafkaProducer<String, String> next = producer(bootstrap, "timeout-" + topic, 60_000);
        next.beginTransaction();
        say("COMMITTED", send(next, topic, "next"));
        next.commitTransaction();
        next.close();
    }

    /** Offsets are a group's when their transaction is committed: not before, and never of one that is aborted. */
    private static void offsets(String bootstrap, String topic) {
        String group = "offsets-" + topic;
        TopicPartition partition = new TopicPartition(topic, 0);
        KafkaProducer<String, String> producer = producer(bootstrap, group, 600_000);
        producer.beginTransaction();
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(5)), new ConsumerGroupMetadata(group));
        System.out.println("PENDING " + committed(bootstrap, group, partition));
        producer.abortTransaction();
        System.out.println("ABORTED " + committed(bootstrap, group, partition));
        producer.beginTransaction();
        producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7, "noted")), new ConsumerGroupMetadata(group));
        producer.commitTransaction();
        System.out.println("COMMITTED " + committed(bootstrap, group, partition));
        producer.close();
    }

    private static String committed(String bootstrap, String group, TopicPartition partition) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("default.api.timeout.ms", 3_000);
        settings.put("request.timeout.ms", 2_000);
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            OffsetAndMetadata found = consumer.committed(Set.of(partition)).get(partition);
            return found == null ? "none" : found.offset() + found.metadata();
        } catch (TimeoutException unstable) {
            return "unstable";
        }
    }

    /** Prints the kind of error that an action meets, or that it meets none. */
    private static void refused(String what, Runnable action) {
        try {
            action.run();
            System.out.println(what + " taken");
        } catch (RuntimeException refusal) {
            System.out.println(what + " " + refusal.getClass().getSimpleName());
        }
    }
}
