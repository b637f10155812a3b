"""The contract of this API, as shapes that every answer is held against, and the client that does so.

Written from the published contract alone, without a look at the server's code. Whatever is asked through `Api.ask` has its
answer checked: the status, each member's name and type, and that what names one event names the same one.
"""

import datetime
import re
import time

import httpx

TIMEOUT_S = 20.0
SAFE = 2**53 - 1
ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
DECISION_LIFE_S = 300

# The codes of an error, by status. The contract names none for the statuses that are not here.
REFUSALS = [
    "permission_required",
    "permission_denied",
    "permission_expired",
    "amount_exceeds_limit",
    "permission_mismatch",
    "delegation_revoked",
    "limit_exceeded",
]
ERRORS = {
    400: {"invalid_request"},
    401: {"unauthorized"},
    403: {"forbidden", *REFUSALS},
    404: {"not_found"},
    409: {"invalid_state", "permission_already_used"},
    429: {"rate_limited"},
}
PASSED = ["DELEGATION_VALID", "DEVICE_TRUSTED", "DEVICE_UNVERIFIED", "MERCHANT_ALLOWED", "AMOUNT_CAPPED"]
FAILED = ["AGENT_NOT_FOUND", "AGENT_SUSPENDED", "AGENT_REVOKED", "DELEGATION_NOT_FOUND", "DELEGATION_AGENT_MISMATCH"]
FAILED += ["DELEGATION_REVOKED", "DELEGATION_NOT_YET_VALID", "DELEGATION_EXPIRED", "PERMISSION_NOT_GRANTED", "DEVICE_REVOKED", "DEVICE_NOT_TRUSTED"]
FAILED += [
    "MERCHANT_NOT_ALLOWED",
    "CURRENCY_NOT_ALLOWED",
    "CHANNEL_NOT_ALLOWED",
    "AMOUNT_LIMIT_EXCEEDED",
    "DAILY_LIMIT_EXCEEDED",
    "PERIOD_LIMIT_EXCEEDED",
]
ASKED = ["MANUAL_REVIEW_REQUIRED"]
# What else a server may say of people who were asked; the contract has no code for it.
OURS = ["MANUAL_REVIEW_APPROVED", "MANUAL_REVIEW_REJECTED", "STEP_UP_REQUIRED", "STEP_UP_CONFIRMED"]


def text(value):
    return isinstance(value, str) and value != ""


def boolean(value):
    return isinstance(value, bool)


def free(value):
    return isinstance(value, dict)


def money(value):
    return type(value) is int and 1 <= value <= SAFE


def counted(value):
    return type(value) is int and value >= 0


def moment(value):
    return isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value) is not None


def currency(value):
    return isinstance(value, str) and re.fullmatch("[A-Z]{3}", value) is not None


def named(prefix):
    return lambda value: isinstance(value, str) and re.fullmatch(prefix + ULID, value) is not None


def matching(pattern):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def among(*values):
    return lambda value: value in values


def maybe(kind):
    return lambda value: value is None or kind(value)


def each(kind):
    return lambda value: isinstance(value, list) and all(map(kind, value))


def closed(members, optional=()):
    """An object with these members and no others, of which the optional ones may be missing."""
    return lambda value: isinstance(value, dict) and not why_not(value, members, optional)


def why_not(value, members, optional=()):
    """What is wrong with an object, if anything is."""
    if not isinstance(value, dict):
        return f"is no object: {value!r}"
    missing, unknown = members.keys() - value.keys() - set(optional), value.keys() - members.keys()
    if missing or unknown:
        return f"lacks {sorted(missing)}, has {sorted(unknown)} beside what the contract says"
    wrong = [f"{name}: {item!r}" for name, item in value.items() if not members[name](item)]
    return f"has wrong values: {wrong}" if wrong else None


