"""Certificates for a secure listener, made anew with keytool and openssl: keys of a test, good for a few days.

    <folder>/
      ca.pem                        the CA that signs all that is good
      other-ca.pem, other-ca.p12    a CA that signed nothing here
      broker.p12                    the broker's key and certificate: localhost and 127.0.0.1
      expired.p12                   the same, expired
      elsewhere.p12                 the same, for another host name
      client.p12, client.pem        a client's key and certificate; client-encrypted.pem with an encrypted key
      truststore.p12, truststore.jks    the CA as keytool stores it
"""

import subprocess

from lib import peers

PASSWORD = "test-store-secret"


def quiet(*command, stdin=None):
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"`{' '.join(map(str, command))}` ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def make(folder):
    """Makes all of them unless they are there; gives the folder."""
    if (folder / "complete").exists():
        return folder
    peers.java()
    peers.program("openssl", "openssl")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "other-ca"):
        quiet("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", 30,
              "-subj", f"/CN=ringlog test {name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    here = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    signed(folder, "broker", here)
    signed(folder, "expired", here, "-not_before", "20240101000000Z", "-not_after", "20240201000000Z")
    signed(folder, "elsewhere", "subjectAltName=DNS:elsewhere.example")
    signed(folder, "client", "subjectAltName=DNS:client")
    client_pem(folder)
    for store, kind, ca in (("truststore.p12", "PKCS12", "ca"), ("truststore.jks", "JKS", "ca"),
                            ("other-ca.p12", "PKCS12", "other-ca")):
        quiet("keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", folder / f"{ca}.pem", "-keystore",
              folder / store, "-storetype", kind, "-storepass", PASSWORD)
    (folder / "complete").write_text("")
    return folder


def signed(folder, name, extension, *dates):
    """A key that keytool makes, in a PKCS12 store as keytool makes it, with a certificate that the CA signed."""
    store = ("-keystore", folder / f"{name}.p12", "-storetype", "PKCS12", "-storepass", PASSWORD, "-alias", name)
    quiet("keytool", "-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", f"CN=ringlog test {name}",
          "-validity", 30, *store)
    quiet("keytool", "-certreq", *store, "-file", folder / f"{name}.csr")
    (folder / f"{name}.ext").write_text(extension + "\n")
    dates = dates or ("-days", 20)
    ca = folder / f"{name}.ca"
    ca.mkdir()
    (ca / "index.txt").write_text("")
    (ca / "ca.cnf").write_text("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\npolicy=p\n"
                               "default_md=sha256\nrand_serial=yes\nunique_subject=no\n[p]\ncommonName=supplied\n")
    dates = [{"-not_before": "-startdate", "-not_after": "-enddate"}.get(word, word) for word in dates]
    done = subprocess.run(["openssl", "ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", folder / "ca.pem",
                           "-keyfile", folder / "ca.key", "-in", folder / f"{name}.csr", "-out", folder / f"{name}.crt",
                           "-extfile", folder / f"{name}.ext", *map(str, dates)], cwd=ca, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"openssl ca {name}: {done.stderr}")
    (folder / f"{name}.chain").write_text((folder / f"{name}.crt").read_text() + (folder / "ca.pem").read_text())
    quiet("keytool", "-importcert", "-noprompt", *store[:-2], "-alias", "ca", "-file", folder / "ca.pem")
    quiet("keytool", "-importcert", "-noprompt", *store, "-file", folder / f"{name}.chain")


def client_pem(folder):
    """The client's key and chain as PEM, the key in the clear and encrypted."""
    key = quiet("openssl", "pkcs12", "-in", folder / "client.p12", "-nocerts", "-nodes", "-passin", f"pass:{PASSWORD}")
    key = quiet("openssl", "pkcs8", "-topk8", "-nocrypt", stdin=key)
    sealed = quiet("openssl", "pkcs8", "-topk8", "-v2", "aes256", "-passout", f"pass:{PASSWORD}", stdin=key)
    chain = (folder / "client.chain").read_text()
    (folder / "client.pem").write_text(key + chain)
    (folder / "client-encrypted.pem").write_text(sealed + chain)
