"""Hooks that lead schemathesis into deep states.

Left alone, it makes ids that nobody has, and sees 404 and `authorization_not_found` for ever. So two calls of three are
given ids of things that exist: learnt from earlier answers, or made for the purpose. All chance comes from one seed.
At the end the answers per operation are written to $FUZZ_TALLY, where tally.py judges whether the run went deep enough.
"""

import atexit
import collections
import datetime
import json
import os
import re
import threading

import requests
import schemathesis

import fuzz_consents
import fuzz_payments
from fuzz_calls import ADMIN, CHANCE, KNOWN, URL, call, fresh_name

LOCK = threading.RLock()
PEOPLE = fuzz_consents.PEOPLE
# More than any body may have but that of a batch.
BODY_BYTES = 300_000
SCOPES = ["read", "asked", "raised", "both", "routed", "counted"]
TALLY = collections.defaultdict(collections.Counter)
MEMBERS = {
    "confirm_nonce": "nonce",
    "escalation_id": "escalation",
    "receipt_id": "receipt",
    "tombstone_id": "tombstone",
    "next_cursor": "cursor",
    "decision_id": "decision",
    "proof_id": "proof",
    "nullifier": "nullifier",
}
SEGMENTS = {
    "authorizations": "authorization",
    "confirmations": "nonce",
    "escalations": "escalation",
    "receipts": "receipt",
    "agent-scope-bundles": "bundle",
    "tombstones": "tombstone",
    "workspaces": "workspace",
    "tlog": "log",
    "tile": "tile",
    "api-keys": "api_key_id",
    "consent": "consent",
    "consent-agents": "agent",
    "c": "consent",
    "agents": "registered agent",
    "devices": "device",
    "delegations": "delegation",
    "payment-intents": "intent",
    "queues": "queue",
    "proofs": "proof",
}
MEMBER_KINDS = {"authorization_id": "authorization", "replaces": "authorization", "superseded_by": "authorization", "bundle_id": "bundle"}
QUERY_KINDS = {"authorization_id": "authorization", "agent_id": "agent", "consent_id": "consent"}
QUERY_VALUES = {"scope": SCOPES, "decision": ["allow", "deny", "confirm", "escalate"], "user_id": PEOPLE, "end_user_ref": PEOPLE}
PREFIXES = {"cr_": "consent", "ag_": "agent", "agt": "registered agent", "dev": "device", "dlg": "delegation", "pin": "intent"}
# Each leads the calls of its operations.
FACES = (fuzz_consents, fuzz_payments)


def later():
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=CHANCE.randint(1, 999))).isoformat()


def conditions(kind):
    return {kind: [{"field": "n", "gt": 5}, {"field": "flag", "exists": True}]}


def inline():
    """The body of a grant that has everything."""
    return {
        "user_id": CHANCE.choice(PEOPLE),
        "agent_id": "fuzzer",
        "scopes": [
            "read",
            {"name": "asked", "constraints": {"allowed_domains": []}},
            "raised",
            "both",
            {"name": "routed", "constraints": conditions("confirm_when") | conditions("escalate_when") | conditions("deny_when")},
            {"name": "counted", "constraints": {"max_per_day": CHANCE.choice([1, 10**6])}},
        ],
        "requires_confirm_for": ["asked", "both"],
        "requires_escalation_for": ["raised", "both"],
        "escalation_targets": {"raised": "security"},
        "expires_at": later(),
        "budget_limit_micros": CHANCE.choice([None, 1000, 2**53 - 1]),
        "bundle_id": None,
        "replaces": None,
    }


def bundle():
    body = inline()
    names = ("agent_id", "scopes", "requires_confirm_for", "requires_escalation_for", "escalation_targets")
    return {name: body[name] for name in names} | {"id": fresh_name("bundle"), "default_expiry_days": 30}


def check(authorization, name):
    body = {"authorization_id": authorization, "scopes": [name], "resource": fresh_name("box")}
    return call("POST", "/v1/check", body)["results"][name]


def make(kind):
    """A new thing of this kind, made through the API."""
    match kind:
        case "authorization":
            return call("POST", "/v1/authorizations", inline())["authorization_id"]
        case "nonce":
            return question("asked", "confirm_nonce")
        case "escalation":
            return question("raised", "escalation_id")
        case "receipt":
            return check(evergreen(), "read")["receipt"]["receipt_id"]
        case "bundle":
            return call("POST", "/v1/agent-scope-bundles", bundle())["id"]
        case "tombstone":
            return call("POST", "/v1/tombstones", {"resource": fresh_name("grave")})["tombstone_id"]
        case "workspace":
            return call("POST", "/admin/v1/workspaces", {"name": fresh_name("ws")}, ADMIN)["workspace_id"]
        case "log":
            return os.environ["ALLOWLOG_WORKSPACE"]
        case "consent":
            return fuzz_consents.ask().id
        case "agent":
            return fuzz_consents.make_agent()
        case "tile":
            return CHANCE.choice(["0/000.p/1", "0/000.p/3", "entries/000.p/2", "entries/000", "1/000.p/1", "2/000.p/1", "0/x001/000"])
    made = fuzz_payments.make(kind)
    assert made is not None, kind
    return made


