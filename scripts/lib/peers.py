"""Other people's software, fetched through its ordinary package client into one folder: Kafka's jars from Maven,
kcat and librdkafka from Debian, a current librdkafka (confluent-kafka) from the Python index.

    .peers/  (RINGLOG_PEERS names another folder)
      kafka-<version>/{pom.xml, libs/*.jar, host/*.class}     the broker, the tools, and our ToolHost compiled for them
      streams-<version>/{pom.xml, libs/*.jar, host/*.class}   Kafka Streams with RocksDB, and our WordCount compiled for it
      venv/                                                   confluent-kafka
      readers/                                                apache-otava, junitparser, pygal: what reads our exports
      exporters/                                              Kafka's JMX exporter, node exporter
      suites/                                                 clients' own tests, and what they were built to
      run/                                                    brokers that `scripts/peers kafka start` started
"""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

VERSIONS = ("4.3.1", "3.9.2")
DEFAULT = VERSIONS[0]
HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parent.parent
#: Held while something is installed: scripts run beside one another, and apt-get does not wait for another one.
INSTALLING = pathlib.Path(tempfile.gettempdir()) / "ringlog-installing"
ROOT = pathlib.Path(os.environ.get("RINGLOG_PEERS") or REPO / ".peers").absolute()
SUITES = ROOT / "suites"

POM = """<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ringlog</groupId><artifactId>kafka-peer</artifactId><version>{version}</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version>
      {without}</dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>{version}</version>
      {without}</dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
STREAMS_POM = """<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>ringlog</groupId><artifactId>streams-peer</artifactId><version>{version}</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-streams</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
WITHOUT_RELOAD4J = (
    "<exclusions><exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion></exclusions>"
)

JMX_EXPORTER = "io.prometheus.jmx:jmx_prometheus_javaagent:1.0.1"
NODE_EXPORTER = "prometheus-node-exporter"

# bin/kafka-run-class.sh and kafka-server-start.sh, 4.3: what a user gets who sets nothing.
BROKER_JVM = ("-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
              "-XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true").split()
# For brokers and tools that are not measured: start fast, stay small.
LIGHT_JVM = "-Xmx768M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Djava.awt.headless=true".split()

TOOLS = {
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-producer-perf-test": "org.apache.kafka.tools.ProducerPerformance",
    "kafka-consumer-perf-test": "org.apache.kafka.tools.ConsumerPerformance",
    "kafka-get-offsets": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-e2e-latency": "org.apache.kafka.tools.EndToEndLatency",
    "kafka-broker-api-versions": "org.apache.kafka.tools.BrokerApiVersionsCommand",
    "kafka-dump-log": "org.apache.kafka.tools.DumpLogSegments",
    "kafka-configs": "kafka.admin.ConfigCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
    "kafka-delete-records": "org.apache.kafka.tools.DeleteRecordsCommand",
    "kafka-leader-election": "org.apache.kafka.tools.LeaderElectionCommand",
    "kafka-transactions": "org.apache.kafka.tools.TransactionsCommand",
    "kafka-metadata-quorum": "org.apache.kafka.tools.MetadataQuorumCommand",
    "kafka-features": "org.apache.kafka.tools.FeatureCommand",
    "kafka-log-dirs": "org.apache.kafka.tools.LogDirsCommand",
    "kafka-acls": "org.apache.kafka.tools.AclCommand",
    "kafka-cluster": "org.apache.kafka.tools.ClusterTool",
    "kafka-groups": "org.apache.kafka.tools.GroupsCommand",
    "kafka-verifiable-producer": "org.apache.kafka.tools.VerifiableProducer",
    "kafka-verifiable-consumer": "org.apache.kafka.tools.VerifiableConsumer",
    "kafka-client-metrics": "org.apache.kafka.tools.ClientMetricsCommand",
    "kafka-reassign-partitions": "org.apache.kafka.tools.reassign.ReassignPartitionsCommand",
    "kafka-storage": "kafka.tools.StorageTool",
    "transactional-message-copier": "org.apache.kafka.tools.TransactionalMessageCopier",
    "transactions": "ringlog.Transactions",
}
MOVED_IN_4 = {"kafka-console-producer": "kafka.tools.ConsoleProducer", "kafka-dump-log": "kafka.tools.DumpLogSegments"}


class Missing(SystemExit):
    """Something that must be there is not: ends the script with what to do about it."""

    def __init__(self, text):
        super().__init__(f"missing: {text}")


def run(command, **kwargs):
    """Runs a set-up command; its output is shown only when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise Missing(f"`{' '.join(map(str, command))}` ended with {done.returncode}, its output stands above")
    return done.stdout


def program(name, package):
    """The path of a program, installed from Debian if it is not there and we may."""
    if not shutil.which(name):
        install(package)
    found = shutil.which(name)
    if not found:
        raise Missing(f"{name}: install it, for example with `apt-get install {package}`")
    return found


def install(*packages):
    """apt-get install, where there is an apt-get and we are root."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise Missing(f"{' '.join(packages)}: as root, `apt-get install {' '.join(packages)}`")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with open(INSTALLING, "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run(["apt-get", "update", "-qq"], env=quiet)
        run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages], env=quiet)


def kafka_libs(version=DEFAULT):
    """The folder with the jars of one Kafka version; resolves them on the first call."""
    if version not in VERSIONS:
        raise SystemExit(f"Kafka {version}: known versions are {', '.join(VERSIONS)}")
    without = WITHOUT_RELOAD4J if version.startswith("3.") else ""
    return jars(ROOT / f"kafka-{version}", POM.format(version=version, without=without))


