"""An Apache Kafka with every kind of secure listener, and what a client needs for each.

    port      PLAINTEXT, as ever; port + 1 is the controller's
    port + 2  SSL               a certificate for localhost and 127.0.0.1
    port + 3  SASL_SSL          PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER (unsecured tokens)
    port + 4  SASL_PLAINTEXT    the same; a session of SCRAM-SHA-256 lasts SESSION_MS (KIP-368)
    port + 5  MTLS              SSL that wants a client certificate of our CA
    port + 6  EXPIRED           SSL with a certificate that expired in 2024
    port + 7  ELSEWHERE         SSL with a certificate for elsewhere.example
"""

from lib import certificates, peers
from lib.brokers import Kafka, free_ports, write_properties
from lib.certificates import PASSWORD

PORTS = 8
USER, SECRET = "alice", "alice-secret"
SESSION_MS = 2000
OFFSETS = {"SSL": 2, "SASL_SSL": 3, "SASL_PLAINTEXT": 4, "MTLS": 5, "EXPIRED": 6, "ELSEWHERE": 7}
PROTOCOLS = {"MTLS": "SSL", "EXPIRED": "SSL", "ELSEWHERE": "SSL"}
STORES = {"EXPIRED": "expired.p12", "ELSEWHERE": "elsewhere.p12"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "OAUTHBEARER": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule",
}


def jaas(mechanism, **options):
    pairs = " ".join(f'{key}="{value}"' for key, value in options.items())
    return f"{MODULES[mechanism]} required {pairs};"


class SecureKafka(Kafka):
    """Kafka with the listeners of the module's table."""

    def __init__(self, folder, port, made=None, **rest):
        super().__init__(folder, port, **rest)
        self.certificates = certificates.make(made or self.folder / "certificates")

    def settings(self):
        settings = super().settings()
        address = {name: f"{name}://localhost:{self.port + offset}" for name, offset in OFFSETS.items()}
        protocols = {name: PROTOCOLS.get(name, name) for name in OFFSETS}
        settings["listeners"] += "," + ",".join(address.values())
        settings["advertised.listeners"] += "," + ",".join(address.values())
        settings["listener.security.protocol.map"] += "," + ",".join(f"{k}:{v}" for k, v in protocols.items())
        for name, protocol in protocols.items():
            prefix = f"listener.name.{name.lower()}."
            if "SSL" in protocol:
                settings.update(self.tls(prefix, STORES.get(name, "broker.p12")))
            if "SASL" in protocol:
                settings.update(self.sasl(prefix))
        settings["listener.name.mtls.ssl.client.auth"] = "required"
        settings["listener.name.sasl_plaintext.scram-sha-256.connections.max.reauth.ms"] = SESSION_MS
        return settings

    def tls(self, prefix, store):
        return {
            f"{prefix}ssl.keystore.type": "PKCS12",
            f"{prefix}ssl.keystore.location": self.certificates / store,
            f"{prefix}ssl.keystore.password": PASSWORD,
            f"{prefix}ssl.key.password": PASSWORD,
            f"{prefix}ssl.truststore.type": "PKCS12",
            f"{prefix}ssl.truststore.location": self.certificates / "truststore.p12",
            f"{prefix}ssl.truststore.password": PASSWORD,
        }

    def sasl(self, prefix):
        jaas_of = {
            "PLAIN": jaas("PLAIN", **{f"user_{USER}": SECRET}),
            "OAUTHBEARER": jaas("OAUTHBEARER", unsecuredLoginStringClaim_sub="broker"),
        }
        lines = {f"{prefix}{m.lower()}.sasl.jaas.config": jaas_of.get(m) or jaas(m) for m in MECHANISMS}
        return {f"{prefix}sasl.enabled.mechanisms": ",".join(MECHANISMS), **lines}

    def format_options(self):
        users = [f"SCRAM-SHA-{bits}=[name={USER},password={SECRET}]" for bits in (256, 512)]
        return [word for user in users for word in ("--add-scram", user)]

    def address(self, listener):
        return f"localhost:{self.port + OFFSETS.get(listener, 0)}"

    def client(self, listener, mechanism=None, store="pem", password=SECRET):
        """The properties of a client of one listener; `store` is pem or pkcs12."""
        protocol = PROTOCOLS.get(listener, listener)
        made = self.certificates
        properties = {"security.protocol": protocol}
        if "SSL" in protocol:
            properties |= {
                "pem": {"ssl.truststore.type": "PEM", "ssl.truststore.location": made / "ca.pem"},
                "pkcs12": {"ssl.truststore.type": "PKCS12", "ssl.truststore.location": made / "truststore.p12",
                           "ssl.truststore.password": PASSWORD},
            }[store]
        if listener == "MTLS":
            properties |= {
                "pem": {"ssl.keystore.type": "PEM", "ssl.keystore.location": made / "client-encrypted.pem",
                        "ssl.key.password": PASSWORD},
                "pkcs12": {"ssl.keystore.type": "PKCS12", "ssl.keystore.location": made / "client.p12",
                           "ssl.keystore.password": PASSWORD, "ssl.key.password": PASSWORD},
            }[store]
        if mechanism:
            who = {"unsecuredLoginStringClaim_sub": USER} if mechanism == "OAUTHBEARER" else {
                "username": USER, "password": password}
            properties |= {"sasl.mechanism": mechanism, "sasl.jaas.config": jaas(mechanism, **who)}
        return properties

    def write_client_files(self):
        """A file for each listener that a client can use, in the broker's folder."""
        for listener in OFFSETS:
            for mechanism in MECHANISMS if "SASL" in listener else (None,):
                name = "-".join(filter(None, (listener.lower(), mechanism and mechanism.lower())))
                path = self.folder / f"client-{name}.properties"
                address = {"bootstrap.servers": self.address(listener)}
                write_properties(path, address | self.client(listener, mechanism))
                yield path


def new(folder, version=peers.DEFAULT, made=None):
    """A secure broker on free ports; not started."""
    return SecureKafka(folder, free_ports(PORTS), version=version, made=made)
