"""scenarios/replace-container: a container whose own layer is broken. A restart does not mend it, a new container does; and
where that is no better, the old one is still there."""

import unittest

import by_hand
from stage import Stage
from story import Peers, changes_nothing, get, heals, until
from test_replacing import settings

ALERT = {"labels": {"container": "shop"}}


class ReplaceContainer(Stage):
    files = ("docker-compose.yml", "scenarios/replace-container/docker-compose.yml", by_hand.overlay())
    well = ("probe_success",)
    peers = Peers(token=by_hand.TOKEN)
    maxDiff = None

    def through_the_proxy(self, *command):
        return self.engine.call("docker", "exec", "--env", "DOCKER_HOST=tcp://engine:2375", self.container("healgate"), *command)

    def break_its_layer(self):
        self.engine.must("docker", "exec", "--user", "0", "shop", "rm", "/etc/nginx/mime.types")
        self.engine.must("docker", "restart", "shop")

    def test_1_a_restart_does_not_help_and_a_new_container_does(self):
        self.engine.must("docker", "exec", "--user", "0", "shop", "sh", "-c", "echo 7 > /usr/share/shop/orders")
        before = self.inspect("shop")
        job = heals(self.peers, "ShopDown", self.break_its_layer, rungs=2, scenario="replace-container",
                    broken="`docker exec -u 0 shop rm /etc/nginx/mime.types` and a restart")
        restart, replace = reversed(self.peers.jobs("ShopDown"))
        self.assertEqual((restart["playbook"], restart["status"]), ("restart-container", "failed"))
        # It was restarted, and did not get well.
        self.assertRegex(self.peers.log(restart["id"]), r"(?s)TASK \[Wait until it runs\].*fatal")
        self.assertEqual((replace["playbook"], replace["trigger"], replace["follows"]),
                         ("replace-container", "ladder", restart["id"]))
        self.assertEqual(replace["id"], job["id"])
        after = self.inspect("shop")
        self.assertNotEqual(before["Id"], after["Id"])
        self.assertEqual(settings(before), settings(after))
        self.assertEqual(self.engine.must("docker", "exec", "shop", "cat", "/usr/share/shop/orders"), "7\n")
        self.assertEqual(self.engine.call("docker", "inspect", "shop.healgate-old").returncode, 1)
        # It is compose's container still.
        self.assertEqual(self.container("shop"), after["Id"])
        subjects = until("a mail tells of it", 30, lambda: [
            mail["Subject"] for mail in get("http://127.0.0.1:8025/api/v1/messages")["messages"] if "healed" in mail["Subject"]])
        self.assertIn("ShopDown", subjects[0])

    def test_2_what_is_well_is_left_alone(self):
        before = self.inspect("shop")
        changes_nothing(self, "replace-container", alert=ALERT)
        # In check mode also what would be replaced.
        job = self.peers.run("replace-container", alert=ALERT, check=True, vars={"container_only_if_down": False})
        self.assertEqual(job["status"], "succeeded", self.peers.log(job["id"]))
        after = self.inspect("shop")
        self.assertEqual((before["Id"], before["State"]["StartedAt"]), (after["Id"], after["State"]["StartedAt"]))

    def test_3_a_name_in_a_form_is_refused(self):
        # The engine would believe it more than the address.
        ask = ("import urllib.request as http; http.urlopen(http.Request("
               "'http://engine:2375/containers/shop/rename?name=shop', b'name=other', method='POST'))")
        refused = self.through_the_proxy("python3", "-I", "-c", ask)
        self.assertIn("403", refused.stderr)

    def test_4_the_engine_refuses_what_neither_needs(self):
        prometheus = self.container("prometheus")
        for command in (
            ["ps"], ["images"], ["info"], ["logs", "shop"], ["exec", "shop", "true"], ["rm", "-f", prometheus], ["kill", "shop"],
            ["cp", "shop:/etc/passwd", "-"], ["restart", prometheus], ["rename", "shop", "other"], ["rename", prometheus, "shop"],
            ["create", "healgate:0.1.0"], ["create", "--name", "other", "healgate:0.1.0"], ["volume", "ls"], ["network", "ls"],
            ["rmi", "healgate:0.1.0"],
        ):
            with self.subTest(command=command):
                refused = self.through_the_proxy("docker", *command)
                self.assertNotEqual(refused.returncode, 0, refused.stdout)
                self.assertRegex(refused.stdout + refused.stderr, "(?i)forbidden|403|invalid")


if __name__ == "__main__":
    unittest.main()
