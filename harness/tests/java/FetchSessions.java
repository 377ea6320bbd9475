import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Optional;
import org.apache.kafka.clients.FetchSessionHandler;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.requests.FetchRequest;
import org.apache.kafka.common.requests.FetchResponse;
import org.apache.kafka.common.utils.LogContext;

/**
 * With what Kafka's own FetchSessionHandler goes on after an error of session 77: the table of
 * harness/src/client/fetcher/tests.rs. Run: java -cp 'LIBS/*' FetchSessions.java (LIBS: scripts/peers kafka libs)
 */
public class FetchSessions {
    static final Uuid ID = new Uuid(1, 1);
    static final TopicPartition PARTITION = new TopicPartition("t", 0);

    public static void main(String[] args) throws Exception {
        for (Errors error : Arrays.asList(Errors.FETCH_SESSION_ID_NOT_FOUND, Errors.INVALID_FETCH_SESSION_EPOCH,
                Errors.FETCH_SESSION_TOPIC_ID_ERROR, Errors.INCONSISTENT_TOPIC_ID, Errors.UNKNOWN_SERVER_ERROR, null)) {
            FetchSessionHandler handler = new FetchSessionHandler(new LogContext(), 1);
            next(handler);
            LinkedHashMap<TopicIdPartition, FetchResponseData.PartitionData> first = new LinkedHashMap<>();
            first.put(new TopicIdPartition(ID, PARTITION), new FetchResponseData.PartitionData().setPartitionIndex(0));
            handler.handleResponse(response(Errors.NONE, 77, first), (short) 17);
            next(handler);
            if (error == null) {
                handler.handleError(new RuntimeException("the connection was lost"));
            } else {
                handler.handleResponse(response(error, 0, new LinkedHashMap<>()), (short) 17);
            }
            FetchSessionHandler.FetchRequestData then = next(handler);
            System.out.println((error == null ? "lost" : error) + " " + then.metadata() + " partitions " + then.toSend().size());
        }
    }

    static FetchSessionHandler.FetchRequestData next(FetchSessionHandler handler) {
        FetchSessionHandler.Builder builder = handler.newBuilder();
        builder.add(PARTITION, new FetchRequest.PartitionData(ID, 5, 0, 100, Optional.empty()));
        return builder.build();
    }

    /** FetchResponse.of, whose arguments differ from release to release. */
    static FetchResponse response(Errors error, int session, LinkedHashMap<TopicIdPartition, FetchResponseData.PartitionData> data)
            throws Exception {
        for (java.lang.reflect.Method method : FetchResponse.class.getMethods()) {
            if (method.getName().equals("of") && method.getParameterCount() == 5) {
                return (FetchResponse) method.invoke(null, error, 0, session, data, List.of());
            }
        }
        return (FetchResponse) FetchResponse.class.getMethod("of", Errors.class, int.class, int.class, LinkedHashMap.class)
            .invoke(null, error, 0, session, data);
    }
}
