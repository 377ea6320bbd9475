"""Our perf tools over TLS and SASL against a real Kafka (lib/secure.py), and what they say to a
wrong password, a bad certificate, a store that is not read, and a listener of another kind.

What is good is written over the secure listener and compared, record by record, with what kcat and a Kafka tool read
from the plaintext one; what is bad must fail with its own words, exit as the originals do, and not take long.
"""

import csv
import hashlib
import re
import subprocess
import time

from lib import brokers, checks_perf, ledger, readers, secure, wire, writers
from lib.brokers import write_properties
from lib.certificates import PASSWORD
from lib.ledger import Sent
from lib.report import need

RECORDS = 3000
# The longest that a run that must fail may take.
REFUSED_WITHIN_S = 15

# name: listener, mechanism, stores
GOOD = {
    "SSL, PEM truststore": ("SSL", None, "pem"),
    "SSL, PKCS12 truststore": ("SSL", None, "pkcs12"),
    "mTLS, PEM, encrypted key": ("MTLS", None, "pem"),
    "mTLS, PKCS12": ("MTLS", None, "pkcs12"),
    "SASL_SSL SCRAM-SHA-256": ("SASL_SSL", "SCRAM-SHA-256", "pem"),
    "SASL_SSL SCRAM-SHA-512": ("SASL_SSL", "SCRAM-SHA-512", "pkcs12"),
    "SASL_PLAINTEXT PLAIN": ("SASL_PLAINTEXT", "PLAIN", "pem"),
    "SASL_SSL OAUTHBEARER": ("SASL_SSL", "OAUTHBEARER", "pem"),
}


