"""A client with the habits of the published Python client of the scopes form.

It sends every key of a request, null or empty where unused; it waits one second for a check and turns a timeout, a
transport error or a 5xx into a decision of its own, which a 4xx never becomes; and it crashes on an answer that lacks
what it reads. `Client.call` is the bare request, for what the published client would not send.
"""

import re
import threading

import httpx

CHECK_TIMEOUT_S = 1.0
TIMEOUT_S = 10.0
MILLISECONDS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
ULID = "[0-9A-HJKMNP-TV-Z]{26}"

# The codes of the contract's table. It names none for 405.
CODES = {
    400: {"bad_request"},
    401: {"unauthorized"},
    402: {"budget_plan_required", "payment_required"},
    403: {"forbidden"},
    404: {"not_found"},
    409: {"conflict"},
    410: {"gone"},
    413: {"payload_too_large"},
    422: {"validation_error", "idempotency_key_reused"},
    429: {"quota_exceeded"},
    500: {"internal_error"},
    503: {"service_unavailable"},
}

# What a result has beyond `decision`, `reason` and `receipt`.
CONFIRM = {"confirm_nonce", "confirm_expires_at", "confirm_prompt_hint"}
ESCALATE = {"escalation_id", "escalation_to", "escalation_expires_at", "escalation"}
EVALUATED = {"budget", "policy_eval"}
BUDGET = {"limit_micros", "spent_micros", "estimated_cost_micros", "spent_after_micros"}


class ApiError(Exception):
    """A refusal: a 4xx with its envelope."""

    def __init__(self, exchange):
        super().__init__(str(exchange))
        self.exchange, self.status = exchange, exchange.status
        self.code, self.message = exchange.json["error"]["code"], exchange.json["error"]["message"]
        self.fields = [item["field"] for item in exchange.json["error"].get("fields", [])]


class Exchange:
    """A request and its answer, which can say what they were."""

    def __init__(self, method, path, sent, answer):
        self.method, self.path, self.sent = method, path, sent
        self.status, self.headers, self.text = answer.status_code, answer.headers, answer.text
        self.json = None
        if self.status != 204:
            self.need(self.headers.get("content-type", "").split(";")[0] == "application/json", "an answer is JSON")
            self.json = answer.json()

    def __str__(self):
        return f"\n    {self.method} {self.path}\n    sent     {self.sent!r}\n    answered {self.status} {self.text}"

    def need(self, condition, why):
        assert condition, f"{why}{self}"

    def has(self, value, names, where="the answer"):
        self.need(isinstance(value, dict) and names <= value.keys(), f"{where} lacks one of {sorted(names)}")

    def exactly(self, value, names, where):
        self.need(isinstance(value, dict) and value.keys() == names, f"{where} has not exactly {sorted(names)}")

    def time(self, value, where):
        self.need(isinstance(value, str) and MILLISECONDS.fullmatch(value), f"{where} is no UTC time with milliseconds: {value!r}")

    def id(self, value, prefix):
        self.need(isinstance(value, str) and re.fullmatch(prefix + ULID, value), f"{value!r} is not {prefix} and a ULID")

    def envelope(self):
        self.exactly(self.json, {"error"}, "the error envelope")
        error = self.json["error"]
        self.exactly(error, {"code", "message"} | error.keys() & {"fields"}, "error")
        self.need(isinstance(error["code"], str) and isinstance(error["message"], str) and error["message"], "code and message are texts")
        for item in error.get("fields", []):
            self.exactly(item, {"field", "message"}, "an item of fields")
            self.need(all(isinstance(text, str) and text for text in item.values()), "field and message are texts")
        self.need(error.get("fields") != [], "fields only where it applies")
        self.need(error["code"] in CODES.get(self.status, {error["code"]}), f"no code of a {self.status}")
        self.need(self.status != 422 or error["code"] != "validation_error" or "fields" in error, "a validation_error names its fields")


