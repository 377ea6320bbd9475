package org.apache.kafka.clients.producer.internals;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Cluster;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.record.internal.CompressionRatioEstimator;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;

/**
 * Where Kafka's own RecordAccumulator goes on to another partition and where it begins a new batch, for records without
 * keys. A line is one run: codec, estimated ratio, batch.size, the length of each value, at which records the partition
 * changed, after which of its records each batch ended. Run: scripts/assignor-vectors has the way; this one is
 * javac -cp 'LIBS/*' -d OUT StickySwitches.java && java -cp 'OUT:LIBS/*' org.apache.kafka.clients.producer.internals.StickySwitches
 */
public class StickySwitches {
    static final int PARTITIONS = 1000;

    public static void main(String[] args) throws Exception {
        for (CompressionType type : new CompressionType[] {CompressionType.NONE, CompressionType.LZ4, CompressionType.GZIP}) {
            float[] ratios = type == CompressionType.NONE ? new float[] {1f} : new float[] {1f, 0.7f, 0.35f, 0.1f};
            for (float ratio : ratios) {
                for (int batchSize : new int[] {1000, 4096, 16384}) {
                    for (int[] sizes : new int[][] {{100}, {900}, {1000, 10}, {37, 411, 5}, {3000, 100, 100}}) {
                        run(type, ratio, batchSize, sizes);
                    }
                }
            }
        }
    }

    static void run(CompressionType type, float ratio, int batchSize, int[] sizes) throws Exception {
        CompressionRatioEstimator.setEstimation("t", type, ratio);
        Node node = new Node(0, "h", 1);
        List<PartitionInfo> partitions = new ArrayList<>();
        for (int i = 0; i < PARTITIONS; i++) {
            partitions.add(new PartitionInfo("t", i, node, new Node[] {node}, new Node[] {node}));
        }
        Cluster cluster = new Cluster("c", Collections.singletonList(node), partitions, Collections.emptySet(), Collections.emptySet());
        Metrics metrics = new Metrics();
        BufferPool pool = new BufferPool(1L << 30, batchSize, metrics, Time.SYSTEM, "g");
        RecordAccumulator accumulator = new RecordAccumulator(new LogContext(), batchSize, Compression.of(type).build(), 1000, 100, 1000,
            120000, metrics, "g", Time.SYSTEM, null, pool) {
            @Override
            BuiltInPartitioner createBuiltInPartitioner(LogContext logContext, String topic, int stickyBatchSize) {
                AtomicInteger turn = new AtomicInteger();
                return new BuiltInPartitioner(logContext, topic, stickyBatchSize) {
                    @Override
                    int randomPartition() {
                        return turn.getAndIncrement(); // never the same partition twice
                    }
                };
            }
        };
        List<String> switches = new ArrayList<>();
        List<String> batches = new ArrayList<>();
        int[] at = {-1};
        int last = -1;
        for (int i = 0; i < 300; i++) {
            byte[] value = new byte[sizes[i % sizes.length]];
            RecordAccumulator.AppendCallbacks callbacks = new RecordAccumulator.AppendCallbacks() {
                public void setPartition(int partition) { at[0] = partition; }
                public void onCompletion(RecordMetadata metadata, Exception exception) { }
            };
            RecordAccumulator.RecordAppendResult result = accumulator.append("t", RecordMetadata.UNKNOWN_PARTITION, 0L, null, value,
                null, callbacks, 1000, 0L, cluster);
            if (last >= 0 && at[0] != last) switches.add(Integer.toString(i));
            if (result.newBatchCreated) batches.add(Integer.toString(i));
            last = at[0];
        }
        List<String> lengths = new ArrayList<>();
        for (int size : sizes) lengths.add(Integer.toString(size));
        System.out.println(type.name + " " + ratio + " " + batchSize + " " + String.join(",", lengths) + " "
            + String.join(",", switches) + " " + String.join(",", batches));
        metrics.close();
    }
}
