"""Configurations that k3s or the stand-in refuses."""
import contextlib
import io
import os
import tempfile
import unittest

from k3s_stand_in.config import Config, merge_settings, parse_settings, parse_token
from k3s_stand_in.errors import FatalError

TOKEN = "K10" + "ab" * 32 + "::server:secret"


class ParserTest(unittest.TestCase):
    def test_scalars_and_lists(self):
        text = "# comment\nnode-ip: 10.0.0.11\ntls-san:\n  - 10.0.0.100 # the VIP\n  - \"magi\"\ncluster-init: 'true'\n"
        self.assertEqual(parse_settings(text, "file"), {
            "node-ip": "10.0.0.11", "tls-san": ["10.0.0.100", "magi"], "cluster-init": "true"})

    def test_what_is_not_understood_is_refused(self):
        for text in ("node-ip 10.0.0.11", "- item", "a: {b: c}\n  d: e", "Node-IP: x", "a: b\n- c", "a:b"):
            with self.subTest(text=text), self.assertRaisesRegex(FatalError, "failed to parse file: "):
                parse_settings(text, "file")

    def test_later_file_wins_and_plus_appends(self):
        values = {"server": "old", "tls-san": ["one"]}
        merge_settings(values, {"server": "new", "tls-san+": ["two"], "disable+": "traefik"})
        self.assertEqual(values, {"server": "new", "tls-san": ["one", "two"], "disable": ["traefik"]})

    def test_token_needs_hash_of_ca(self):
        self.assertEqual(parse_token(TOKEN), ("ab" * 32, "secret"))
        for token in ("secret", "K10ab::server:secret", TOKEN.replace("server", "node"), TOKEN + ":more", ""):
            with self.subTest(token=token), self.assertRaisesRegex(FatalError, "the token is not of the form"):
                parse_token(token)


class ConfigTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.write("etc/rancher/k3s/config.yaml",
                   "token-file: /etc/token\nnode-name: caspar\nnode-ip: 10.0.0.13\ntls-san:\n  - 10.0.0.100\n")
        self.write("etc/token", TOKEN + "\n")
        self.write("etc/rancher/node/password", "password\n")

    def write(self, path, text, mode=0o600):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, mode)

    def assert_refused(self, message):
        with self.assertRaisesRegex(FatalError, message):
            Config(self.root)

    def test_complete_configuration_is_accepted(self):
        self.write("etc/machine-id", "0123\n")
        self.write("etc/rancher/k3s/config.yaml.d/10-bootstrap.yaml", "server: https://10.0.0.100:6443\n")
        config = Config(self.root)
        self.assertEqual((config.node_name, config.ip, config.join_url, config.begins_cluster, config.machine_id),
                         ("caspar", "10.0.0.13", "https://10.0.0.100:6443", False, "0123"))
        self.assertEqual((config.ca_hash, config.secret), ("ab" * 32, "secret"))

    def test_unknown_setting_is_a_warning(self):
        self.write("etc/rancher/k3s/config.yaml.d/20-typo.yaml", "node-ipp: 10.0.0.13\n")
        with contextlib.redirect_stderr(io.StringIO()) as log:
            Config(self.root)
        self.assertIn("Unknown flag --node-ipp found in config.yaml, skipping", log.getvalue())

    def test_missing_token_file_is_refused(self):
        self.write("etc/rancher/k3s/config.yaml", "node-ip: 10.0.0.13\n")
        self.assert_refused("token-file is not set")

    def test_readable_token_is_refused(self):
        self.write("etc/token", TOKEN, mode=0o644)
        self.assert_refused("is readable by others .mode 0644.")

    def test_absent_token_is_refused(self):
        os.remove(f"{self.root}/etc/token")
        self.assert_refused("open .*/etc/token: No such file or directory")

    def test_absent_password_is_refused(self):
        os.remove(f"{self.root}/etc/rancher/node/password")
        self.assert_refused("open .*/etc/rancher/node/password: No such file or directory")

    def test_missing_address_is_refused(self):
        self.write("etc/rancher/k3s/config.yaml", "token-file: /etc/token\n")
        self.assert_refused("node-ip is not set")

    def test_virtual_address_as_node_address_is_refused(self):
        self.write("etc/rancher/k3s/config.yaml.d/20-ip.yaml", "node-ip: 10.0.0.100\n")
        self.assert_refused("node-ip 10.0.0.100 is the virtual address")
