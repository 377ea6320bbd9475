import java.text.SimpleDateFormat;
import java.util.Arrays;
import java.util.Date;
import java.util.Locale;
import java.util.TimeZone;
import java.util.TreeMap;

/**
 * What java.text.SimpleDateFormat prints, for harness/src/verbs/consumer_perf/dates.rs.
 * java Dates.java vectors: `zone` TAB `ms` TAB `pattern` TAB text.   java Dates.java zones: `zone` TAB four names.
 */
public class Dates {
    static final String[] PATTERNS = {
        "yyyy-MM-dd HH:mm:ss:SSS", "y", "yy", "yyy", "yyyyy", "Y", "YY", "YYYY", "M MM MMM MMMM MMMMM", "L LL LLL LLLL", "w ww", "W WW",
        "D DDD", "d dd", "F FF", "E EEE EEEE", "u uu", "a aa", "H HH", "k kk", "K KK", "h hh", "m mm", "s ss", "S SS SSS SSSS",
        "z zzz zzzz", "Z ZZ ZZZZ", "X", "XX", "XXX", "G GG GGGG", "'at' HH 'o''clock' ''", "HH''mm", "d.M.yy h:mm a", "yyyyMMdd'T'HHmmssX",
    };
    static final String[] ZONES = {
        "UTC", "Etc/GMT", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns",
    };
    static final long[] TIMES = {
        1677150007061L, 0L, 1704067199999L, 1704067200000L, 1735430400000L, 1735603200000L, 1720000000123L,
    };

    public static void main(String[] args) {
        Locale.setDefault(Locale.US);
        if (args[0].equals("zones")) {
            zones();
            return;
        }
        System.out.println("# harness/tests/java/Dates.java vectors, JDK " + System.getProperty("java.version"));
        for (String zone : ZONES) {
            for (long time : TIMES) {
                for (String pattern : PATTERNS) {
                    SimpleDateFormat format = new SimpleDateFormat(pattern);
                    format.setTimeZone(TimeZone.getTimeZone(zone));
                    System.out.println(zone + "\t" + time + "\t" + pattern + "\t" + format.format(new Date(time)));
                }
            }
        }
    }

    static void zones() {
        System.out.println("# harness/tests/java/Dates.java zones, JDK " + System.getProperty("java.version")
            + ": short and long name, then in summer; zones with the same names");
        TreeMap<String, StringBuilder> byNames = new TreeMap<>();
        String[] ids = TimeZone.getAvailableIDs();
        Arrays.sort(ids);
        for (String id : ids) {
            if (id.startsWith("SystemV/")) continue;
            TimeZone zone = TimeZone.getTimeZone(id);
            String names = zone.getDisplayName(false, TimeZone.SHORT) + "\t" + zone.getDisplayName(false, TimeZone.LONG) + "\t"
                + zone.getDisplayName(true, TimeZone.SHORT) + "\t" + zone.getDisplayName(true, TimeZone.LONG);
            byNames.computeIfAbsent(names, k -> new StringBuilder()).append('\t').append(id);
        }
        byNames.forEach((names, zones) -> System.out.println(names + zones));
    }
}
