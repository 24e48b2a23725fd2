"""The cluster's CAs in tls/ and this server's own certificate."""
import base64
import hashlib
import os
import re
import shutil
import ssl
import subprocess

from .errors import FatalError
from .files import read_file, require_private, write_file

CA_FILES = {  # the keys are those of k3s's bootstrap data
    "ServerCA": "server-ca.crt", "ServerCAKey": "server-ca.key",
    "ClientCA": "client-ca.crt", "ClientCAKey": "client-ca.key",
    "RequestHeaderCA": "request-header-ca.crt", "RequestHeaderCAKey": "request-header-ca.key",
    "ETCDServerCA": "etcd/server-ca.crt", "ETCDServerCAKey": "etcd/server-ca.key",
    "ETCDPeerCA": "etcd/peer-ca.crt", "ETCDPeerCAKey": "etcd/peer-ca.key",
    "ServiceKey": "service.key",
}
OPENSSL_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = k3s
O = k3s
[ca]
default_ca = this
[this]
database = {work}/database
new_certs_dir = {work}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = server
[any]
CN = supplied
O = optional
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = {names}
"""


class Certificates:
    """The files below tls/."""

    def __init__(self, folder, ca_hash):
        self.folder, self.ca_hash = folder, ca_hash

    def path(self, name):
        return f"{self.folder}/{name}"

    def check(self):
        """Every file exists, keys are private, and each key belongs to its certificate."""
        for file in CA_FILES.values():
            if not os.path.exists(self.path(file)):
                raise FatalError(f"stand-in: {self.path(file)} is missing, k3s would make CAs of its own")
            if file.endswith(".key"):
                require_private(self.path(file))
        for file in CA_FILES.values():
            if file.endswith(".crt"):
                self.check_pair(self.path(file), self.path(file[:-3] + "key"))
        if b"BEGIN EC PRIVATE KEY" not in read_file(self.path("service.key")):
            raise FatalError("stand-in: service.key is no EC PRIVATE KEY")
        openssl("pkey", "-noout", "-in", self.path("service.key"))
        self.check_hash(read_file(self.path("server-ca.crt")))

    @staticmethod
    def check_pair(certificate, key):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise FatalError(f"failed to load {certificate}: {error}") from error

    def check_hash(self, cacerts):
        found = hashlib.sha256(cacerts).hexdigest()
        if found != self.ca_hash:
            raise FatalError("token CA hash does not match the Cluster CA certificate hash: "
                             f"{self.ca_hash} != {found}")

    def export_bootstrap(self):
        return {key: {"Content": base64.b64encode(read_file(self.path(file))).decode()}
                for key, file in CA_FILES.items()}

    def import_bootstrap(self, bootstrap):
        """Writes the CAs of the joined server. Files that the image already holds must be the same."""
        os.makedirs(self.path("etcd"), 0o700, exist_ok=True)
        for key, file in CA_FILES.items():
            content = base64.b64decode(bootstrap[key]["Content"])
            if os.path.exists(self.path(file)) and read_file(self.path(file)) != content:
                raise FatalError(f"{self.path(file)} newer than datastore and could cause a cluster outage. "
                                 "Remove the file(s) from disk and restart to be recreated from datastore.")
            write_file(self.path(file), content)

    def serving_context(self, names):
        """TLS for the two ports. The certificate is signed once and kept."""
        certificate, key = self.path("serving.crt"), self.path("serving.key")
        if not os.path.exists(certificate):
            self.sign(certificate, key, ",".join(map(alternative_name, names)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(self.path("client-ca.crt"))
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def sign(self, certificate, key, names):
        """k3s dates its certificates from the CA's first day, not from now. 2020 is before any CA of the tests."""
        work = self.path("serving.work")
        shutil.rmtree(work, ignore_errors=True)
        os.makedirs(work, 0o700)
        write_file(f"{work}/database", b"")
        write_file(f"{work}/config", OPENSSL_CONFIG.format(work=work, names=names).encode())
        openssl("req", "-new", "-config", f"{work}/config", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-nodes", "-keyout", key, "-out", f"{work}/request")
        openssl("ca", "-batch", "-notext", "-config", f"{work}/config", "-in", f"{work}/request",
                "-out", f"{work}/crt", "-cert", self.path("server-ca.crt"), "-keyfile", self.path("server-ca.key"),
                "-startdate", "20200101000000Z", "-enddate", "20491231235959Z")
        os.rename(f"{work}/crt", certificate)
        shutil.rmtree(work)


def alternative_name(name):
    return ("IP:" if re.fullmatch(r"[0-9.]+|.*:.*", name) else "DNS:") + name


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise FatalError(f"openssl {arguments[0]}: {done.stderr.decode(errors='replace').strip()[-500:]}")
