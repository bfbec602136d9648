"""playbooks/replace_container.yml by itself, on containers with every setting that we know of: with both versions of Ansible,
over the engine's socket."""

import json
import subprocess
import unittest

from stage import REPOSITORY, OnEngine
from story import until

IMAGE = "nginxinc/nginx-unprivileged:1.29.4-alpine"
SLEEP = ["--stop-signal", "SIGKILL", "--entrypoint", "sleep", IMAGE, "1d"]
# Beside what every container needs: each is something that could be lost.
SETTINGS = """
    --env TRICKY={{(1+1)}}{%if(1)%}x{%endif%} --env EMPTY= --env QUOTED='"\\ü --label team=shop --label empty=
    --hostname shop.example --domainname example.org --user 101:101 --workdir /tmp --read-only --init --tty
    --cap-drop ALL --cap-add CHOWN --security-opt no-new-privileges:true --restart on-failure:7
    --memory 64m --memory-swap 96m --cpus 0.5 --cpu-shares 512 --pids-limit 50 --ulimit nofile=512:1024 --shm-size 8m
    --tmpfs /scratch:size=1m,uid=101 --volume shop-data:/data --volume /anonymous --volume /proc/version:/version:ro
    --mount type=volume,target=/nameless --mount type=volume,source=shop-more,target=/more
    --mount type=tmpfs,target=/fast,tmpfs-size=1048576 --mount type=bind,source=/etc/hostname,target=/name,readonly
    --publish 127.0.0.1:8099:8080 --expose 9999 --network shop-one --ip 172.30.1.7 --network-alias web
    --dns 10.0.0.1 --dns-search example.org --add-host db:10.0.0.2 --sysctl net.ipv4.ip_unprivileged_port_start=80
    --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 --stop-timeout 3
    --health-cmd true --health-interval 1s --health-retries 2 --health-timeout 2s --oom-score-adj 100 --group-add 7
    --device /dev/null:/dev/nothing --ipc private --cgroup-parent /shop --blkio-weight 300
""".split()
RELEASES = (".venv", ".venvs/core-2.16")


def settings(state):
    """What a container was made with, and where it is. Ids, times and addresses of its own are left out."""
    config, host = dict(state["Config"]), dict(state["HostConfig"])
    if config["Hostname"] == state["Id"][:12]:
        del config["Hostname"]
    # A volume without a name has one from now on; Mounts, below, shows that each is where it was.
    named = [mount["Target"] for mount in host.pop("Mounts", None) or [] if "Source" in mount or mount["Type"] == "tmpfs"]
    host.pop("Binds")
    # None of them, or nothing: that is the same.
    host = {name: value or None for name, value in host.items()}
    networks = {
        name: {
            "aliases": sorted(set(network["Aliases"] or []) - {state["Id"][:12]}),
            **{key: network[key] for key in ("IPAMConfig", "Links", "DriverOpts", "NetworkID")},
        }
        for name, network in state["NetworkSettings"]["Networks"].items()
    }
    mounts = sorted((mount["Destination"], mount.get("Name"), mount["Source"], mount["RW"]) for mount in state["Mounts"])
    return {"Name": state["Name"], "Image": state["Image"], "Config": config, "HostConfig": host, "named": named,
            "networks": networks, "mounts": mounts}