LIMITS = {
    "merchant_constraints": maybe(
        closed(
            dict.fromkeys(["allowed_merchants", "allowed_categories", "blocked_merchants"], each(text)),
            ["allowed_merchants", "allowed_categories", "blocked_merchants"],
        )
    ),
    "amount_limits": maybe(
        closed(
            {"per_transaction": money, "daily": money, "period": closed({"amount": money, "interval": matching(r"P[0-9A-Z]+")})},
            ["per_transaction", "daily", "period"],
        )
    ),
    "currency_limits": maybe(each(currency)),
    "validity_window": maybe(closed({"start": maybe(moment), "end": maybe(moment)})),
    "channels": maybe(each(text)),
    "step_up_above": maybe(money),
    "review_above": maybe(money),
    "require_trusted_device": boolean,
    "on_exceed": among("deny", "cap"),
    "metadata": free,
}
ORG = {"id": named("org_"), "org_id": named("org_"), "name": text, "status": text, "createdAt": moment}
KEY = {
    "id": matching("key_[0-9A-Z]{26}"),
    "key": matching("aff_.+"),
    "api_key": matching("aff_.+"),
    "keyPrefix": matching("aff_.+"),
    "orgId": named("org_"),
    "createdAt": moment,
}
AGENT = {
    **{name: named("agt_") for name in ("id", "agent_id")},
    "name": text,
    "type": among("llm", "workflow", "robot-controller", "service"),
    "status": among("active", "suspended", "revoked"),
    "ownerOrgId": named("org_"),
    "metadata": free,
    "createdAt": moment,
}
CREDENTIAL = {
    "credential_id": named("crd_"),
    "agent_id": named("agt_"),
    "type": text,
    "algorithm": among("Ed25519"),
    "public_key": matching("[A-Za-z0-9_-]{43}"),
    "private_key": matching("[A-Za-z0-9_-]{43}"),
    "status": among("active"),
    "created_at": moment,
    "expires_at": maybe(moment),
}
DEVICE = {
    **{name: named("dev_") for name in ("id", "device_id")},
    "name": maybe(text),
    "type": maybe(text),
    "status": among("active", "revoked"),
    "attested_at": maybe(moment),
    "metadata": free,
    "created_at": moment,
    "revoked_at": maybe(moment),
}
DELEGATION = {
    **{name: named("dlg_") for name in ("id", "delegation_id")},
    "agent_id": named("agt_"),
    "status": among("pending", "active", "expired", "revoked"),
    "permissions": each(text),
    **LIMITS,
    "policy_id": named("pol_"),
    "created_at": moment,
    "revoked_at": maybe(moment),
    "audit_event_id": named("evt_"),
    "proof_id": named("prf_"),
}
LISTED = {"items": each(closed(DELEGATION)), "has_more": boolean, "next_cursor": maybe(text)}
VERIFIED = {
    "delegation_id": text,
    "valid": boolean,
    "status": among("pending", "active", "expired", "revoked"),
    "reason_codes": each(among(*PASSED, *FAILED, *ASKED, *OURS)),
    "checked_at": moment,
    "proof_id": named("prf_"),
}
REVOKED = {
    "delegation_id": named("dlg_"),
    "status": among("revoked"),
    "revoked_at": moment,
    "audit_event_id": named("evt_"),
    "proof_id": named("prf_"),
}
DECISION = {
    "decision_id": named("dec_"),
    "allowed": boolean,
    "action": among("ALLOW", "ALLOW_WITH_LIMITS", "DENY", "REVIEW", "STEP_UP_REQUIRED"),
    "reason_codes": each(among(*PASSED, *FAILED, *ASKED, *OURS)),
    "policy_id": maybe(named("pol_")),
    "delegation_id": maybe(text),
    "max_amount": maybe(money),
    "currency": maybe(currency),
    "requires_step_up": boolean,
    "proof_id": named("prf_"),
    "audit_event_id": named("evt_"),
    "expires_at": moment,
    "escalation_id": named("esc_"),
    "confirm_nonce": matching("cnf_.+"),
}
TRUST = {
    **DECISION,
    "decision": among("allow", "deny", "review"),
    "trust_level": among("high", "medium", "low"),
    "checks": each(closed({"name": text, "passed": boolean, "code": among(*PASSED, *FAILED, *ASKED, *OURS)})),
}
QUESTIONS = ("escalation_id", "confirm_nonce")
INTENT = {
    **{name: named("pin_") for name in ("id", "payment_intent_id")},
    "status": among("created", "authorised", "captured", "cancelled", "expired"),
    "merchant_id": text,
    "amount": money,
    "currency": currency,
    "channel": maybe(text),
    "agent_id": maybe(named("agt_")),
    "delegation_id": maybe(named("dlg_")),
    "device_id": maybe(text),
    "decision_id": maybe(named("dec_")),
    "authorised_amount": maybe(money),
    "captured_amount": maybe(money),
    "metadata": free,
    "created_at": moment,
    "expires_at": moment,
    "authorised_at": maybe(moment),
    "captured_at": maybe(moment),
    "cancelled_at": maybe(moment),
    # Of the last step that was taken, if there was one.
    "proof_id": maybe(named("prf_")),
    "permission_proof_id": maybe(named("prf_")),
    "audit_event_id": maybe(named("evt_")),
}
AUTHORISED = {
    "payment_intent_id": named("pin_"),
    "status": among("authorised"),
    "authorised_amount": money,
    "currency": currency,
    "decision_id": named("dec_"),
    "proof_id": named("prf_"),
    "permission_proof_id": named("prf_"),
    "audit_event_id": named("evt_"),
    "authorised_at": moment,
}
NULLIFIER = matching("[0-9a-f]{32}")
TOKEN = {
    "token_id": named("oft_"),
    "token": matching(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"),
    "nullifier": NULLIFIER,
    "max_amount": money,
    "expires_at": moment,
    "proof_id": named("prf_"),
    "currency": currency,
    "delegation_id": named("dlg_"),
    "audit_event_id": named("evt_"),
}
QUEUED = {
    "transaction_id": text,
    "status": among("queued", "settled", "double_spend", "expired", "over_limit"),
    "token_id": named("oft_"),
    "nullifier": NULLIFIER,
    "merchant_id": text,
    "amount": money,
    "currency": currency,
    "occurred_at": maybe(moment),
    "client_ref": maybe(text),
    "queued_at": moment,
}
QUEUE = {"device_id": text, "count": counted, "transactions": each(closed(QUEUED))}
CHECKED = {
    "checked_at": moment,
    "results": each(closed({"nullifier": text, "spent": boolean, "status": among("unspent", "spent", "expired", "unknown")})),
}
SETTLED = {
    "transaction_id": text,
    "status": among("settled", "double_spend", "expired", "over_limit"),
    "token_id": named("oft_"),
    "nullifier": NULLIFIER,
    "merchant_id": text,
    "amount": money,
    "currency": currency,
    "client_ref": maybe(text),
    "proof_id": named("prf_"),
    "audit_event_id": named("evt_"),
}
RECONCILED = {"device_id": text, "reconciled_at": moment, "remaining": counted, "results": each(closed(SETTLED))}
PROOF = {"status": among("signed", "pending"), "receipt": free, "receipt_id": named("rcp_"), "ready_at_estimate": moment, "url": text}

# Method, path, status of success, shape, members that may be missing.
ROUTES = [
    ("POST", "/v1/orgs", 201, ORG, ()),
    ("POST", "/v1/api-keys", 201, KEY, ()),
    ("POST", "/v1/agents", 201, AGENT, ()),
    ("GET", "/v1/agents/[^/]+", 200, AGENT, ()),
    ("POST", "/v1/agents/[^/]+/(suspend|activate|revoke)", 200, AGENT, ()),
    ("POST", "/v1/agents/[^/]+/credentials", 201, CREDENTIAL, ("private_key",)),
    ("POST", "/v1/devices", 201, DEVICE, ()),
    ("GET", "/v1/devices/[^/]+", 200, DEVICE, ()),
    ("POST", "/v1/devices/[^/]+/(attest|revoke)", 200, DEVICE, ()),
    ("POST", "/v1/delegations", 201, DELEGATION, ()),
    ("GET", "/v1/delegations/[^/]+", 200, DELEGATION, ()),
    ("GET", "/v1/delegations", 200, LISTED, ()),
    ("POST", "/v1/delegations/[^/]+/verify", 200, VERIFIED, ()),
    ("POST", "/v1/delegations/[^/]+/revoke", 200, REVOKED, ()),
    ("POST", "/v1/trust/check", 200, TRUST, QUESTIONS),
    ("POST", "/v1/nior/policy/decide", 200, DECISION, QUESTIONS),
    ("POST", "/v1/nior/agent/permission", 200, DECISION, QUESTIONS),
    ("POST", "/v1/payment-intents", 201, INTENT, ()),
    ("GET", "/v1/payment-intents/[^/]+", 200, INTENT, ()),
    ("POST", "/v1/payment-intents/[^/]+/authori[sz]e", 200, AUTHORISED, ()),
    ("POST", "/v1/payment-intents/[^/]+/(cancel|capture)", 200, INTENT, ()),
    ("POST", "/v1/offline/tokens", 201, TOKEN, ("currency", "delegation_id", "audit_event_id")),
    ("POST", "/v1/offline/transactions", 202, QUEUE, ()),
    ("GET", "/v1/offline/queues/[^/]+", 200, QUEUE, ()),
    ("POST", "/v1/offline/nullifiers/check", 200, CHECKED, ()),
    ("POST", "/v1/offline/(nullifiers/)?reconcile", 200, RECONCILED, ()),
    ("GET", "/v1/proofs/[^/]+", 200, PROOF, ("receipt", "receipt_id", "ready_at_estimate", "url")),
]


class Answer:
    """A request and its answer, which can say what they were."""

    def __init__(self, method, path, sent, http):
        self.method, self.path, self.sent = method, path, sent
        self.status, self.headers, self.text = http.status_code, http.headers, http.text
        self.need(self.headers.get("content-type", "").split(";")[0] == "application/json", "an answer is JSON")
        self.json = http.json()

    def __str__(self):
        return f"\n    {self.method} {self.path}\n    sent     {self.sent!r}\n    answered {self.status} {self.text}"

    def __getitem__(self, name):
        return self.json[name]

    def need(self, holds, what):
        assert holds, f"{what}{self}"

    def shape(self):
        """A success is as its route says."""
        path = self.path.split("?")[0]
        rows = [row for row in ROUTES if row[0] == self.method and re.fullmatch(row[1], path)]
        self.need(rows, "the contract has no such operation")
        _, _, status, members, optional = rows[0]
        if members is TOKEN and self.status == 200:
            # What the gate denies is a DENY here as well, and no error.
            status, members, optional = 200, DECISION, QUESTIONS
        self.need(self.status == status, f"a success of this is {status}")
        self.need((fault := why_not(self.json, members, optional)) is None, f"the answer {fault}")
        self.twins()
        if members in (DECISION, TRUST):
            self.decision()

    def twins(self):
        """What is one thing under two names, and what names one event."""
        answer = self.json
        for one in ("org_id", "agent_id", "device_id", "delegation_id", "payment_intent_id"):
            if "id" in answer and answer.get(one) and answer["id"][:4] == answer[one][:4]:
                self.need(answer["id"] == answer[one], f"id and {one} are one")
        self.need(answer.get("key") == answer.get("api_key"), "key and api_key are one")
        self.need(
            "keyPrefix" not in answer or answer["key"].startswith(answer["keyPrefix"]) and len(answer["keyPrefix"]) < len(answer["key"]),
            "a prefix is one",
        )
        event = {answer[name][4:] for name in ("proof_id", "audit_event_id") if answer.get(name)}
        self.need(len(event) < 2, "proof_id and audit_event_id name one event")
        if "decision_id" in answer and "reason_codes" in answer:
            self.need(event == {answer["decision_id"][4:]}, "and decision_id too")
        if answer.get("permission_proof_id"):
            self.need(answer["permission_proof_id"][4:] == answer["decision_id"][4:], "the proof of the permission is that of its decision")

    def decision(self):
        """What must hold of any answer of the gate."""
        answer = self.json
        action, codes = answer["action"], answer["reason_codes"]
        self.need(answer["allowed"] == (action in ("ALLOW", "ALLOW_WITH_LIMITS")), "allowed is true exactly for these two")
        self.need(answer["requires_step_up"] == (action == "STEP_UP_REQUIRED"), "requires_step_up says so")
        self.need(("escalation_id" in answer) == (action == "REVIEW"), "a review names its escalation")
        self.need(("confirm_nonce" in answer) == (action == "STEP_UP_REQUIRED"), "a step-up names its nonce")
        self.need((answer["max_amount"] is not None) == (action == "ALLOW_WITH_LIMITS"), "max_amount is there with ALLOW_WITH_LIMITS")
        failures = [code for code in codes if code in FAILED]
        self.need(len(set(codes)) == len(codes), "no code twice")
        denied = failures == codes[-1:] or codes[-1:] == ["MANUAL_REVIEW_REJECTED"]
        self.need(denied if action == "DENY" else not failures, "the first failure decides and comes last")
        self.need(codes == sorted(codes, key=lambda code: PASSED.index(code) if code in PASSED else 9), "passed codes come first, in their order")
        left = seconds(answer["expires_at"]) - time.time()
        self.need(-5 < left <= DECISION_LIFE_S + 5, f"a decision lives 300 s at most, not {left}")

    def envelope(self):
        """A refusal is spelt as the contract says."""
        self.need(
            (
                fault := why_not(
                    self.json, {"error": text, "code": text, "message": text, "details": each(closed({"field": text, "message": text}))}, ["details"]
                )
            )
            is None,
            f"the error {fault}",
        )
        self.need(self.json["error"] == self.json["code"] and re.fullmatch("[a-z_]+", self.json["code"]), "error and code are one code")
        self.need(self.json["code"] in ERRORS.get(self.status, {self.json["code"]}), f"no code of a {self.status}")
        self.need(self.json.get("details") != [], "details only where there are some")

    @property
    def fields(self):
        return {item["field"] for item in self.json.get("details", [])}


class Api:
    """One key's client. Every answer is checked; what should be the same after a crash is kept."""

    def __init__(self, url, key=None, header="X-AffixIO-Key", org=None):
        self.url, self.key, self.header, self.org = url, key, header, org
        self.http = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)
        self.proofs, self.kept = {}, []

    def call(self, method, path, body=None, *, raw=None, headers=None, idempotency=None):
        """Any request; a refusal is an answer like another. `raw` is sent as it is."""
        own = {} if self.key is None else {self.header: f"Bearer {self.key}" if self.header == "Authorization" else self.key}
        own |= {"Idempotency-Key": idempotency} if idempotency else {}
        own |= {"Content-Type": "application/json"} if raw is not None else {}
        content = {"content": raw} if raw is not None else {"json": body} if body is not None else {}
        answer = Answer(method, path, raw if raw is not None else body, self.http.request(method, path, headers=own | (headers or {}), **content))
        if answer.status >= 400:
            answer.need(answer.status < 500, "the server can answer")
            answer.envelope()
        else:
            answer.shape()
            self.prove(answer)
        return answer

    def prove(self, answer):
        """Remembers each proof id with the answer it came in."""
        items = answer.json.get("results", []) if isinstance(answer.json, dict) else []
        for item in [answer.json, *items]:
            for name in ("proof_id", "permission_proof_id"):
                if item.get(name):
                    self.proofs.setdefault(item[name], answer)

    def ask(self, method, path, body=None, **more):
        """A request that is answered with success."""
        answer = self.call(method, path, body, **more)
        answer.need(answer.status < 400, "this succeeds")
        return answer

    def post(self, path, body=None, **more):
        return self.ask("POST", path, body, **more)

    def get(self, path):
        return self.ask("GET", path)

    def keep(self, method, path, body=None, idempotency=None):
        """A request whose answer must be the same at any later time."""
        answer = self.call(method, path, body, idempotency=idempotency)
        self.kept.append(
            {"key": self.key, "method": method, "path": path, "body": body, "idempotency": idempotency, "status": answer.status, "json": answer.json}
        )
        return answer

    def refused(self, status, code, method, path, body=None, *, fields=None, **more):
        """A request that is refused so; `fields` are those that must be named."""
        answer = self.call(method, path, body, **more)
        answer.need((answer.status, answer.json.get("code")) == (status, code), f"{status} {code} is expected")
        answer.need(fields is None or fields <= answer.fields, f"{fields} are at fault")
        return answer


def seconds(moment):
    return datetime.datetime.fromisoformat(moment).timestamp()


def later(**delta):
    """RFC 3339 with an offset that is not zero: times are compared, not texts."""
    zone = datetime.timezone(datetime.timedelta(hours=2))
    return (datetime.datetime.now(zone) + datetime.timedelta(**delta)).isoformat(timespec="milliseconds")
