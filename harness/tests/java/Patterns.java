import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What java.util.regex finds: the vectors of harness/src/client/pattern_vectors.txt. Run: java Patterns.java > FILE */
public class Patterns {
    static final String[] PATTERNS = {
        "\\d+", "\\D+", "\\w+", "\\W+", "\\s+", "\\S+", "\\bb", "b\\b", "\\R", "\\R+", "a\\Rb", "\\h+", "\\v+", "\\H+",
        "\\V+", "\\Q.\\E", "\\Qa.b\\E", "\\Q[", "x\\Qa\\Eb", "-", "--", "-\\d", "[~~]", "[-b]+", "[b-]+",
        "[[:alpha:]]+", "[\\w.]+", "[^\\w]", "[\\s,]+", "[a-d&&[^b]]+", "[a[1-3]]+", "[]a]+", "[^]a]+", ".", "..", "a.b",
        "(?s)a.b", "\\.", "\\-", "\\<", "\\>", "\\,", "\\é", "\\u0061+", "\\x61", "\\x{61}b", "\\0141", "\\cI", "\\e", "\\t",
        "\\n", "\\r", "\\f", "\\a", "[^\\n]+", "\\\\n", "\\p{Lower}+", "\\p{Upper}+", "\\p{Alpha}+", "\\p{L}+", "\\pL+",
        "\\P{L}+", "\\p{IsLatin}+", "\\p{Punct}", "\\p{XDigit}+", "\\p{Space}+", "[\\p{Digit}a]+", "(?i)A+", "(?<n>a)b",
        "a*?b", "a{2}", "a{1,}", "a|b", "(a|b)+", "\\Aa", "b\\z", "\\||,", "a+\\Q+\\E", "}",
    };
    static final String[] TEXTS = {
        "", "a", "ab", "aab", "a b", "a.b", "a\nb", "a\r\nb", "a\tb", "a\u0085b", "a\u2028b", "é", "aéb", "É1", "٣4", "a\u00a0b",
        "a-b", "--", "a--b", "-7", "A_1,x", "|,", "a+", "[x", "]a", ":alph", "<a>", "\\n", "}", "~~", "\u001b", "3f G", "1,2 ",
    };

    public static void main(String[] args) {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.println("# harness/tests/java/Patterns.java on java.util.regex " + System.getProperty("java.version"));
        for (String pattern : PATTERNS) {
            for (String text : TEXTS) {
                Matcher matcher = Pattern.compile(pattern).matcher(text);
                String found = matcher.find() ? matcher.start() + ".." + matcher.end() : "-";
                boolean isAscii = text.chars().allMatch(c -> c < 128);
                // Line ends are written so; until JDK 18 a word bound looks at all of Unicode, where \w never did.
                if (text.equals("\\n") || pattern.contains("\\b") && !isAscii) continue;
                out.println(pattern + "\t" + text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + "\t" + found);
            }
        }
    }
}