def run(report, clients, binary, version, made):
    """Everything on one secure Kafka; `made` is the folder of certificates."""
    label = f"kafka-{version} security"
    if not report.wants_any(label):
        return
    from lib.suite import Context
    with brokers.scratch() as folder, secure.new(folder / "broker", version, made) as broker:
        ctx = Context(report, clients, broker, folder, label)
        ctx.binary = binary
        for name, (listener, mechanism, store) in GOOD.items():
            ctx.check(name, good, ctx, name, listener, broker.client(listener, mechanism, store))
        ctx.check("TLSv1.2 and one cipher suite", good, ctx, "tls12", "SSL", broker.client("SSL") | {
            "ssl.enabled.protocols": "TLSv1.2", "ssl.cipher.suites": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"})
        ctx.check("PKCS12 in a store of type JKS", good, ctx, "compat", "SSL", without(broker.client("SSL", store="pkcs12"),
                                                                                      "ssl.truststore.type"))
        ctx.check("no host name check", good, ctx, "elsewhere", "ELSEWHERE", broker.client("ELSEWHERE") | {
            "ssl.endpoint.identification.algorithm": ""})
        ctx.check("large batches", large, ctx)
        ctx.check("authenticates anew", anew, ctx)
        ctx.check("e2e-latency makes its topic", e2e_makes_topic, ctx)
        ctx.check("bench measures over SSL and SASL_SSL", bench, ctx)
        for name, (listener, properties, words, codes) in bad(ctx.broker).items():
            ctx.check(name, refused, ctx, listener, properties, words, codes)


def without(properties, *names):
    return {key: value for key, value in properties.items() if key not in names}


def bad(broker):
    """What must fail: the listener, the client's properties, the words, the exit codes of producer and consumer."""
    made, files = broker.certificates, broker.client
    trusts = {"ssl.truststore.type": "JKS", "ssl.truststore.location": made / "truststore.jks",
              "ssl.truststore.password": PASSWORD}
    fails, config = (0, 1), (1, 1)
    invalid = "Authentication failed during authentication due to invalid credentials with SASL mechanism {}"
    return {
        "wrong password, SCRAM-SHA-512": ("SASL_SSL", files("SASL_SSL", "SCRAM-SHA-512", password="wrong"),
                                          "SaslAuthenticationException: " + invalid.format("SCRAM-SHA-512"), fails),
        "wrong password, SCRAM-SHA-256": ("SASL_PLAINTEXT", files("SASL_PLAINTEXT", "SCRAM-SHA-256", password="wrong"),
                                          "SaslAuthenticationException: " + invalid.format("SCRAM-SHA-256"), fails),
        "wrong password, PLAIN": ("SASL_PLAINTEXT", files("SASL_PLAINTEXT", "PLAIN", password="wrong"),
                                  "SaslAuthenticationException: Authentication failed: Invalid username or password", fails),
        "expired certificate": ("EXPIRED", files("EXPIRED"), "is expired since 2024-02-01", fails),
        "unknown CA": ("SSL", files("SSL") | {"ssl.truststore.location": made / "other-ca.pem"}, "unknown CA", fails),
        "wrong host name": ("ELSEWHERE", files("ELSEWHERE"),
                            "is not for the host name localhost; it is for elsewhere.example", fails),
        "no client certificate": ("MTLS", files("SSL"), "see ssl.keystore.*", fails),
        "JKS store": ("SSL", without(files("SSL"), "ssl.truststore.type") | trusts, "-deststoretype PKCS12", config),
        "GSSAPI, the default": ("SASL_SSL", files("SASL_SSL"), "sasl.mechanism=GSSAPI is not supported", config),
        "plaintext against TLS": ("SSL", {}, "it is an SSL or SASL_SSL listener", fails),
        # Closed without a word: it may be a broker that is not up yet, so both go on until their time is over, as Java.
        "TLS against plaintext": ("PLAINTEXT", files("SSL") | {"max.block.ms": 300},
                                  "is it a PLAINTEXT or SASL_PLAINTEXT listener", (0, 0)),
        "SASL against plaintext": ("PLAINTEXT", files("SASL_PLAINTEXT", "PLAIN"), "the listener has no SASL", fails),
        "plaintext against SASL": ("SASL_PLAINTEXT", {}, "is it a SASL listener", fails),
    }


def ringlog(ctx, limit_s, *arguments):
    started = time.monotonic()
    done = subprocess.run([str(ctx.binary), *map(str, arguments)], capture_output=True, text=True, timeout=limit_s)
    return done, time.monotonic() - started


def config_file(ctx, name, listener, properties):
    path = ctx.folder / f"{re.sub(r'[^a-z0-9]+', '-', name.lower())}.properties"
    write_properties(path, {"bootstrap.servers": ctx.broker.address(listener), **properties})
    return path


def produce(ctx, path, topic, records, *more, limit_s=60):
    return ringlog(ctx, limit_s, "producer-perf", "--topic", topic, "--num-records", records, "--payload-monotonic",
                   "--throughput", -1, "--command-config", path, *more)


def consume(ctx, path, listener, topic, records, limit_s=60, timeout_ms=20000):
    return ringlog(ctx, limit_s, "consumer-perf", "--bootstrap-server", ctx.broker.address(listener), "--topic", topic,
                   "--num-records", records, "--timeout", timeout_ms, "--command-config", path)


def good(ctx, name, listener, properties):
    """Written over the secure listener, read over both."""
    topic = "secure-" + re.sub(r"[^a-z0-9]+", "-", name.lower())
    ctx.create(topic, 2)
    path = config_file(ctx, name, listener, properties)
    done, _ = produce(ctx, path, topic, RECORDS)
    need(done.returncode == 0, f"producer-perf exited with {done.returncode}: {done.stderr[-500:]}")
    writers.check_summary(done.stdout, RECORDS)
    sent = [Sent(str(i).encode()) for i in range(RECORDS)]
    got = readers.kcat(ctx.broker, topic)
    ledger.compare(sent, got)
    digest = hashlib.sha256(b"\n".join(sorted(record.value for record in got))).hexdigest()[:16]
    done, _ = consume(ctx, path, listener, topic, RECORDS)
    need(done.returncode == 0, f"consumer-perf exited with {done.returncode}: {done.stderr[-500:]}")
    return f"{checks_perf.rows(done.stdout, sent)}, content {digest}"


def large(ctx):
    """Requests and answers of many TLS records each. The tool's payload is the same in every run, so what was written
    over plaintext says what is due."""
    count, size = 600, 20_000
    read = {}
    for topic, listener in (("plain-large", "PLAINTEXT"), ("secure-large", "SASL_SSL")):
        ctx.create(topic, 1)
        properties = {} if listener == "PLAINTEXT" else ctx.broker.client("SASL_SSL", "SCRAM-SHA-512")
        path = config_file(ctx, topic, listener, properties)
        done, _ = ringlog(ctx, 60, "producer-perf", "--topic", topic, "--num-records", count, "--record-size", size,
                          "--throughput", -1, "--command-config", path, "--producer-props", "batch.size=500000",
                          "linger.ms=20", f"bootstrap.servers={ctx.broker.address(listener)}")
        need(done.returncode == 0 and not done.stderr, f"{done.returncode}: {done.stderr[-500:]}")
        read[topic] = [record.value for record in readers.kcat(ctx.broker, topic)]
    need(len(set(read["plain-large"])) == count, "the payloads are not all different: they would prove nothing")
    need(read["secure-large"] == read["plain-large"], f"{len(read['secure-large'])} records, not those of plaintext")
    done, _ = consume(ctx, path, "SASL_SSL", "secure-large", count)
    need(done.returncode == 0, f"consumer-perf exited with {done.returncode}: {done.stderr[-500:]}")
    return checks_perf.rows(done.stdout, [Sent(value) for value in read["plain-large"]])


def bench(ctx):
    """`ringlog bench` of a broker that runs already: admin, producer and consumer over its listener, read back and settled."""
    told = []
    for listener, mechanism in (("SSL", None), ("SASL_SSL", "SCRAM-SHA-512")):
        path = config_file(ctx, f"bench-{listener}", listener, ctx.broker.client(listener, mechanism))
        results = ctx.folder / f"results-{listener}"
        done, _ = ringlog(ctx, 120, "bench", "--quick", "--duration", 1, "--only", "produce-1k", "--no-yardstick", "--no-touch",
                          "--bootstrap-server", ctx.broker.address(listener), "--command-config", path, "--results", results,
                          "--broker-pid", ctx.broker.process.pid)
        need(done.returncode == 0 and "read back and checked" in done.stdout, f"{done.returncode}: {done.stdout[-400:]} {done.stderr[-600:]}")
        with open(next(results.glob("*/rows.csv")), newline="") as file:
            rows = list(csv.DictReader(file))
        need([row["workload"] for row in rows] == ["produce-1k", "consume"], f"{rows}")
        for row in rows:
            need(row["validity"] == "measured" and row["security_protocol"] == listener, f"{row}")
            need(int(row["records"]) > 0 and float(row["broker_cpu_ms"]) > 0, f"{row}")
        told.append(f"{listener} {rows[0]['records']} records, {rows[0]['ledger_verified_records']} read back")
    return "; ".join(told)


def anew(ctx):
    """Sessions of SESSION_MS end several times during a run; no connection may end with them (KIP-368)."""
    topic = "secure-anew"
    ctx.create(topic, 1)
    properties = ctx.broker.client("SASL_PLAINTEXT", "SCRAM-SHA-256")
    path = config_file(ctx, "anew", "SASL_PLAINTEXT", properties)
    count, seconds = 600, 5 * secure.SESSION_MS // 2000
    done, took_s = ringlog(ctx, 60, "producer-perf", "--topic", topic, "--num-records", count, "--payload-monotonic",
                           "--throughput", count // seconds, "--print-metrics", "--command-config", path)
    need(done.returncode == 0 and not done.stderr, f"{done.returncode}: {done.stderr[-500:]}")
    writers.check_summary(done.stdout, count)
    need(took_s * 1000 > 2 * secure.SESSION_MS, f"took {took_s:.1f} s: no session can have ended twice")
    closed = re.search(r"connection-close-total\S*\s*:\s*([\d.]+)", done.stdout)
    need(closed and float(closed[1]) == 0, f"connections were closed: {closed and closed[0]}")
    ledger.compare([Sent(str(i).encode()) for i in range(count)], readers.kcat(ctx.broker, topic))
    return f"{took_s:.1f} s with sessions of {secure.SESSION_MS} ms, no connection closed"


def e2e_makes_topic(ctx):
    """Over TLS, SASL and both a topic that is missing is made as it is over plaintext; a wrong password makes none."""
    made = []
    for listener, mechanism in (("SSL", None), ("SASL_PLAINTEXT", "SCRAM-SHA-256"), ("SASL_SSL", "SCRAM-SHA-512")):
        topic = f"e2e-{listener.lower().replace('_', '-')}"
        need(count_of(ctx, topic) is None, f"{topic} is there already")
        done, _ = e2e(ctx, topic, listener, ctx.broker.client(listener, mechanism), 20)
        need(done.returncode == 0, f"e2e-latency exited with {done.returncode}: {done.stdout[-300:]} {done.stderr[-500:]}")
        words = f'Topic "{topic}" does not exist. Will create topic with 1 partition(s) and replication factor = 1'
        need(words in done.stdout and "Avg latency: " in done.stdout, done.stdout)
        need(count_of(ctx, topic) == 1, f"{topic} has {count_of(ctx, topic)} partitions")
        need(len(readers.kcat(ctx.broker, topic)) == 20, "not 20 records")
        made.append(listener)
    done, took_s = e2e(ctx, "e2e-refused", "SASL_SSL", ctx.broker.client("SASL_SSL", "SCRAM-SHA-512", password="wrong"), 20)
    need(done.returncode == 1 and "invalid credentials" in done.stderr, f"{done.returncode}: {done.stderr[-500:]}")
    need(took_s < REFUSED_WITHIN_S and count_of(ctx, "e2e-refused") is None, f"{took_s:.1f} s, or a topic was made")
    return f"{', '.join(made)}; a wrong password: {took_s:.1f} s, no topic"


def e2e(ctx, topic, listener, properties, records):
    path = config_file(ctx, topic, listener, properties)
    return ringlog(ctx, 60, "e2e-latency", "--bootstrap-server", ctx.broker.address(listener), "--topic", topic,
                   "--num-records", records, "--producer-acks", "all", "--record-size", 100, "--command-config", path)


def count_of(ctx, topic):
    """How many partitions a topic has; None where there is no such topic. Asking does not make it."""
    with wire.Connection(ctx.broker.port) as connection:
        _, topics = wire.brokers_and_topics(connection.ask(wire.metadata([topic])))
    code, partitions = topics[topic]
    return len(partitions) if code == 0 else None


def refused(ctx, listener, properties, words, codes):
    """Both tools say these words, exit with these codes, soon; nothing gets into the topic."""
    topic = "secure-refused"
    path = config_file(ctx, "refused", listener, properties)
    produced, produced_s = produce(ctx, path, topic, 10, limit_s=REFUSED_WITHIN_S * 3)
    consumed, consumed_s = consume(ctx, path, listener, topic, 10, REFUSED_WITHIN_S * 3, REFUSED_WITHIN_S * 600)
    for tool, done, took_s, code in (("producer-perf", produced, produced_s, codes[0]),
                                     ("consumer-perf", consumed, consumed_s, codes[1])):
        need(words in done.stderr, f"{tool} says {done.stdout[-200:]} {done.stderr[-600:]}")
        need(done.returncode == code, f"{tool} exited with {done.returncode}, not {code}")
        need(took_s < REFUSED_WITHIN_S, f"{tool} took {took_s:.1f} s")
        need(secure.SECRET not in done.stderr and PASSWORD not in done.stderr, f"{tool} shows a password")
    if codes[0] == 0:
        need("10 records failed" in produced.stderr, f"not all sends failed: {produced.stderr[-400:]}")
    return f"{produced_s:.1f} s and {consumed_s:.1f} s: {words}"
