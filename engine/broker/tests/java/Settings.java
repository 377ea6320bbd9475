// Prints every setting that Apache Kafka documents, one a line, sorted by whose it is and name: scope, name, type, default,
// when a change counts (read-only, per-broker, cluster-wide), limits; tabs between them, `null` for no default. Facts only: the
// documentation stays Kafka's. Run by scripts/kafka-settings.

import java.lang.reflect.Method;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.storage.internals.log.LogConfig;

public class Settings {
    public static void main(String[] arguments) throws Exception {
        print("broker", AbstractKafkaConfig.CONFIG_DEF, updateModes());
        print("group", GroupConfig.CONFIG_DEF, Map.of());
        print("topic", (ConfigDef) of(LogConfig.class, "configDefCopy"), Map.of());
    }

    static Object of(Class<?> type, String method) throws Exception {
        Method found = type.getDeclaredMethod(method);
        found.setAccessible(true);
        return found.invoke(null);
    }

    @SuppressWarnings("unchecked")
    static Map<String, String> updateModes() throws Exception {
        return (Map<String, String>) of(Class.forName("org.apache.kafka.server.config.DynamicBrokerConfig"),
            "dynamicConfigUpdateModes");
    }

    static void print(String scope, ConfigDef settings, Map<String, String> modes) {
        for (var entry : new TreeMap<>(settings.configKeys()).entrySet()) {
            ConfigDef.ConfigKey key = entry.getValue();
            // A broker has some that are not documented, and that files set all the same.
            if (key.internalConfig && !scope.equals("broker")) continue;
            String standard = key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null;
            String limits = key.validator == null ? "" : key.validator.toString();
            boolean isRange = limits.matches("\\[-?\\d+,\\.\\.\\.(,-?\\d+)?\\]");
            System.out.println(String.join("\t", scope, entry.getKey(), key.type.name(), String.valueOf(standard),
                scope.equals("broker") ? modes.getOrDefault(entry.getKey(), "read-only") : "cluster-wide",
                isRange ? limits : ""));
        }
    }
}
