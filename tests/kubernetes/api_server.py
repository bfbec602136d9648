"""Stands in for a cluster's API server and its Deployment controller: TLS, tokens, rights, Deployments and their scale.

It keeps every call, and allows only what packaging/kubernetes/target/role.yml allows. It never starts a pod.
"""

import copy
import datetime
import ipaddress
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

APPS = "/apis/apps/v1"
VERBS = {"GET": "get", "PATCH": "patch", "PUT": "update", "POST": "create", "DELETE": "delete"}


def resource(name, kind, verbs, **more):
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs, **more}


# What everybody who is known may read: which kinds there are.
DISCOVERY = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/apis": {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [
            {
                "name": "apps",
                "versions": [{"groupVersion": "apps/v1", "version": "v1"}],
                "preferredVersion": {"groupVersion": "apps/v1", "version": "v1"},
            }
        ],
    },
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    APPS: {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "apps/v1",
        "resources": [
            resource("deployments", "Deployment", ["create", "delete", "get", "list", "patch", "update", "watch"]),
            resource("deployments/scale", "Scale", ["get", "patch", "update"], group="autoscaling", version="v1"),
        ],
    },
}


def merged(old, patch):
    """A strategic merge of objects without lists, which is all that the playbooks send."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class Deployment:
    """One Deployment and its controller. `looks` reads after a change the rollout ends as `ending` says."""

    def __init__(self, namespace, name, replicas=3, looks=3, ending="complete"):
        self.looks, self.ending, self.seen = looks, ending, looks
        self.object = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"namespace": namespace, "name": name, "generation": 1, "resourceVersion": "1", "annotations": {}},
            "spec": {"replicas": replicas, "template": {"metadata": {"annotations": {}}}},
            "status": {},
        }
        self.settle(replicas, replicas, "NewReplicaSetAvailable", "it has been rolled out")

    def settle(self, updated, available, reason, message, old=0):
        replicas = self.object["spec"]["replicas"]
        self.object["status"] = {
            "observedGeneration": self.object["metadata"]["generation"],
            "replicas": max(replicas, old),
            "updatedReplicas": updated,
            "availableReplicas": available,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason, "message": message}],
        }

    def look(self):
        """A read; the controller gets on between two of them. The first one still shows the status of before the change."""
        now = copy.deepcopy(self.object)
        if self.seen < self.looks:
            self.seen += 1
            replicas = self.object["spec"]["replicas"]
            if self.seen < self.looks or self.ending == "never":
                # All are available, and one is of the old template or too many: complete for whoever counts only those.
                old = self.object["status"]["replicas"]
                self.settle(max(replicas - 1, 0), replicas, "ReplicaSetUpdated", "it is being rolled out", old)
                self.seen = min(self.seen, self.looks - 1)
            elif self.ending == "stalls":
                self.settle(1, replicas, "ProgressDeadlineExceeded", "it has timed out progressing")
            else:
                self.settle(replicas, replicas, "NewReplicaSetAvailable", "it has been rolled out")
        return now

    def patch(self, patch, dry_run):
        new = merged(self.object, patch)
        if new["spec"] != self.object["spec"]:
            new["metadata"]["generation"] += 1
        new["metadata"]["resourceVersion"] = str(int(new["metadata"]["resourceVersion"]) + 1)
        if not dry_run:
            self.object, self.seen = new, 0
        return new


class ApiServer:
    """Serves on loopback, until closed. `calls` has (method, path, query, content type, body) of all but discovery."""

    def __init__(self, folder, token, rules, *deployments):
        self.token, self.rules, self.calls = token, rules, []
        self.strangers = 0
        self.deployments = {(d.object["metadata"]["namespace"], d.object["metadata"]["name"]): d for d in deployments}
        self.lock = threading.Lock()
        self.certificate = certificate(folder)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"api": self}))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, folder / "tls.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "https://127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def writes(self):
        return [call for call in self.calls if call[0] != "GET"]

    def allows(self, method, resource_name, name):
        return any(
            "apps" in rule["apiGroups"]
            and resource_name in rule["resources"]
            and VERBS[method] in rule["verbs"]
            and name in rule.get("resourceNames", [name])
            for rule in self.rules
        )

    def answer(self, method, target, content_type, body):
        """(status, object)"""
        parts = urlsplit(target)
        if method == "GET" and parts.path.rstrip("/") in DISCOVERY:
            return 200, DISCOVERY[parts.path.rstrip("/")]
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        self.calls.append((method, parts.path, query, content_type, body))
        # /apis/apps/v1/namespaces/NAMESPACE/deployments[/NAME[/scale]]
        path = parts.path.split("/")[4:]
        if not parts.path.startswith(APPS) or len(path) < 3 or path[0] != "namespaces" or path[2] != "deployments":
            return 404, status(404, "NotFound", "the server could not find the requested resource")
        namespace, name, scale = path[1], path[3] if len(path) > 3 else None, path[4:] == ["scale"]
        what = "deployments/scale" if scale else "deployments"
        if name is None or not self.allows(method, what, name):
            return 403, status(403, "Forbidden", "%s %s %s is forbidden" % (VERBS[method], what, name))
        deployment = self.deployments.get((namespace, name))
        if deployment is None:
            return 404, status(404, "NotFound", 'deployments.apps "%s" not found' % name)
        if method == "GET" and not scale:
            return 200, deployment.look()
        if method == "PATCH" and content_type == "application/strategic-merge-patch+json":
            if scale:
                body = {"spec": {"replicas": body["spec"]["replicas"]}}
            new = deployment.patch(body, query.get("dryRun") == "All")
            return 200, scale_of(new) if scale else new
        return 405, status(405, "MethodNotAllowed", "%s is not something that the playbooks do" % method)


def scale_of(deployment):
    metadata = {key: deployment["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    spec = {"replicas": deployment["spec"]["replicas"]}
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec}


def status(code, reason, message):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.api.lock:
            if self.headers.get("Authorization") == "Bearer " + self.api.token:
                parsed = json.loads(body) if body else None
                code, answer = self.api.answer(self.command, self.path, self.headers.get("Content-Type"), parsed)
            else:
                self.api.strangers += 1
                code, answer = 401, status(401, "Unauthorized", "Unauthorized")
        text = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PATCH = do_PUT = do_POST = do_DELETE = handle_any

    def log_message(self, *_):
        pass


def certificate(folder):
    """A certificate for loopback that signs itself, beside its key in the folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "tls.key").write_bytes(secret)
    return folder / "tls.crt"