def jars(home, pom):
    """The folder with the jars that a pom asks for; resolves them on the first call."""
    if not (home / "complete").exists():
        java()
        home.mkdir(parents=True, exist_ok=True)
        (home / "pom.xml").write_text(pom)
        run([program("mvn", "maven"), "-q", "-B", "-f", str(home / "pom.xml"), "dependency:copy-dependencies",
             "-DincludeScope=runtime", f"-DoutputDirectory={home / 'libs'}"])
        (home / "complete").write_text("")
    return home / "libs"


def java():
    """The path of `java`; the compiler must be there too."""
    program("javac", "openjdk-17-jdk-headless")
    return program("java", "openjdk-17-jdk-headless")


def class_path(version=DEFAULT):
    return f"{kafka_libs(version)}/*"


def tool_class(name, version=DEFAULT):
    """The main class of a tool by its script name, short class name or full class name."""
    if name.startswith("@"):  # ToolHost's own
        return name
    if version.startswith("3.") and name in MOVED_IN_4:
        return MOVED_IN_4[name]
    if name in TOOLS:
        return TOOLS[name]
    for full in TOOLS.values():
        if full.rsplit(".", 1)[-1] == name:
            return full
    if "." not in name:
        raise SystemExit(f"tool {name}: known are {', '.join(sorted(TOOLS))}, or give a full class name")
    return name


def tool_host(version=DEFAULT):
    """The folder with ToolHost, and what runs in it, compiled against these jars."""
    return compiled(kafka_libs(version), {"ToolHost": "ToolHost", "Transactions": "ringlog/Transactions"})


def word_count(version=DEFAULT):
    """The class path of WordCount, with Kafka Streams of this version."""
    libs = jars(ROOT / f"streams-{version}", STREAMS_POM.format(version=version))
    return f"{compiled(libs, {'WordCount': 'ringlog/WordCount'})}:{libs}/*"


def group_upgrade(version=DEFAULT):
    """The class path of GroupUpgrade: Kafka 3.9's clients do not know what it asks."""
    return f"{compiled(kafka_libs(version), {'GroupUpgrade': 'ringlog/GroupUpgrade'})}:{class_path(version)}"


def compiled(libs, classes):
    """The folder with our classes ({source: class}), compiled against these jars."""
    out = libs.parent / "host"
    pairs = [(HERE / f"{source}.java", out / f"{made}.class") for source, made in classes.items()]
    if not all(made.exists() and made.stat().st_mtime >= source.stat().st_mtime for source, made in pairs):
        out.mkdir(exist_ok=True)
        java()
        run(["javac", "-nowarn", "-cp", f"{libs}/*", "-d", str(out), *(str(source) for source, _ in pairs)])
    return out


def kcat():
    """The path of kcat."""
    return program("kcat", "kcat")


def venv(name, *packages):
    """The Python of an environment in .peers that has these packages of the Python index."""
    folder = ROOT / name
    python = folder / "bin" / "python3"
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run([sys.executable, "-c", "import ensurepip"], capture_output=True).returncode != 0:
            install("python3-venv")
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
        run([str(python), "-m", "pip", "install", "-q", *packages])
        (folder / "complete").write_text("")
    return python


def checkout(name, tag, repository, finish):
    """The folder of a repository at a tag, built by `finish`."""
    folder = SUITES / f"{name}-{tag}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        address = repository or f"https://github.com/confluentinc/{name}"
        run([program("git", "git"), "clone", "-q", "--depth", "1", "--branch", tag, address, str(folder)])
        finish(folder)
        (folder / "complete").write_text("")
    return folder


def librdkafka_python():
    """The Python that has confluent-kafka, which carries a current librdkafka."""
    return venv("venv", "confluent-kafka")


def readers_python():
    """The Python that has the programs which read our exports: Apache Otava, junitparser, pygal (OpenMessaging's charts)."""
    return venv("readers", "apache-otava", "junitparser", "pygal")


def exporters():
    """The folder with what makes Prometheus endpoints of a Kafka and of a machine. The second is unpacked and not installed, for
    a service would be started with it."""
    folder = ROOT / "exporters"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run([program("mvn", "maven"), "-q", "-B", "dependency:copy", f"-Dartifact={JMX_EXPORTER}", "-Dmdep.stripVersion=true",
             f"-DoutputDirectory={folder}"])
        if os.geteuid() == 0:
            run(["apt-get", "update", "-qq"])
        run([program("apt-get", "apt"), "download", "-qq", NODE_EXPORTER], cwd=folder)
        [package] = folder.glob(f"{NODE_EXPORTER}_*.deb")
        run([program("dpkg", "dpkg"), "-x", package.name, "node"], cwd=folder)
        shutil.copy(folder / "node" / "usr" / "bin" / NODE_EXPORTER, folder / NODE_EXPORTER)
        (folder / "complete").write_text("")
    return folder


def everything():
    """Fetches all peers; says what there is."""
    print(f"exporters: {exporters()}")
    for version in VERSIONS:
        print(f"kafka {version}: {kafka_libs(version)}")
        tool_host(version)
    group_upgrade()
    print(f"kafka streams {DEFAULT}: {word_count().rpartition(':')[2]}")
    print(f"kcat: {kcat()}")
    code = "import confluent_kafka as c; print(c.version()[0] if isinstance(c.version(), tuple) else c.version(), c.libversion()[0])"
    versions = run([str(librdkafka_python()), "-c", code]).split()
    print(f"confluent-kafka {versions[0]} with librdkafka {versions[1]}: {librdkafka_python()}")
