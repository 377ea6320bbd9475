// Reads an HdrHistogram interval log with Java's own reader and prints a line per tag: tag, samples, p50, p99, max.

import java.io.File;
import java.util.Map;
import java.util.TreeMap;
import org.HdrHistogram.EncodableHistogram;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramLogReader;

public class HlogTotals {
    public static void main(String[] args) throws Exception {
        Map<String, Histogram> totals = new TreeMap<>();
        HistogramLogReader reader = new HistogramLogReader(new File(args[0]));
        while (reader.hasNext()) {
            EncodableHistogram interval = reader.nextIntervalHistogram();
            if (interval == null) {
                continue;
            }
            totals.computeIfAbsent(interval.getTag(), tag -> new Histogram(3)).add((Histogram) interval);
        }
        for (Map.Entry<String, Histogram> entry : totals.entrySet()) {
            Histogram total = entry.getValue();
            System.out.println(entry.getKey() + " " + total.getTotalCount() + " " + total.getValueAtPercentile(50)
                + " " + total.getValueAtPercentile(99) + " " + total.getMaxValue());
        }
    }
}
