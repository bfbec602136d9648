"""The manifests, offline: against the published schemas, and against what healgate and the playbooks need.

kustomize itself is in no package that these tests could install, so they put the objects together as it would; where
kubectl is installed, what it makes of them is checked in the same way.
"""

import re
import shutil
import subprocess
import unittest

import kubernetes_validate
import yaml
from scene import PACKAGE, PLAYBOOKS, ROOT

# The oldest with every field that is used here and supported by some vendor, and the newest that has been published.
VERSIONS = ("1.30", kubernetes_validate.latest_version().rsplit(".", 1)[0])


def kustomization(folder):
    files = [folder / name for name in ("kustomization.yml", "Kustomization")]
    return yaml.safe_load(next(file for file in files if file.exists()).read_text())


def assembled(folder):
    """The objects of a kustomization, with its namespace and generated ConfigMaps, without names' hashes and patches."""
    layer, objects = kustomization(folder), []
    for resource in layer.get("resources", []):
        path = (folder / resource).resolve()
        objects += assembled(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in layer.get("configMapGenerator", []):
        data = {file.split("/")[-1]: (folder / file).read_text() for file in generator["files"]}
        if generator.get("behavior") == "merge":
            only(objects, "ConfigMap", generator["name"])["data"].update(data)
        else:
            metadata = {"name": generator["name"]}
            objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    for one in objects:
        if "namespace" in layer and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = layer["namespace"]
    return objects


def pinned(requirements):
    return dict(line.split("==") for line in requirements.read_text().splitlines() if "==" in line)


def rendered(folder):
    """What kubectl makes of it, or nothing where there is none."""
    if shutil.which("kubectl") is None:
        return None
    made = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert made.returncode == 0 and made.stderr == "", made.stderr
    return list(yaml.safe_load_all(made.stdout))


def only(objects, kind, name=None):
    (found,) = [one for one in objects if one["kind"] == kind and name in (None, one["metadata"]["name"])]
    return found


def invalid(one):
    """What is wrong with an object, as text, or nothing."""
    if one["kind"] == "ServiceMonitor":
        return invalid_monitor(one)
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            return "%s: %s" % (version, error.message)
    return None


def invalid_monitor(one):
    """The parts of the Prometheus operator's definition that are used here; there is no package that has it."""
    fields = {"selector", "endpoints", "namespaceSelector", "jobLabel", "targetLabels"}
    endpoint = {"port", "path", "interval", "scrapeTimeout", "scheme", "authorization", "tlsConfig", "basicAuth"}
    spec = one["spec"]
    wrong = set(spec) - fields
    for each in spec["endpoints"]:
        wrong |= set(each) - endpoint
        credentials = each.get("authorization", {}).get("credentials", {})
        wrong |= {"credentials"} if set(credentials) != {"name", "key"} else set()
        wrong |= {"interval"} if not re.fullmatch(r"[0-9]+(ms|s|m|h)", each["interval"]) else set()
    if one["apiVersion"] != "monitoring.coreos.com/v1" or set(spec["selector"]) - {"matchLabels", "matchExpressions"}:
        wrong.add("selector")
    return ", ".join(sorted(wrong)) or None


class Manifests(unittest.TestCase):
    def setUp(self):
        self.objects = assembled(PACKAGE / "example")
        self.deployment = only(self.objects, "Deployment")
        self.pod = self.deployment["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]
        self.settings = yaml.safe_load((PACKAGE / "base" / "healgate.yml").read_text())

    def test_every_object_fits_the_published_schemas(self):
        for folder in ("base", "example", "target"):
            for one in assembled(PACKAGE / folder) + (rendered(PACKAGE / folder) or []):
                with self.subTest(folder=folder, kind=one["kind"]):
                    self.assertIsNone(invalid(one))

    def test_a_misspelt_field_would_be_noticed(self):
        self.container["readinesProbe"] = self.container.pop("readinessProbe")
        self.assertIn("readinesProbe", invalid(self.deployment))
        monitor = only(self.objects, "ServiceMonitor")
        monitor["spec"]["endpoints"][0]["bearer"] = "x"
        self.assertEqual(invalid(monitor), "bearer")

    @unittest.skipUnless(shutil.which("kubectl"), "kubectl is not installed")
    def test_kustomize_makes_the_same_objects_and_replaces_the_image(self):
        for folder in ("base", "example", "target"):
            real, ours = rendered(PACKAGE / folder), assembled(PACKAGE / folder)
            kinds = [sorted(one["kind"] for one in objects) for objects in (real, ours)]
            self.assertEqual(*kinds)
        real = rendered(PACKAGE / "example")
        pod = only(real, "Deployment")["spec"]["template"]["spec"]
        self.assertEqual(pod["containers"][0]["image"], "registry.example.org/healgate:0.1.0-kubernetes")
        # The names with hashes have reached the volumes.
        maps = {one["metadata"]["name"] for one in real if one["kind"] == "ConfigMap"}
        sources = next(volume for volume in pod["volumes"] if volume["name"] == "config")["projected"]["sources"]
        self.assertEqual({source["configMap"]["name"] for source in sources}, maps)
        # The patch of the example has met the API server's rule.
        blocks = [peer for rule in only(real, "NetworkPolicy")["spec"]["egress"] for peer in rule["to"] if "ipBlock" in peer]
        self.assertEqual(blocks, [{"ipBlock": {"cidr": "192.0.2.10/32"}}])

    def test_the_pod_has_no_more_than_it_needs(self):
        spec = self.pod["spec"]
        self.assertFalse(spec["automountServiceAccountToken"])
        self.assertTrue(spec["securityContext"]["runAsNonRoot"])
        self.assertGreater(spec["securityContext"]["runAsUser"], 0)
        self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
        self.assertEqual({"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(spec), set())
        security = self.container["securityContext"]
        self.assertTrue(security["readOnlyRootFilesystem"])
        self.assertFalse(security["allowPrivilegeEscalation"])
        self.assertEqual(security["capabilities"], {"drop": ["ALL"]})
        writable = {mount["name"] for mount in self.container["volumeMounts"] if not mount.get("readOnly")}
        self.assertEqual(writable, {"data", "tmp"})
        self.assertFalse(any("hostPath" in volume for volume in spec["volumes"]))
        self.assertFalse(only(self.objects, "ServiceAccount")["automountServiceAccountToken"])

    def test_images_are_pinned(self):
        self.assertRegex(self.container["image"], r"\A[a-z0-9./-]+:[0-9]+\.[0-9]+\.[0-9]+-kubernetes\Z")
        names = {image["name"] for image in kustomization(PACKAGE / "example")["images"]}
        self.assertEqual(names, {self.container["image"].split(":")[0]})

    def test_the_image_has_the_user_of_the_pod(self):
        dockerfile = (ROOT / "Dockerfile").read_text()
        security = self.pod["spec"]["securityContext"]
        self.assertIn(f"useradd --system --uid {security['runAsUser']} --gid {security['runAsGroup']} ", dockerfile)
        self.assertEqual(security["fsGroup"], security["runAsGroup"])

    def test_there_is_one_writer_at_any_time_and_it_may_end_in_peace(self):
        self.assertEqual(self.deployment["spec"]["replicas"], 1)
        self.assertEqual(self.deployment["spec"]["strategy"], {"type": "Recreate"})
        self.assertEqual(only(self.objects, "PersistentVolumeClaim")["spec"]["accessModes"], ["ReadWriteOnce"])
        self.assertEqual(only(self.objects, "PodDisruptionBudget")["spec"]["maxUnavailable"], 1)
        self.assertEqual(self.settings["worker"], {"on_shutdown": "stop", "drain_timeout": "5m"})
        self.assertGreaterEqual(self.pod["spec"]["terminationGracePeriodSeconds"], 300 + 10 + 5)

    def test_probes_service_and_metrics_meet_at_the_port_that_is_listened_on(self):
        port = int(self.settings["server"]["listen"].split(":")[1])
        self.assertEqual(self.container["ports"], [{"name": "http", "containerPort": port}])
        probes = {name: self.container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        self.assertEqual({probe["port"] for probe in probes.values()}, {"http"})
        self.assertEqual([probe["path"] for probe in probes.values()], ["/healthz", "/healthz", "/readyz"])
        (served,) = only(self.objects, "Service")["spec"]["ports"]
        self.assertEqual((served["name"], served["port"], served["targetPort"]), ("http", port, "http"))
        (endpoint,) = only(self.objects, "ServiceMonitor")["spec"]["endpoints"]
        self.assertEqual((endpoint["port"], endpoint["path"]), ("http", "/metrics"))
        (rule,) = only(self.objects, "NetworkPolicy")["spec"]["ingress"]
        self.assertEqual(rule["ports"], [{"port": port, "protocol": "TCP"}])

    def test_every_selector_finds_the_pod_or_the_service(self):
        label = {"app.kubernetes.io/name": "healgate"}
        for objects in filter(None, (self.objects, rendered(PACKAGE / "example"))):
            pod = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
            self.assertLessEqual(label.items(), pod.items())
            self.assertEqual(only(objects, "Service")["spec"]["selector"], label)
            for kind, key in (
                ("Deployment", "selector"),
                ("PodDisruptionBudget", "selector"),
                ("ServiceMonitor", "selector"),
                ("NetworkPolicy", "podSelector"),
            ):
                self.assertEqual(only(objects, kind)["spec"][key], {"matchLabels": label}, kind)
        # kustomize gives the Service the label that the ServiceMonitor looks for.
        (labels,) = kustomization(PACKAGE / "base")["labels"]
        self.assertLessEqual(label.items(), labels.pop("pairs").items())
        self.assertEqual(labels, {}, "more than labels would be changed")

    def test_the_network_is_open_to_monitoring_and_to_whom_the_gateway_asks_and_to_nobody_else(self):
        for objects in filter(None, (self.objects, rendered(PACKAGE / "base"))):
            spec = only(objects, "NetworkPolicy")["spec"]
            self.assertEqual(sorted(spec["policyTypes"]), ["Egress", "Ingress"])
            (source,) = spec["ingress"][0]["from"]
            self.assertEqual(source["namespaceSelector"]["matchLabels"], {"kubernetes.io/metadata.name": "monitoring"})
            ports = [sorted({port["port"] for port in rule["ports"]}) for rule in spec["egress"]]
            self.assertEqual(ports, [[53], [443, 6443], [9093], [9090]])
            peers = [peer for rule in spec["egress"] for peer in rule["to"] if "ipBlock" not in peer]
            expected = [("k8s-app", "kube-dns"), *(("app.kubernetes.io/name", name) for name in ("alertmanager", "prometheus"))]
            self.assertEqual([peer["podSelector"]["matchLabels"] for peer in peers], [dict([label]) for label in expected])
        asked = [self.settings["prometheus"]["url"], self.settings["alertmanagers"][0]["url"]]
        self.assertEqual([url.split(".svc:")[1] for url in asked], ["9090", "9093"])
        self.assertTrue(all(".monitoring.svc:" in url for url in asked))

    def test_the_rights_are_for_named_deployments_and_their_scale_alone(self):
        target = assembled(PACKAGE / "target")
        role, binding = only(target, "Role"), only(target, "RoleBinding")
        for rule in role["rules"]:
            self.assertEqual(rule["apiGroups"], ["apps"])
            self.assertLessEqual(set(rule["resources"]), {"deployments", "deployments/scale"})
            self.assertLessEqual(set(rule["verbs"]), {"get", "patch"})
            self.assertTrue(rule["resourceNames"])
        self.assertEqual(binding["roleRef"]["name"], role["metadata"]["name"])
        account = only(self.objects, "ServiceAccount")["metadata"]
        expected = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
        self.assertEqual(binding["subjects"], [expected])
        self.assertEqual(self.pod["spec"]["serviceAccountName"], account["name"])
        kinds = {one["kind"] for one in self.objects}
        self.assertEqual({"Role", "ClusterRole", "ClusterRoleBinding", "Secret"} & kinds, set())

    def test_what_is_mounted_is_what_there_is(self):
        sources = next(v for v in self.pod["spec"]["volumes"] if v["name"] == "config")["projected"]["sources"]
        items = {item["key"]: item["path"] for source in sources for item in source["configMap"].get("items", [])}
        files = {path.name: str(path.relative_to(ROOT)) for path in PLAYBOOKS.rglob("*.yml")}
        self.assertEqual(items, files)
        self.assertEqual(set(only(self.objects, "ConfigMap", "healgate-playbooks")["data"]), set(files))

    def test_copies_are_like_what_they_are_copied_from(self):
        self.assertEqual((PACKAGE / "base" / "ansible.cfg").read_text(), (ROOT / "ansible.cfg").read_text())
        example = yaml.safe_load((PACKAGE / "example" / "healgate.yml").read_text())
        roles = [token["role"] for token in example["auth"].pop("tokens")]
        self.assertEqual(roles, ["sender", "viewer", "operator"])
        self.settings["auth"].pop("tokens")
        self.assertEqual(example, self.settings)

    def test_the_image_holds_what_is_tested(self):
        tested = pinned(ROOT / "tests" / "requirements-kubernetes.txt")
        self.assertLessEqual(pinned(PACKAGE / "requirements.txt").items(), tested.items())
        self.assertIn(f" ansible=={tested['ansible']} ", (ROOT / "Dockerfile").read_text())
        self.assertIn("Kubernetes %s and %s" % VERSIONS, (PACKAGE / "README.md").read_text())


if __name__ == "__main__":
    unittest.main()
