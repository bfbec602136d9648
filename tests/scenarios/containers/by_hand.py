"""An operator for a scenario's gateway, whose settings have none: a token of this process alone."""

import hashlib
import json
import secrets

from stage import REPOSITORY

TOKEN = secrets.token_urlsafe(32)
# Settings that come from the environment win over the file's.
ENVIRONMENT = {
    "HEALGATE__AUTH__TOKENS[0]__NAME": "tester",
    "HEALGATE__AUTH__TOKENS[0]__ROLE": "operator",
    "HEALGATE__AUTH__TOKENS[0]__SHA256": hashlib.sha256(TOKEN.encode()).hexdigest(),
}


def overlay(service="healgate"):
    """A compose file that gives the service the operator, and changes nothing else."""
    file = REPOSITORY / f"target/scenarios/operator-of-{service}.yml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"services": {service: {"environment": ENVIRONMENT}}}))
    return str(file)
