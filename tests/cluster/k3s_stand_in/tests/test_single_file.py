"""The executable that ../make-k3s-stand-in builds."""
import os
import subprocess
import tempfile
import unittest
import zipfile

BUILDER = os.path.join(os.path.dirname(__file__), "..", "..", "make-k3s-stand-in")


class SingleFileTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "k3s")
        subprocess.run([BUILDER, self.file], check=True)

    def run_file(self, *arguments):
        return subprocess.run([self.file, *arguments], capture_output=True, text=True, check=False)

    def test_same_sources_give_same_bytes(self):
        with open(self.file, "rb") as first:
            before = first.read()
        subprocess.run([BUILDER, self.file], check=True)
        with open(self.file, "rb") as second:
            self.assertEqual(second.read(), before)

    def test_file_holds_compiled_modules_and_no_tests(self):
        with zipfile.ZipFile(self.file) as archive:
            names = archive.namelist()
        self.assertIn("k3s_stand_in/register.py", names)
        self.assertIn("k3s_stand_in/register.pyc", names)
        self.assertFalse([name for name in names if "tests" in name])

    def test_version_is_printed(self):
        done = self.run_file("--version")
        self.assertEqual((done.returncode, done.stdout),
                         (0, "k3s version v0.0.0+stand-in (a stand-in of the tests, not k3s)\n"))

    def test_unknown_command_fails(self):
        done = self.run_file("agent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("it knows `server`, `--version` and `kubectl get nodes`", done.stderr)

    def test_fatal_error_is_last_line_and_exit_code_1(self):
        with tempfile.TemporaryDirectory() as root:
            done = subprocess.run([self.file, "server"], capture_output=True, text=True, check=False,
                                  env={**os.environ, "K3S_STAND_IN_ROOT": root})
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.splitlines()[-1], 'level=fatal msg="stand-in: token-file is not set"')
