"""What the tests share: a stand-in API server, the packaged kubeconfig that points to it, and a way to run playbooks."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml
from api_server import ApiServer

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "packaging" / "kubernetes"
PLAYBOOKS = ROOT / "playbooks" / "kubernetes"
# The environment that these tests run in has Ansible and the collections.
BIN = Path(sys.executable).parent
TOKEN = "token-of-the-service-account"


class Scene(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="healgate-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def cluster(self, *deployments, rules=None):
        """An API server, and the files that the pod has in /run/secrets/cluster and /etc/healgate/kubeconfig.yml."""
        rules = rules or yaml.safe_load((PACKAGE / "target" / "role.yml").read_text())["rules"]
        api = ApiServer(self.folder, TOKEN, rules, *deployments)
        self.addCleanup(api.close)
        (self.folder / "token").write_text(TOKEN)
        kubeconfig = (PACKAGE / "base" / "kubeconfig.yml").read_text()
        for packaged, here in {
            "https://kubernetes.default.svc": api.url,
            "/run/secrets/cluster/ca.crt": str(api.certificate),
            "/run/secrets/cluster/token": str(self.folder / "token"),
        }.items():
            self.assertIn(packaged, kubeconfig)
            kubeconfig = kubeconfig.replace(packaged, here)
        (self.folder / "kubeconfig.yml").write_text(kubeconfig)
        return api

    def environment(self):
        return {
            "PATH": "%s:%s" % (BIN, os.environ["PATH"]),
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_CONFIG": str(PACKAGE / "base" / "ansible.cfg"),
        }

    def play(self, name, *arguments, **variables):
        """Runs a playbook as the packaged catalogue would; its stats, and all that it printed."""
        run = subprocess.run(
            [BIN / "ansible-playbook", "-i", PACKAGE / "base" / "hosts.yml", PLAYBOOKS / name,
             "--extra-vars", json.dumps(variables), *arguments],
            env=self.environment() | {
                "K8S_AUTH_KUBECONFIG": str(self.folder / "kubeconfig.yml"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            },
            capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        printed = run.stdout + run.stderr
        start = run.stdout.find("{")
        self.assertGreaterEqual(start, 0, printed)
        stats = json.loads(run.stdout[start:])["stats"]["localhost"]
        self.assertEqual(run.returncode == 0, stats["failures"] == 0, printed)
        self.assertNotIn("[WARNING]", run.stderr)
        self.assertNotIn("[DEPRECATION", run.stderr)
        return stats, printed
