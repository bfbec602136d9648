"""scenarios/nginx-ansible: healgate on the host itself, where app.py was; no file of the set-up changes."""

import os
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

import by_hand
from swap import Swap
from stage import REPOSITORY, binary
from story import Peers, get, heals, until

HOST = "192.168.138.21"
# As the author's README quotes it.
RULE = """\
groups:
  - name: nginx-alerts
    rules:
      - alert: NginxDown
        expr: probe_success == 0
        for: 15s
        labels:
          severity: critical
        annotations:
          summary: "NGINX is down"
          description: "Nginx is not responding for 15s"
"""
# Nobody, and no member of any group; may read the checkout, wherever it lies.
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+dac_read_search",
             "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search", "--no-new-privs", "--")


class NginxAnsible(Swap):
    scenario = "nginx-ansible"
    well = ("probe_success",)
    peers = Peers(healgate=f"http://{HOST}:5001", token=by_hand.TOKEN)
    folder = REPOSITORY / "scenarios/nginx-ansible"
    project = REPOSITORY / "target/scenarios/nginx-ansible/self-healing-infra"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(["ip", "address", "replace", f"{HOST}/32", "dev", "lo"], check=True)
        cls.move()
        cls.serve()

    @classmethod
    def move(cls):
        """Does in a copy of the author's folder what the scenario's README says."""
        shutil.rmtree(cls.project, ignore_errors=True)
        shutil.copytree(cls.folder / "before", cls.project)
        steps = (cls.folder / "README.md").read_text().split("<!-- copied by the test -->\n```sh\n")[1].split("```")[0]
        subprocess.run(["sh", "-euc", steps], cwd=cls.project, env={**os.environ, "HEALGATE_REPO": str(REPOSITORY)}, check=True)
        shutil.chown(cls.project, 65534, 65534)

    @classmethod
    def serve(cls):
        log = cls.enterClassContext((cls.project.parent / "healgate.log").open("wb"))
        command = [*AS_NOBODY, binary(), "serve", "--config", "healgate.yml"]
        cls.gateway = subprocess.Popen(command, cwd=cls.project, env=cls.environment(), stdout=log, stderr=log)
        cls.addClassCleanup(cls.gateway.wait)
        cls.addClassCleanup(cls.gateway.terminate)
        until("healgate answers", 30, lambda: get(f"{cls.peers.healgate}/api/v1/jobs") is not None)

    @classmethod
    def environment(cls):
        # Nobody's home is nowhere.
        temporary = {"ANSIBLE_REMOTE_TEMP": str(cls.project / ".ansible/tmp"), "HOME": str(cls.project)}
        return {**temporary, **by_hand.ENVIRONMENT, "PATH": f"{REPOSITORY}/.venv/bin:{os.environ['PATH']}", "LANG": "C.UTF-8"}

    def playbook(self):
        """The one that the route runs."""
        return get(f"{self.peers.healgate}/api/v1/routes")["items"][0]["playbook"]

    def stop(self):
        self.engine.must("docker", "stop", "nginx-demo")

    def test_1_a_stopped_nginx_is_healed(self):
        job = heals(self.peers, "NginxDown", self.stop, scenario=self.scenario, broken="`docker stop nginx-demo`")
        self.assertEqual((job["target"], job["playbook"]), ("container/nginx-demo", "restart-container"))

    def test_2_the_playbook_changes_nothing_while_nginx_is_well(self):
        self.assert_changes_nothing(self.newest("NginxDown"))

    def test_3_the_authors_own_playbook_runs_as_it_is(self):
        catalogue = self.project / "remediations.yml"
        text = catalogue.read_text()
        self.assertEqual(text.count("    playbook: restart-container"), 1)
        catalogue.write_text(text.replace("    playbook: restart-container", "    playbook: your-playbook"))
        self.gateway.send_signal(signal.SIGHUP)
        until("the route has the other playbook", 30, lambda: self.playbook() == "your-playbook")
        job = heals(self.peers, "NginxDown", self.stop)
        self.assertEqual((job["target"], job["playbook"]), ("container/nginx-demo", "your-playbook"))
        self.assertIn("Restart nginx-demo", self.peers.log(job["id"]))
        ran = (self.project / "ansible/playbook.yml").read_bytes()
        self.assertEqual(ran, (self.folder / "before/ansible/playbook.yml").read_bytes())

    def test_4_no_container_was_changed(self):
        self.assert_only_the_receiver_was_swapped()

    def test_5_healgate_has_no_way_to_the_socket(self):
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines())
        self.assertEqual((status["Uid"].split(), status["Groups"].split()), (["65534"] * 4, []))
        socket = self.engine.environment()["DOCKER_HOST"]
        for host, answer in ((socket, "permission denied"), ("tcp://127.0.0.1:2375", "forbidden")):
            self.assert_refused(answer, *AS_NOBODY, "docker", "--host", host, "ps")

    def test_6_the_settings_have_nothing_to_warn_of(self):
        for folder in (self.folder, self.project):
            command = [binary(), "check", "--config", "healgate.yml"]
            checked = subprocess.run(command, cwd=folder, env=self.environment(), capture_output=True, text=True)
            said = checked.stdout + checked.stderr
            self.assertEqual(checked.returncode, 0, said)
            self.assertNotIn("warning", said)

    def test_7_the_rule_is_the_authors(self):
        self.assertEqual((self.folder / "before/prometheus/alerts.yml").read_text(), RULE)


if __name__ == "__main__":
    unittest.main()