class Replacing(OnEngine):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for network, subnet in (("shop-one", "172.30.1.0/24"), ("shop-two", "172.30.2.0/24")):
            cls.engine.must("docker", "network", "create", "--subnet", subnet, network)
            cls.addClassCleanup(cls.engine.must, "docker", "network", "rm", network)
        cls.addClassCleanup(cls.engine.call, "docker", "volume", "rm", "shop-data", "shop-more")

    def run_container(self, *arguments, name="shop"):
        self.addCleanup(self.engine.call, "docker", "rm", "--force", "--volumes", name, f"{name}.healgate-old", f"{name}.healgate-new")
        self.engine.must("docker", "run", "--detach", "--name", name, *arguments)

    def inspect(self, name="shop"):
        return json.loads(self.engine.must("docker", "container", "inspect", name))[0]

    def names(self):
        return set(self.engine.must("docker", "ps", "--all", "--format", "{{.Names}}").split())

    def replace(self, *arguments, release=".venv", **variables):
        given = {"container": "shop", "container_host": f"unix://{self.engine.socket}", "container_wait": 20, "container_settle": 2}
        return subprocess.run(
            [f"{release}/bin/ansible-playbook", "--inventory", "inventory/hosts.yml", "playbooks/replace_container.yml",
             "--extra-vars", json.dumps({**given, **variables}), *arguments],
            cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)

    def replaced(self, **options):
        """Settings before and after; the old one is gone, and nothing else is left."""
        before = self.inspect()
        done = self.replace(**options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        after = self.inspect()
        self.assertNotEqual(before["Id"], after["Id"])
        self.assertTrue(after["State"]["Running"])
        self.assertEqual(self.names(), {"shop"} | self.others)
        return settings(before), settings(after)

    def setUp(self):
        self.others = self.names()

    def test_every_setting_is_kept_and_so_are_the_volumes(self):
        self.run_container(*SETTINGS, *SLEEP)
        self.engine.must("docker", "network", "connect", "--alias", "back", "--ip", "172.30.2.8", "shop-two", "shop")
        write = "for place in data anonymous more; do echo kept > /$place/file; done"
        self.engine.must("docker", "exec", "--user", "0", "shop", "sh", "-c", write)
        for release in RELEASES:
            with self.subTest(release=release):
                before, after = self.replaced(release=release)
                self.assertEqual(before, after)
                read = self.engine.must("docker", "exec", "--user", "0", "shop", "cat", "/data/file", "/anonymous/file", "/more/file")
                self.assertEqual(read.split(), ["kept"] * 3)

    def test_what_is_tied_to_another_container_stays_so(self):
        self.run_container("--volume", "/shared", *SLEEP, name="db")
        self.others = {"db"}
        for options in ([], ["--link", "db:database", "--volumes-from", "db"], ["--network", "container:db", "--uts", "host"]):
            with self.subTest(options=options):
                self.run_container(*options, *SLEEP)
                before, after = self.replaced()
                self.assertEqual(before, after)
                self.engine.must("docker", "rm", "--force", "--volumes", "shop")

    def test_one_whose_replacement_is_not_well_is_back_under_its_name(self):
        # The first has a file that the health check asks for; a new one has not.
        self.run_container("--restart", "unless-stopped", "--health-cmd", "test -e /tmp/well", "--health-interval", "1s",
                           "--health-retries", "2", *SLEEP)
        self.engine.must("docker", "exec", "shop", "touch", "/tmp/well")
        until("it is healthy", 30, lambda: self.inspect()["State"]["Health"]["Status"] == "healthy")
        before = self.inspect()
        done = self.replace()
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("shop was not replaced: the old one is there under its name again. Check that it is well", done.stdout)
        after = self.inspect()
        self.assertEqual((after["Id"], settings(after)), (before["Id"], settings(before)))
        self.assertTrue(after["State"]["Running"])
        self.assertEqual(self.names(), {"shop"})
        # While it is well, it is left alone where that was asked for.
        until("it is healthy", 30, lambda: self.inspect()["State"]["Health"]["Status"] == "healthy")
        done = self.replace(container_only_if_down=True)
        self.assertIn("changed=0", done.stdout)
        self.assertEqual(self.inspect()["State"]["StartedAt"], after["State"]["StartedAt"])

    def test_one_that_does_not_get_well_in_time_is_replaced_by_the_old_one_and_its_environment_is_in_no_log(self):
        self.run_container("--env", "PASSWORD=hunter2", "--health-cmd", "test -e /tmp/well", "--health-interval", "60s", *SLEEP)
        before = self.inspect()
        done = self.replace("-vv", container_wait=3)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("Check that it is well: The new one is starting, not well", done.stdout)
        self.assertEqual(self.inspect()["Id"], before["Id"])
        self.assertNotIn("hunter2", done.stdout + done.stderr)

    def test_one_whose_image_is_gone_is_not_touched(self):
        self.run_container(*SLEEP)
        self.engine.must("docker", "commit", "shop", "shop:own")
        self.engine.must("docker", "rm", "--force", "shop")
        self.run_container("shop:own")
        self.engine.must("docker", "kill", "shop")
        before = self.inspect()
        self.engine.must("docker", "rmi", "--force", "shop:own")
        done = self.replace()
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("The image of shop, shop:own (sha256:", done.stdout)
        self.assertEqual(self.inspect(), before)

    def test_a_newer_image_of_the_same_name_is_not_taken(self):
        self.run_container(*SLEEP)
        self.engine.must("docker", "commit", "shop", "shop:own")
        self.addCleanup(self.engine.call, "docker", "rmi", "--force", "shop:own")
        self.engine.must("docker", "rm", "--force", "shop")
        self.run_container("shop:own")
        image = self.inspect()["Image"]
        self.engine.must("docker", "tag", IMAGE, "shop:own")
        _, after = self.replaced()
        self.assertEqual(after["Image"], image)

    def test_what_was_cut_off_is_taken_back_by_the_next_run(self):
        self.run_container(*SLEEP)
        image = self.inspect()["Image"]
        volumes = self.inspect()["Mounts"]
        # As if power had failed just after the old one had been put aside; and then, after the new one had got its name.
        for name in ("shop.healgate-new", "shop"):
            self.engine.must("docker", "rename", "shop", "shop.healgate-old")
            self.engine.must("docker", "create", "--name", name, "--label", "wrong=one", *SLEEP)
            done = self.replace()
            self.assertEqual(done.returncode, 0, done.stdout)
        after = self.inspect()
        self.assertEqual((after["Image"], after["Mounts"], after["Config"]["Labels"].get("wrong")), (image, volumes, None))
        self.assertEqual(self.names(), {"shop"})


if __name__ == "__main__":
    unittest.main()
