/* What librdkafka costs a record: the producer and the consumer that `scripts/client-cost` holds against ours.
 *
 *   librdkafka_cost produce BOOTSTRAP TOPIC RECORDS BYTES [KEY=VALUE]...
 *   librdkafka_cost consume BOOTSTRAP TOPIC RECORDS       [KEY=VALUE]...
 *   librdkafka_cost version
 *
 * Payloads are made before the first record is sent (4096 of them, letters A to Z, sent in turn): librdkafka is not charged
 * for them, the perf tools are. Records are copied by rd_kafka_produce and counted in the delivery report; the consumer
 * takes up to 1000 records a call from its queue, the cheapest way that the library has. Exit code 1 unless every record
 * was delivered, or so many came.
 */
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAYLOADS = 4096, BATCH = 1000, ERROR_LEN = 512 };

static long delivered, failed;

static void fail(const char *what, const char *why) {
    fprintf(stderr, "librdkafka_cost: %s: %s\n", what, why);
    exit(1);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    if (message->err) {
        failed++;
    } else {
        delivered++;
    }
}

static void set(rd_kafka_conf_t *conf, const char *key, const char *value) {
    char error[ERROR_LEN];
    if (rd_kafka_conf_set(conf, key, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fail(key, error);
    }
}

static rd_kafka_t *open_client(rd_kafka_type_t type, const char *bootstrap, char **properties, int count) {
    char error[ERROR_LEN];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", bootstrap);
    for (int i = 0; i < count; i++) {
        char *value = strchr(properties[i], '=');
        if (!value) {
            fail(properties[i], "KEY=VALUE is wanted");
        }
        *value = 0;
        set(conf, properties[i], value + 1);
    }
    if (type == RD_KAFKA_PRODUCER) {
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    }
    rd_kafka_t *client = rd_kafka_new(type, conf, error, sizeof error);
    if (!client) {
        fail("rd_kafka_new", error);
    }
    return client;
}

static char *make_payloads(size_t bytes) {
    char *payloads = malloc(PAYLOADS * bytes);
    uint64_t state = 1;
    for (size_t i = 0; payloads && i < PAYLOADS * bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        payloads[i] = (char)('A' + (state >> 33) % 26);
    }
    return payloads;
}

static void produce(rd_kafka_t *client, const char *topic, long records, size_t bytes) {
    char *payloads = make_payloads(bytes);
    rd_kafka_topic_t *to = rd_kafka_topic_new(client, topic, NULL);
    if (!payloads || !to) {
        fail(topic, "out of memory");
    }
    for (long i = 0; i < records; i++) {
        char *payload = payloads + (size_t)(i % PAYLOADS) * bytes;
        while (rd_kafka_produce(to, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0, NULL) == -1) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                fail("rd_kafka_produce", rd_kafka_err2str(rd_kafka_last_error()));
            }
            rd_kafka_poll(client, 10);
        }
        if (i % 256 == 0) {
            rd_kafka_poll(client, 0);
        }
    }
    rd_kafka_flush(client, 60000);
    rd_kafka_topic_destroy(to);
    free(payloads);
    printf("%ld delivered, %ld failed\n", delivered, failed);
    if (delivered != records) {
        exit(1);
    }
}

static void consume(rd_kafka_t *client, const char *topic, long records) {
    static rd_kafka_message_t *messages[BATCH];
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_poll_set_consumer(client);
    if (rd_kafka_subscribe(client, topics)) {
        fail(topic, "cannot subscribe");
    }
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    long count = 0, bytes = 0;
    for (int idle = 0; count < records && idle < 100;) {
        ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, BATCH);
        idle = got > 0 ? 0 : idle + 1;
        for (ssize_t i = 0; i < got; i++) {
            if (!messages[i]->err) {
                count++;
                bytes += (long)messages[i]->len;
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    printf("%ld records, %ld bytes\n", count, bytes);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(topics);
    rd_kafka_consumer_close(client);
    if (count < records) {
        exit(1);
    }
}

int main(int count, char **words) {
    if (count >= 6 && !strcmp(words[1], "produce")) {
        rd_kafka_t *client = open_client(RD_KAFKA_PRODUCER, words[2], words + 6, count - 6);
        produce(client, words[3], atol(words[4]), (size_t)atol(words[5]));
        rd_kafka_destroy(client);
    } else if (count >= 5 && !strcmp(words[1], "consume")) {
        rd_kafka_t *client = open_client(RD_KAFKA_CONSUMER, words[2], words + 5, count - 5);
        consume(client, words[3], atol(words[4]));
        rd_kafka_destroy(client);
    } else if (count == 2 && !strcmp(words[1], "version")) {
        printf("%s\n", rd_kafka_version_str());
    } else {
        fail("usage", "produce BOOTSTRAP TOPIC RECORDS BYTES [K=V]... | consume BOOTSTRAP TOPIC RECORDS [K=V]...");
    }
    return 0;
}
