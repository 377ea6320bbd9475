package ringlog;

import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/**
 * A word count of Kafka Streams under exactly_once_v2: `ringlog.WordCount BOOTSTRAP IN OUT FOLDER`. Each word of IN makes one record
 * of OUT: the word, and how often it was counted by then. Prints the same, also of transactions that are aborted afterwards, and DIED
 * for a thread that gave up and is replaced. Ends, and commits, when its input is closed.
 */
public class WordCount {
    /** A word takes this long, so that a broker which dies has a transaction open. */
    private static final int WORD_MS = 2;

    public static void main(String[] arguments) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.<String, String>stream(arguments[1])
            .flatMapValues(line -> Arrays.asList(line.split(" ")))
            .groupBy((key, word) -> word)
            .count()
            .toStream()
            .mapValues(count -> Long.toString(count))
            .peek(WordCount::say)
            .to(arguments[2]);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings(arguments[0], arguments[3]));
        streams.setUncaughtExceptionHandler(error -> {
            System.out.println("DIED " + error);
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        streams.start();
        while (System.in.read() >= 0) { }
        if (!streams.close(Duration.ofSeconds(60))) {
            throw new IllegalStateException("not closed in time");
        }
    }

    private static Properties settings(String bootstrap, String folder) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "word-count");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.String().getClass());
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0); // or a record of OUT counts several words
        settings.put(StreamsConfig.producerPrefix("linger.ms"), 0); // or a transaction writes nothing before it commits
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        settings.put(StreamsConfig.mainConsumerPrefix("session.timeout.ms"), 6000); // or who is killed is waited for too long
        settings.put(StreamsConfig.mainConsumerPrefix("heartbeat.interval.ms"), 2000);
        return settings;
    }

    private static void say(String word, String count) {
        try {
            Thread.sleep(WORD_MS);
        } catch (InterruptedException over) {
            Thread.currentThread().interrupt();
        }
        System.out.println(word + " " + count);
    }
}
