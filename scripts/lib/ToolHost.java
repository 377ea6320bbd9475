import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the mains of Kafka's unmodified tools one after the other in one JVM, because starting a JVM costs more than
 * most of them do. A request is a line of fields separated by US (0x1f): main class, file for standard input or "-",
 * arguments. The answer is a line "exit-code out-bytes err-bytes" and then those bytes. Each run gets the tool classes
 * from a class loader of its own, so that no static field of a tool outlives its run; Exit is caught, and shutdown
 * hooks run at the end of the tool.
 */
public class ToolHost {
    /** Thrown where the tool would have ended the process. */
    static final class Exited extends Error {
        final int code;

        Exited(int code) {
            super("exit " + code, null, false, false);
            this.code = code;
        }
    }

    /** Loads the packages of the tools anew and everything else from the application. */
    static final class ToolLoader extends URLClassLoader {
        ToolLoader(URL[] jars) {
            super(jars, ToolHost.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            boolean own = name.startsWith("org.apache.kafka.tools.") || name.startsWith("kafka.tools.")
                || name.startsWith("kafka.admin.");
            synchronized (getClassLoadingLock(name)) {
                Class<?> found = findLoadedClass(name);
                if (own && found == null) {
                    try {
                        found = findClass(name);
                    } catch (ClassNotFoundException absent) {
                        found = null;
                    }
                }
                return found != null ? found : super.loadClass(name, resolve);
            }
        }
    }

    private static final List<Runnable> HOOKS = new ArrayList<>();
    private static volatile Integer firstExit;

    public static void main(String[] arguments) throws Exception {
        OutputStream answers = new FileOutputStream(FileDescriptor.out);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Exit.setExitProcedure((code, message) -> {
            throw exited(code);
        });
        Exit.setHaltProcedure((code, message) -> {
            throw exited(code);
        });
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        URL[] jars = toolJars();
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answer(answers, jars, line.split("\u001f", -1));
        }
    }

    /** A process that ended says nothing more: what a tool prints while Exited passes through it is not kept. */
    private static Exited exited(int code) {
        if (firstExit == null) {
            firstExit = code;
            System.out.flush();
            PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream());
            System.setOut(nowhere);
            System.setErr(nowhere);
        }
        return new Exited(code);
    }

    private static void answer(OutputStream answers, URL[] jars, String[] fields) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        int code = fields[0].equals("@perf-payloads") ? payloads(fields, out) : run(jars, fields[0], fields[1], Arrays.copyOfRange(fields, 2, fields.length), out, err);
        byte[] head = (code + " " + out.size() + " " + err.size() + "\n").getBytes(StandardCharsets.US_ASCII);
        answers.write(head);
        out.writeTo(answers);
        err.writeTo(answers);
        answers.flush();
    }

    /**
     * The payloads that ProducerPerformance sends under --record-size: capital letters from SplittableRandom(0) since
     * 4.0, drawn anew for each record. A check says whether that still holds.
     */
    private static int payloads(String[] fields, OutputStream out) throws Exception {
        int count = Integer.parseInt(fields[2]);
        byte[] payload = new byte[Integer.parseInt(fields[3]) + 1];
        SplittableRandom random = new SplittableRandom(0);
        payload[payload.length - 1] = '\n';
        for (int i = 0; i < count; i++) {
            for (int j = 0; j < payload.length - 1; j++) payload[j] = (byte) (random.nextInt(26) + 65);
            out.write(payload);
        }
        return 0;
    }

    private static int run(URL[] jars, String main, String input, String[] arguments, OutputStream out,
                           OutputStream err) throws Exception {
        InputStream stdin = input.equals("-") ? new ByteArrayInputStream(new byte[0]) : new FileInputStream(input);
        PrintStream printer = new PrintStream(err, true, StandardCharsets.UTF_8);
        System.setIn(stdin);
        PrintStream said = new PrintStream(out, false, StandardCharsets.UTF_8);
        System.setOut(said);
        System.setErr(printer);
        firstExit = null;
        HOOKS.clear();
        Thread self = Thread.currentThread();
        ClassLoader before = self.getContextClassLoader();
        int code = 0;
        try (ToolLoader loader = new ToolLoader(jars)) {
            self.setContextClassLoader(loader);
            Class<?> tool = loader.loadClass(main);
            tool.getMethod("main", String[].class).invoke(null, (Object) arguments);
        } catch (InvocationTargetException thrown) {
            if (!(thrown.getCause() instanceof Exited)) {
                thrown.getCause().printStackTrace(printer);
                code = 1;
            }
        } catch (Throwable broken) {
            broken.printStackTrace(printer);
            code = 1;
        } finally {
            System.setOut(said);
            System.setErr(printer);
            for (Runnable hook : new ArrayList<>(HOOKS)) runHook(hook);
            self.setContextClassLoader(before);
            System.out.flush();
            stdin.close();
        }
        return firstExit != null ? firstExit : code;
    }

    private static void runHook(Runnable hook) throws InterruptedException {
        Thread thread = new Thread(hook);
        thread.setDaemon(true);
        thread.start();
        thread.join(10_000);
    }

    /** The jars that hold tools: kafka-tools and the core jar (kafka.admin, kafka.tools). */
    private static URL[] toolJars() throws Exception {
        List<URL> jars = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            String name = Path.of(entry).getFileName().toString();
            boolean tools = name.matches("kafka-tools-[0-9].*\\.jar") || name.matches("kafka_2\\.13-.*\\.jar");
            if (tools && Files.exists(Path.of(entry))) jars.add(Path.of(entry).toUri().toURL());
        }
        if (jars.size() < 2) throw new IllegalStateException("the tools' jars are not on the class path");
        return jars.toArray(new URL[0]);
    }
}
