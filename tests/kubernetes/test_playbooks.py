"""The playbooks with the real Ansible and kubernetes.core: what they ask of an API server, call by call."""

import re
import unittest

from api_server import Deployment
from scene import Scene

WEB = "/apis/apps/v1/namespaces/shop/deployments/web"
PATCH = "application/strategic-merge-patch+json"
SHOP_WEB = {"deployment_namespace": "shop", "deployment_name": "web"}


class Restart(Scene):
    def test_a_restart_stamps_the_template_once_and_waits_until_every_pod_is_new(self):
        api = self.cluster(Deployment("shop", "web"))
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB, healgate={"job_id": "0190-7"})
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        ((method, path, query, content_type, body),) = api.writes()
        self.assertEqual((method, path, query, content_type), ("PATCH", WEB, {}, PATCH))
        stamp = body["spec"]["template"]["metadata"]["annotations"].pop("kubectl.kubernetes.io/restartedAt")
        self.assertRegex(stamp, r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")
        self.assertEqual(
            body,
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {
                    "namespace": "shop",
                    "name": "web",
                    "annotations": {"kubernetes.io/change-cause": "restarted by healgate, job 0190-7"},
                },
                "spec": {"template": {"metadata": {"annotations": {}}}},
            },
        )
        self.assertEqual({call[1] for call in api.calls}, {WEB})
        # One more look than the controller needs to get on would show a wait that ends too early.
        after = api.calls[api.calls.index((method, path, query, content_type, body)) + 1 :]
        self.assertGreater(len(after), 3)
        self.assertEqual(api.strangers, 0)

    def test_check_mode_only_asks_what_a_restart_would_do(self):
        web = Deployment("shop", "web")
        before = web.look()
        api = self.cluster(web)
        stats, printed = self.play("restart_deployment.yml", "--check", "--diff", **SHOP_WEB)
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        self.assertIn("restartedAt", printed)
        self.assertEqual([call[:3] for call in api.writes()], [("PATCH", WEB, {"dryRun": "All"})])
        self.assertEqual(web.look(), before)

    def test_a_rollout_that_never_completes_fails_when_its_time_is_over(self):
        api = self.cluster(Deployment("shop", "web", ending="never"))
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB, deployment_wait=5)
        self.assertEqual(stats["failures"], 1, printed)
        self.assertIn("shop/web: the rollout was not complete after 5 s: of 3 replicas 2 are new and 3 available", printed)
        self.assertEqual(len(api.writes()), 1)

    def test_a_rollout_that_the_controller_gives_up_fails_at_once(self):
        self.cluster(Deployment("shop", "web", ending="stalls"))
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB, deployment_wait=170)
        self.assertEqual(stats["failures"], 1, printed)
        self.assertIn("the rollout has stalled: of 3 replicas 1 are new and 3 available. it has timed out", printed)

    def test_one_that_is_available_is_left_alone_where_that_is_asked_for(self):
        api = self.cluster(Deployment("shop", "web"))
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB, deployment_only_if_unavailable=True)
        self.assertEqual((stats["changed"], stats["failures"]), (0, 0), printed)
        self.assertEqual([call[0] for call in api.calls], ["GET"])

    def test_one_that_is_not_available_is_restarted_where_only_such_are_meant(self):
        web = Deployment("shop", "web")
        web.object["status"]["availableReplicas"] = 2
        api = self.cluster(web)
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB, deployment_only_if_unavailable=True)
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        self.assertEqual(len(api.writes()), 1)

    def test_one_that_a_restart_would_not_start_is_refused(self):
        for change in ({"paused": True}, {"replicas": 0}):
            web = Deployment("shop", "web")
            web.object["spec"].update(change)
            api = self.cluster(web)
            stats, printed = self.play("restart_deployment.yml", **SHOP_WEB)
            self.assertEqual(stats["failures"], 1, printed)
            self.assertIn("shop/web is paused, or wants no replicas", printed)
            self.assertEqual(api.writes(), [])

    def test_names_that_are_none_never_reach_the_api_server(self):
        api = self.cluster(Deployment("shop", "web"))
        for name in ("../../secrets", "web\n"):
            stats, printed = self.play("restart_deployment.yml", deployment_namespace="shop", deployment_name=name)
            self.assertEqual(stats["failures"], 1, printed)
            self.assertIn("must be names of Kubernetes", printed)
        self.assertEqual(api.calls, [])

    def test_what_is_not_there_or_not_allowed_is_said(self):
        self.cluster(Deployment("shop", "db"))
        stats, printed = self.play("restart_deployment.yml", **SHOP_WEB)
        self.assertEqual(stats["failures"], 1, printed)
        self.assertIn("There is no Deployment shop/web", printed)
        stats, printed = self.play("restart_deployment.yml", deployment_namespace="shop", deployment_name="db")
        self.assertEqual(stats["failures"], 1, printed)
        self.assertIn("get deployments db is forbidden", printed)