def question(name, member):
    """Schemathesis learns ids too, and revokes what it likes: then there are new grants."""
    for _ in range(5):
        result = check(evergreen(), name)
        if member in result:
            return result[member]
        KNOWN["evergreen"].clear()
    raise AssertionError(f"a new grant must bring a {member}: {result}")


def evergreen():
    """A grant that no call is led to revoke, so that checks stay deep."""
    if not KNOWN["evergreen"]:
        body = inline() | {"budget_limit_micros": None}
        KNOWN["evergreen"].extend(call("POST", "/v1/authorizations", body)["authorization_id"] for _ in range(3))
    return CHANCE.choice(KNOWN["evergreen"])


def one(kind, consumed=False):
    """One that exists; a new one where that is rather wanted, as for a nonce that can be used once."""
    if kind == "authorization" and not consumed and CHANCE.random() < 0.7:
        return evergreen()
    if consumed and CHANCE.random() < 0.5 or not KNOWN[kind]:
        return make(kind)
    return CHANCE.choice(KNOWN[kind])


def own_api_keys():
    """Whatever the fuzzer reads, it must not revoke the key it works with."""
    keys = call("GET", f"/admin/v1/workspaces/{os.environ['ALLOWLOG_WORKSPACE']}/api-keys", headers=ADMIN)
    return set(re.findall(r'"([^"]+)"', json.dumps(keys)))


def reader():
    """An API key that may only read."""
    body = {"name": "reader", "role": "read"}
    return call("POST", f"/admin/v1/workspaces/{os.environ['ALLOWLOG_WORKSPACE']}/api-keys", body, ADMIN)["api_key"]


READER = reader()
OWN = own_api_keys()


@schemathesis.hook
def before_call(context, case, kwargs):
    with LOCK:
        operation, path = f"{case.method.upper()} {case.operation.path}", case.operation.path
        face = next((face for face in FACES if operation in face.TURNS), fuzz_consents)
        is_new = face.is_new(operation)
        if not (is_new or CHANCE.random() < 0.7) or not face.lead(operation, case):
            lead(case, path)
        fuzz_consents.keep_here(case.body)
        fuzz_payments.sign(case)
        name_call(case, is_new)
        if not is_new:
            spoil(case, kwargs)


def spoil(case, kwargs):
    """Now and then something is wrong that the document cannot make wrong."""
    statuses = case.operation.responses.status_codes
    if case.operation.path.startswith("/v1/") and "403" in statuses and CHANCE.random() < 0.05:
        kwargs["auth"] = as_reader
    if "413" in statuses and isinstance(case.body, dict) and CHANCE.random() < 0.02:
        case.body["padding"] = "x" * BODY_BYTES


def name_call(case, is_new):
    if case.headers is None or case.headers.get("Idempotency-Key") == fuzz_payments.TAKEN_KEY:
        return
    if "Idempotency-Key" in case.headers and (is_new or CHANCE.random() < 0.7):
        # Schemathesis gives the same few to every operation, which refuses what another one has taken.
        case.headers["Idempotency-Key"] = fresh_name("key")
    elif not is_new and case.method.upper() in ("POST", "DELETE", "PATCH") and isinstance(case.body, dict) and CHANCE.random() < 0.05:
        # Few keys, so that many a call meets one that is taken.
        case.headers["Idempotency-Key"] = f"key-{CHANCE.randint(0, 20)}"


def as_reader(request):
    request.headers["Authorization"] = f"Bearer {READER}"
    return request


def lead(case, path):
    for name in list(case.path_parameters or {}):
        lead_segment(case, path, name)
    if path.startswith("/v1/") and isinstance(case.query, dict):
        lead_query(case, path)
    if isinstance(case.body, dict) and CHANCE.random() < 0.7:
        lead_body(case, path)


def lead_segment(case, path, name):
    kind = SEGMENTS.get(path.split("{" + name + "}")[0].strip("/").split("/")[-1])
    if kind == "api_key_id":
        if KNOWN["api_key"] and CHANCE.random() < 0.7:
            workspace, key = CHANCE.choice(KNOWN["api_key"])
            for other in case.path_parameters:
                case.path_parameters[other] = key if other == name else workspace
        elif case.path_parameters[name] in OWN:
            case.path_parameters[name] = "nobody"
    elif kind is not None and CHANCE.random() < 0.67:
        case.path_parameters[name] = one(kind, consumed=case.method.upper() in ("DELETE", "POST"))


