// Prints, for every message that Ringlog declares and every version of it, what Kafka's own classes write:
// one JSON object a line, {"message", "version", "variant", "hex", "fields"}. Run by scripts/wire-vectors.
//
// "full" sets every field of the version to something that is not its default, two elements in every array and an
// unknown tagged field in every struct; "null" sets what may be null to null and leaves the rest at its default.

import java.lang.reflect.Field;
import java.lang.reflect.ParameterizedType;
import java.nio.ByteBuffer;
import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class Vectors {
    static int counter;
    /** The field at hand is a uint16, which Java keeps in an int. */
    static boolean narrow;

    public static void main(String[] names) throws Exception {
        for (String name : names) {
            Class<?> type = find(name);
            short low = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
            short high = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
            for (short version = low; version <= high; version++) {
                print(name, type, version, true);
                print(name, type, version, false);
            }
        }
    }

    static Class<?> find(String name) throws ClassNotFoundException {
        for (String candidate : new String[] {
            "org.apache.kafka.common.message." + name + "Data", "org.apache.kafka.common.message." + name,
            "org.apache.kafka.common.metadata." + name, "org.apache.kafka.coordinator.group.generated." + name,
            "org.apache.kafka.coordinator.transaction.generated." + name}) {
            try {
                return Class.forName(candidate);
            } catch (ClassNotFoundException e) { /* the next one */ }
        }
        throw new ClassNotFoundException(name);
    }

    static void print(String name, Class<?> type, short version, boolean full) throws Exception {
        counter = 0;
        StringBuilder json = new StringBuilder();
        Message message = (Message) make(type, version, full, json);
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer bytes = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(bytes), cache, version);
        System.out.println("{\"message\":\"" + name + "\",\"version\":" + version + ",\"variant\":\""
            + (full ? "full" : "null") + "\",\"hex\":\"" + HexFormat.of().formatHex(bytes.array()) + "\",\"fields\":" + json + "}");
    }

    /** A struct with the fields of its version set, and the same as JSON. */
    static Object make(Class<?> type, short version, boolean full, StringBuilder json) throws Exception {
        Object struct = type.getConstructor().newInstance();
        Schema schema = ((Schema[]) type.getField("SCHEMAS").get(null))[version];
        Map<String, Type> carried = new LinkedHashMap<>();
        boolean flexible = false;
        for (var field : schema.fields()) {
            if (field.def.type instanceof TaggedFields tagged) {
                flexible = true;
                for (var entry : tagged.fields().values()) carried.put(plain(entry.name), entry.type);
            } else {
                carried.put(plain(field.def.name), field.def.type);
            }
        }
        json.append('{');
        String comma = "";
        for (Field field : type.getDeclaredFields()) {
            Type wire = carried.remove(plain(field.getName()));
            if (wire == null || java.lang.reflect.Modifier.isStatic(field.getModifiers())) continue;
            field.setAccessible(true);
            json.append(comma).append('"').append(field.getName()).append("\":");
            set(struct, field, wire, version, full, json);
            comma = ",";
        }
        if (!carried.isEmpty()) throw new IllegalStateException(type + " v" + version + " lacks " + carried.keySet());
        if (flexible && full) ((Message) struct).unknownTaggedFields().add(new RawTaggedField(1000 + counter, new byte[] {7, (byte) counter++}));
        json.append('}');
        return struct;
    }

    static String plain(String name) {
        return name.replace("_", "").toLowerCase(Locale.ROOT);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    static void set(Object struct, Field field, Type wire, short version, boolean full, StringBuilder json) throws Exception {
        Class<?> type = field.getType();
        narrow = wire == Type.UINT16;
        if (!full && wire.isNullable()) {
            field.set(struct, null);
            json.append("null");
        } else if (Collection.class.isAssignableFrom(type)) {
            Collection elements = type == List.class ? new ArrayList<>() : (Collection) type.getConstructor().newInstance();
            Class<?> element = elementType(field, type);
            json.append('[');
            for (int n = 0; n < (full ? 2 : 0); n++) {
                if (n > 0) json.append(',');
                elements.add(value(element, null, version, full, json));
            }
            json.append(']');
            field.set(struct, elements);
        } else if (full || Message.class.isAssignableFrom(type)) {
            field.set(struct, value(type, field.get(struct), version, full, json));
        } else {
            show(field.get(struct), json);
        }
    }

    static Class<?> elementType(Field field, Class<?> collection) {
        var generic = collection == List.class ? field.getGenericType() : collection.getGenericSuperclass();
        return (Class<?>) ((ParameterizedType) generic).getActualTypeArguments()[0];
    }

    /** Something of that type that is not `unwanted`. */
    static Object value(Class<?> type, Object unwanted, short version, boolean full, StringBuilder json) throws Exception {
        if (Message.class.isAssignableFrom(type)) return make(type, version, full, json);
        Object value = fresh(type);
        if (value.equals(unwanted)) value = type == boolean.class ? (Object) !(Boolean) value : fresh(type);
        show(value, json);
        return value;
    }

    static Object fresh(Class<?> type) {
        int n = ++counter;
        if (type == boolean.class || type == Boolean.class) return true;
        if (type == byte.class || type == Byte.class) return (byte) (n % 100 + 1);
        if (type == short.class || type == Short.class) return (short) (n * 257 % 32000 + 1);
        if (type == int.class || type == Integer.class) return narrow ? n * 257 + 3 : n * 65537 + 3;
        if (type == long.class || type == Long.class) return n * 4294967311L + 5;
        if (type == double.class) return n + 0.25;
        if (type == String.class) return "text-" + n;
        if (type == Uuid.class) return new Uuid(n * 72340172838076673L, n + 9L);
        if (type == byte[].class) return new byte[] {(byte) n, 2, (byte) 0xff};
        if (type == ByteBuffer.class) return ByteBuffer.wrap(new byte[] {(byte) n, 2, (byte) 0xff});
        if (type.getSimpleName().equals("BaseRecords"))
            return MemoryRecords.withRecords(0, Compression.NONE, new SimpleRecord(1234567L + n, "key".getBytes(), ("value " + n).getBytes()));
        throw new IllegalStateException("no value for " + type);
    }

    static void show(Object value, StringBuilder json) {
        if (value == null) json.append("null");
        else if (value instanceof String || value instanceof Uuid) json.append('"').append(value).append('"');
        else if (value instanceof MemoryRecords records) json.append(records.sizeInBytes());
        else if (value instanceof ByteBuffer buffer) json.append(ints(buffer.array()));
        else if (value instanceof byte[] bytes) json.append(ints(bytes));
        else json.append(value);
    }

    static String ints(byte[] bytes) {
        int[] unsigned = new int[bytes.length];
        for (int n = 0; n < bytes.length; n++) unsigned[n] = bytes[n] & 0xff;
        return Arrays.toString(unsigned).replace(" ", "");
    }
}