class Client:
    """One workspace's client; also used by several threads at once."""

    def __init__(self, url, api_key, workspace=None, name="first"):
        self.url, self.api_key, self.workspace, self.name = url.rstrip("/"), api_key, workspace, name
        self.http = httpx.Client(base_url=self.url, timeout=TIMEOUT_S, trust_env=False)
        self.lock = threading.Lock()
        self.receipts, self.fallbacks, self.checks, self.results = [], [], 0, []

    # -- the bare request

    def call(self, method, path, body=None, *, key=None, raw=None, headers=None, params=None, timeout=TIMEOUT_S, bare=False):
        """Any request. `raw` replaces the JSON of `body`; `key` is the idempotency key; `bare` leaves the API key out."""
        every = {} if bare else {"Authorization": f"Bearer {self.api_key}"}
        every |= {"Idempotency-Key": key} if key is not None else {}
        every |= {"Content-Type": "application/json"} if raw is not None else {}
        content = {"content": raw} if raw is not None else {"json": body} if body is not None else {}
        answer = self.http.request(method, path, headers=every | (headers or {}), params=params, timeout=timeout, **content)
        exchange = Exchange(method, str(answer.request.url)[len(self.url) :], raw if raw is not None else body, answer)
        exchange.need("x-request-id" in exchange.headers, "every answer has an X-Request-Id")
        if not answer.is_success:
            exchange.envelope()
        return exchange

    def ask(self, status, method, path, body=None, **more):
        exchange = self.call(method, path, body, **more)
        if 400 <= exchange.status < 500:
            raise ApiError(exchange)
        exchange.need(exchange.status == status, f"{status} is the success of this call")
        return exchange

    def pending(self, exchange, receipt):
        """Without these members the published client crashes."""
        exchange.has(receipt, {"status", "receipt_id", "ready_at_estimate", "url"}, "a pending receipt")
        exchange.need(receipt["status"] == "pending", "the receipt is pending")
        exchange.id(receipt["receipt_id"], "rcp_")
        exchange.time(receipt["ready_at_estimate"], "ready_at_estimate")
        exchange.need(receipt["url"] == f"{self.url}/v1/receipts/{receipt['receipt_id']}", "url is absolute and leads to the receipt")
        self.remember(receipt["receipt_id"])
        return receipt["receipt_id"]

    def remember(self, receipt_id):
        with self.lock:
            self.receipts.append(receipt_id)

    # -- authorizations

    def create(self, user_id, *, agent_id=None, scopes=None, bundle_id=None, expires_at=None, budget=None, key=None, **more):
        body = {
            "user_id": user_id,
            "agent_id": agent_id,
            "scopes": scopes,
            "bundle_id": bundle_id,
            "requires_confirm_for": [],
            "requires_escalation_for": [],
            "escalation_targets": {},
            "expires_at": expires_at,
            "budget_limit_micros": budget,
            "metadata": {},
            "replaces": None,
        } | more
        exchange = self.ask(201, "POST", "/v1/authorizations", body, key=key)
        answer = exchange.json
        names = {"authorization_id", "created_at", "expires_at", "user_id", "agent_id", "bundle_id"}
        names |= {"requires_confirm_for", "requires_escalation_for", "escalation_targets", "receipt"}
        exchange.has(answer, names | ({"budget_limit_micros", "budget_spent_micros"} if budget else set()))
        exchange.id(answer["authorization_id"], "auth_")
        exchange.time(answer["created_at"], "created_at")
        exchange.time(answer["expires_at"], "expires_at")
        exchange.need((answer["user_id"], answer["bundle_id"]) == (user_id, bundle_id), "user_id and bundle_id are those of the request")
        exchange.need(isinstance(answer["agent_id"], str) and answer["agent_id"] == (agent_id or answer["agent_id"]), "agent_id is the granted one")
        exchange.need(isinstance(answer["escalation_targets"], dict), "escalation_targets is always an object")
        if budget:
            exchange.need((answer["budget_limit_micros"], answer["budget_spent_micros"]) == (budget, 0), "a budget begins unspent")
        self.pending(exchange, answer["receipt"])
        return answer

    def revoke(self, authorization_id, *, revoked_by=None, notes=None, superseded_by=None, bodiless=False, key=None):
        body = None if bodiless else {"revoked_by": revoked_by, "notes": notes, "superseded_by": superseded_by}
        exchange = self.ask(200, "DELETE", f"/v1/authorizations/{authorization_id}", body, key=key)
        exchange.has(exchange.json, {"authorization_id", "revoked_at", "receipt"})
        exchange.need(exchange.json["authorization_id"] == authorization_id, "the revoked authorization is the one asked for")
        exchange.time(exchange.json["revoked_at"], "revoked_at")
        self.pending(exchange, exchange.json["receipt"])
        return exchange.json

    # -- checks

    def check(self, authorization_id, scopes, resource=None, *, session_id=None, estimate=None, context=None, wait=False, key=None):
        """The answer; or, where the server could not be asked, a decision made here, as the published client does."""
        body = {
            "authorization_id": authorization_id,
            "scopes": scopes,
            "resource": resource,
            "session_id": session_id,
            "estimated_cost_micros": estimate,
            "context": context or {},
        }
        with self.lock:
            self.checks += 1
        params = {"wait": "true"} if wait else None
        try:
            exchange = self.call("POST", "/v1/check", body, key=key, params=params, timeout=CHECK_TIMEOUT_S)
        except httpx.TransportError as error:
            return self.fallback(scopes, f"{type(error).__name__} {error} on {body}")
        if exchange.status >= 500:
            return self.fallback(scopes, str(exchange))
        if exchange.status >= 400:
            raise ApiError(exchange)
        exchange.need(exchange.status == 200, "200 for every decision")
        self.answered(exchange, wait)
        return exchange.json

    def fallback(self, scopes, why):
        with self.lock:
            self.fallbacks.append(why)
        return {"results": {scope: {"decision": "deny", "reason": "local_fallback", "receipt": None} for scope in scopes}}

    def answered(self, exchange, wait):
        answer, sent = exchange.json, exchange.sent
        exchange.has(answer, {"authorization_id", "user_id", "agent_id", "authorization_expires_at", "policy_version", "results"})
        exchange.need(answer["authorization_id"] == sent["authorization_id"], "authorization_id is echoed")
        exchange.need(isinstance(answer["policy_version"], str) and answer["policy_version"], "policy_version is a text")
        if answer["authorization_expires_at"] is not None:
            exchange.time(answer["authorization_expires_at"], "authorization_expires_at")
        exchange.exactly(answer["results"], set(sent["scopes"]), "results")
        for scope, result in answer["results"].items():
            more = {"confirm": CONFIRM, "escalate": ESCALATE}.get(result.get("decision"), set())
            evaluated = result.keys() & EVALUATED
            exchange.exactly(result, {"decision", "reason", "receipt"} | more | evaluated, f"the result of {scope}")
            exchange.need(result["decision"] in {"allow", "deny", "confirm", "escalate"}, "a decision of the four")
            exchange.need(isinstance(result["reason"], str), "a reason is a text")
            self.evaluated(exchange, result)
            if more is CONFIRM:
                exchange.id(result["confirm_nonce"], "cnf_")
                exchange.time(result["confirm_expires_at"], "confirm_expires_at")
                exchange.need(result["confirm_prompt_hint"] == scope, "confirm_prompt_hint is the scope")
            if more is ESCALATE:
                self.escalated(exchange, result)
            exchange.need(isinstance(result["receipt"], dict), "receipt is an object")
            if wait and result["receipt"].get("status") == "signed":
                exchange.exactly(result["receipt"], {"status", "receipt"}, "a signed envelope")
                receipt_id = result["receipt"]["receipt"]["receipt_id"]
                self.remember(receipt_id)
            else:
                receipt_id = self.pending(exchange, result["receipt"])
            with self.lock:
                self.results.append((receipt_id, scope, exchange))

    def evaluated(self, exchange, result):
        if "budget" in result:
            budget = result["budget"]
            exchange.exactly(budget, BUDGET, "budget")
            exchange.need(all(type(item) is int for item in budget.values()), "a budget's members are integers")
            more = budget["estimated_cost_micros"] if result["decision"] == "allow" else 0
            exchange.need(budget["spent_after_micros"] == budget["spent_micros"] + more, "only an allow spends, and all of its estimate")
            exchange.need(budget["spent_after_micros"] <= budget["limit_micros"], "the limit holds")
            exchange.need(budget["estimated_cost_micros"] == (exchange.sent["estimated_cost_micros"] or 0), "the estimate is the caller's")
        if "policy_eval" in result:
            exchange.exactly(result["policy_eval"], {"matched_condition", "field_value"}, "policy_eval")
            if result["policy_eval"]["matched_condition"] is not None:
                exchange.exactly(result["policy_eval"]["matched_condition"], {"field", "op", "value"}, "matched_condition")

    def escalated(self, exchange, result):
        exchange.id(result["escalation_id"], "esc_")
        exchange.time(result["escalation_expires_at"], "escalation_expires_at")
        exchange.exactly(result["escalation"], {"escalation_id", "status", "escalation_to", "expires_at"}, "escalation")
        twins = {"escalation_id": "escalation_id", "escalation_to": "escalation_to", "expires_at": "escalation_expires_at"}
        exchange.need(all(result["escalation"][a] == result[b] for a, b in twins.items()), "escalation says the same as its twins")
        exchange.need(result["escalation"]["status"] == "pending", "an open escalation is pending")

    # -- people

    def confirm(self, nonce, approved=True, *, ttl_seconds=None, key=None):
        exchange = self.ask(200, "POST", f"/v1/confirmations/{nonce}", {"approved": approved, "ttl_seconds": ttl_seconds}, key=key)
        answer = exchange.json
        exchange.has(answer, {"decision", "authorization_id", "expires_at"})
        if not approved:
            exchange.need(answer == {"decision": "denied_by_user", "authorization_id": None, "expires_at": None}, "declined")
            return answer
        exchange.need(answer["decision"] == "approved" and isinstance(answer["authorization_id"], str), "approved")
        exchange.time(answer["expires_at"], "expires_at")
        return answer

    def resolve(self, escalation_id, resolution, *, resolved_by="approver_1", note=None, again=False, key=None):
        body = {"resolution": resolution, "resolved_by": resolved_by, "note": note}
        exchange = self.ask(200, "POST", f"/v1/escalations/{escalation_id}/resolve", body, key=key)
        answer = exchange.json
        exchange.has(answer, {"escalation_id", "status", "resolved_by", "resolved_at", "receipt"})
        exchange.need((answer["escalation_id"], answer["status"]) == (escalation_id, resolution), "the resolution is the one sent")
        exchange.time(answer["resolved_at"], "resolved_at")
        if again:
            exchange.need(answer["receipt"] is None, "a repeated resolution has no receipt")
        else:
            exchange.need(answer["resolved_by"] == resolved_by, "resolved_by is the one sent")
            self.pending(exchange, answer["receipt"])
        return answer

    # -- reading

    def get(self, path, **params):
        return self.ask(200, "GET", path, params=params or None)

    def receipt(self, receipt_id):
        """Signed, or None while pending."""
        exchange = self.get(f"/v1/receipts/{receipt_id}")
        if exchange.json.get("status") == "pending":
            self.pending(exchange, exchange.json)
            return None
        exchange.exactly(exchange.json, {"status", "receipt"}, "a signed envelope")
        exchange.need(exchange.json["status"] == "signed", "signed")
        return exchange

    def keys(self):
        exchange = self.call("GET", f"/v1/workspaces/{self.workspace}/keys", bare=True)
        exchange.need(exchange.status == 200, "the key document needs no API key")
        exchange.need(exchange.headers.get("cache-control") == "public, max-age=3600", f"Cache-Control {exchange.headers}")
        exchange.exactly(exchange.json, {"workspace_id", "keys"}, "the key document")
        for item in exchange.json["keys"]:
            exchange.exactly(item, {"key_id", "alg", "public_key", "active_from", "active_until"}, "a key")
        return exchange.json

    def page(self, path, **params):
        exchange = self.get(path, **params)
        exchange.has(exchange.json, {"items", "has_more", "next_cursor"})
        cursor = exchange.json["next_cursor"]
        exchange.need(isinstance(exchange.json["items"], list) and exchange.json["has_more"] is (cursor is not None), "has_more says whether there is a cursor")
        exchange.need(len(exchange.json["items"]) <= params.get("limit", 50), "a page is not longer than its limit")
        return exchange

    def walk(self, path, between=lambda: None, **params):
        """All items, page by page; `between` runs between the pages."""
        items, cursor, pages = [], {}, 0
        while True:
            exchange = self.page(path, **params, **cursor)
            items += exchange.json["items"]
            pages += 1
            if not exchange.json["has_more"]:
                return items
            exchange.need(exchange.json["items"] and pages < 10_000, "a walk comes to its end")
            cursor = {"cursor": exchange.json["next_cursor"]}
            between()