class Scale(Scene):
    def test_scaling_sends_one_patch_to_the_scale_alone_and_the_second_time_none(self):
        api = self.cluster(Deployment("shop", "web", replicas=2))
        # Text, as a template of the catalogue makes it.
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas="5")
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        body = {"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 5}}
        self.assertEqual(api.writes(), [("PATCH", WEB + "/scale", {}, PATCH, body)])
        self.assertEqual({call[1] for call in api.calls}, {WEB, WEB + "/scale"})

        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas="5")
        self.assertEqual((stats["changed"], stats["failures"]), (0, 0), printed)
        self.assertEqual(len(api.writes()), 1)

    def test_check_mode_scales_nothing(self):
        api = self.cluster(Deployment("shop", "web", replicas=2))
        stats, printed = self.play("scale_deployment.yml", "--check", **SHOP_WEB, deployment_replicas=5)
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        self.assertEqual(api.writes(), [])

    def test_the_scale_needs_no_right_to_change_the_deployment(self):
        rules = [
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
            {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["patch"]},
        ]
        self.cluster(Deployment("shop", "web", replicas=2), rules=rules)
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=3)
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)

    def test_one_that_has_more_is_left_alone_where_that_is_asked_for(self):
        web = Deployment("shop", "web", replicas=7)
        api = self.cluster(web)
        stats, printed = self.play(
            "scale_deployment.yml", **SHOP_WEB, deployment_replicas=5, deployment_never_fewer=True
        )
        self.assertEqual((stats["changed"], stats["failures"]), (0, 0), printed)
        self.assertEqual(api.writes(), [])
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=5)
        self.assertEqual((stats["changed"], web.object["spec"]["replicas"]), (1, 5), printed)

    def test_replicas_that_do_not_come_fail_the_play(self):
        self.cluster(Deployment("shop", "web", replicas=2, ending="never"))
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=4, deployment_wait=5)
        self.assertEqual(stats["failures"], 1, printed)
        self.assertIn("the rollout was not complete after 5 s", printed)

    def test_scaling_to_nothing_waits_until_no_pod_is_left(self):
        web = Deployment("shop", "web", replicas=2)
        self.cluster(web)
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=0)
        self.assertEqual((stats["changed"], stats["failures"]), (1, 0), printed)
        self.assertEqual((web.object["status"]["replicas"], web.seen), (0, web.looks))

    def test_an_autoscaler_that_takes_it_back_is_noticed(self):
        web = Deployment("shop", "web", replicas=2)
        patch = web.patch

        def patched_and_taken_back(change, dry_run):
            new = patch(change, dry_run)
            look, looks = web.look, iter(range(99))

            def taken_back():
                # The look that follows the patch is the module's own.
                if next(looks) == 1:
                    patch({"spec": {"replicas": 2}}, False)
                return look()

            web.look = taken_back
            return new

        web.patch = patched_and_taken_back
        self.cluster(web)
        stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=4)
        self.assertEqual(stats["failures"], 1, printed)
        self.assertRegex(re.sub(r"\s+", " ", printed), "was scaled to 4 and wants 2 now: does an autoscaler own it")

    def test_numbers_that_are_none_are_refused(self):
        api = self.cluster(Deployment("shop", "web"))
        for replicas in ("-1", "10000"):
            stats, printed = self.play("scale_deployment.yml", **SHOP_WEB, deployment_replicas=replicas)
            self.assertEqual(stats["failures"], 1, printed)
            self.assertIn("deployment_replicas must be a number from 0 to 9999", printed)
        self.assertEqual(api.calls, [])


if __name__ == "__main__":
    unittest.main()