def lead_query(case, path):
    cursors = f"cursor of {path}" if path in fuzz_consents.LISTS else "cursor"
    for name, kind in (*QUERY_KINDS.items(), ("cursor", cursors)):
        if case.query.get(name) is not None and CHANCE.random() < 0.6 and (name != "cursor" or KNOWN[kind]):
            case.query[name] = one(kind)
    for name, values in QUERY_VALUES.items():
        if case.query.get(name) is not None and CHANCE.random() < 0.6:
            case.query[name] = CHANCE.choice(values)


def lead_body(case, path):
    body, method = case.body, case.method.upper()
    for name, kind in MEMBER_KINDS.items():
        if isinstance(body.get(name), str):
            body[name] = one(kind)
    match method, path.rstrip("/").split("/")[-1]:
        case "POST", "authorizations":
            body |= inline() if CHANCE.random() < 0.7 else dict.fromkeys(inline()) | {"user_id": "anna", "bundle_id": one("bundle")}
        case "POST", "check":
            lead_check(body)
        case "POST", "batch":
            checks = body.get("checks")
            if not isinstance(checks, list) or not checks:
                body["checks"] = checks = [{} for _ in range(CHANCE.randint(1, 5))]
            for item in checks:
                if isinstance(item, dict) and CHANCE.random() < 0.8:
                    lead_check(item)
        case "POST", "agent-scope-bundles":
            body |= bundle()
        case "POST", "consent-agents":
            body |= fuzz_consents.terms()
        case "PATCH", _ if "consent-agents" in path:
            body |= dict(CHANCE.sample(sorted(fuzz_consents.terms().items()), CHANCE.randint(0, 5)))
        case "POST", "tombstones":
            body |= {"resource": fresh_name("grave")}
        case "POST", "resolve":
            body |= {"resolution": CHANCE.choice(["approved", "rejected"]), "resolved_by": "bob"}
        case "POST", tail if tail.startswith("{") and "confirmations" in path:
            body |= {"approved": CHANCE.random() < 0.7, "ttl_seconds": CHANCE.choice([None, 1, 300])}


def lead_check(body):
    body["authorization_id"] = one("authorization")
    body["scopes"] = CHANCE.sample(SCOPES, CHANCE.randint(1, len(SCOPES)))
    body["resource"] = CHANCE.choice([None, "box-1", "box-2", fresh_name("box")])
    if isinstance(body.get("context"), dict):
        body["context"] |= CHANCE.choice([{}, {"n": 1}, {"n": 9, "flag": True}, {"n": "9"}])


@schemathesis.hook
def after_call(context, case, response):
    with LOCK:
        TALLY[f"{case.method.upper()} {case.operation.path}"][response.status_code] += 1
        # The ids of the document are those of its examples.
        if response.status_code not in (200, 201, 202) or case.operation.path == "/v1/openapi.json":
            return
        try:
            answer = response.json()
        except ValueError:
            return
        learn(answer)
        if case.method.upper() == "GET" and case.operation.path in fuzz_consents.LISTS and answer["meta"]["cursor"]:
            KNOWN[f"cursor of {case.operation.path}"].append(answer["meta"]["cursor"])
        if case.method.upper() != "POST" or not isinstance(answer, dict):
            return
        match case.operation.path:
            case "/v1/authorizations":
                KNOWN["authorization"].append(answer.get("authorization_id"))
            case "/v1/agent-scope-bundles":
                KNOWN["bundle"].append(answer.get("id"))
            case "/admin/v1/workspaces":
                KNOWN["workspace"].append(answer.get("workspace_id"))
            case path if path.endswith("/api-keys") and "api_key_id" in answer:
                KNOWN["api_key"].append((next(iter(case.path_parameters.values())), answer["api_key_id"]))


def learn(value):
    if isinstance(value, list):
        for item in value:
            learn(item)
    elif isinstance(value, dict):
        for name, item in value.items():
            if name in MEMBERS and isinstance(item, str):
                KNOWN[MEMBERS[name]].append(item)
            elif name == "id" and isinstance(item, str) and item[:3] in PREFIXES:
                KNOWN[PREFIXES[item[:3]]].append(item)
            else:
                learn(item)


@atexit.register
def write_tally():
    with open(os.environ["FUZZ_TALLY"], "w") as file:
        json.dump({operation: dict(statuses) for operation, statuses in sorted(TALLY.items())}, file)
