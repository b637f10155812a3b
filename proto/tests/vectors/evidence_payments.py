"""Workspaces in which agents pay, for evidence_vectors.py, from FORMAT.md alone: agents, devices, delegations, what was decided,
authorised and paid offline, with their receipts.
"""

import hashlib

from evidence_log import DAY_MS, START, Log, integer, json_object, many, maybe, named, raw, text, text_of, time_text, varint

FAILED = """AGENT_NOT_FOUND AGENT_SUSPENDED AGENT_REVOKED DELEGATION_NOT_FOUND DELEGATION_AGENT_MISMATCH DELEGATION_REVOKED
DELEGATION_NOT_YET_VALID DELEGATION_EXPIRED PERMISSION_NOT_GRANTED DEVICE_REVOKED DEVICE_NOT_TRUSTED MERCHANT_NOT_ALLOWED
CURRENCY_NOT_ALLOWED CHANNEL_NOT_ALLOWED AMOUNT_LIMIT_EXCEEDED DAILY_LIMIT_EXCEEDED PERIOD_LIMIT_EXCEEDED MANUAL_REVIEW_REJECTED
MANUAL_REVIEW_REQUIRED STEP_UP_REQUIRED""".split()
PASSED = """DELEGATION_VALID DEVICE_TRUSTED DEVICE_UNVERIFIED MERCHANT_ALLOWED AMOUNT_CAPPED MANUAL_REVIEW_APPROVED
STEP_UP_CONFIRMED""".split()
CODES = FAILED + PASSED
ACTIVE = "authorization_granted_scope_active"
# Where the reason of a receipt is not the code in lower case.
REASON = {code: ACTIVE for code in PASSED} | {
    "DELEGATION_REVOKED": "authorization_revoked",
    "DELEGATION_NOT_YET_VALID": "authorization_not_yet_valid",
    "DELEGATION_EXPIRED": "authorization_expired",
    "MANUAL_REVIEW_REJECTED": "escalation_rejected",
    "MANUAL_REVIEW_REQUIRED": "escalation_required",
    "STEP_UP_REQUIRED": "scope_requires_user_confirmation",
    "MANUAL_REVIEW_APPROVED": "authorization_granted_via_escalation",
    "STEP_UP_CONFIRMED": "authorization_granted_via_confirmation",
}
PURPOSES = ["permission", "policy", "trust", "verification", "offline_token"]
REFUSALS = """permission_required permission_denied permission_expired amount_exceeds_limit permission_mismatch
delegation_revoked limit_exceeded""".split()
SETTLEMENTS = ["double_spend", "expired", "over_limit", "settled"]
KINDS = ["llm", "workflow", "robot-controller", "service"]
STATUSES = ["active", "suspended", "revoked"]
VERDICTS = ["allow", "deny", "confirm", "escalate"]


def reason_of(codes):
    """That of the last code which says more than that all is well."""
    reasons = [REASON.get(code, code.lower()) for code in codes]
    return next((reason for reason in reversed(reasons) if reason != ACTIVE), ACTIVE)


def code(name):
    return bytes([CODES.index(name)])


def currency(letters):
    return letters.encode()


def texts(items):
    return many(items, text)


SECONDS = {"P366D": 366 * 86400, "P7D": 7 * 86400, "PT1S": 1, "P1DT1S": 86401}


def period(given):
    return integer(given["amount"]) + varint(SECONDS[given["interval"]])


def limits(given):
    """The bytes of limits that are given as a receipt has them."""
    merchants, amounts = given.get("merchant_constraints", {}), given.get("amount_limits", {})
    out = maybe(merchants.get("allowed_merchants"), texts) + maybe(merchants.get("allowed_categories"), texts)
    out += texts(merchants.get("blocked_merchants", [])) + maybe(amounts.get("per_transaction"), integer)
    out += maybe(amounts.get("daily"), integer) + maybe(amounts.get("period"), period)
    out += maybe(given.get("currency_limits"), lambda items: many(items, currency)) + maybe(given.get("channels"), texts)
    out += maybe(given.get("step_up_above"), integer) + maybe(given.get("review_above"), integer)
    return out + bytes([given.get("require_trusted_device", False), ["deny", "cap"].index(given["on_exceed"])])


class Delegation:
    """What an agent may pay, with what is needed to tell its story."""

    def __init__(self, name, user="user_1", limited=None, agent="shop"):
        self.auth, self.user, self.raw_agent = named("auth delegation " + name), user, named("payer " + agent)
        self.id, self.agent = text_of("dlg_", self.auth), text_of("agt_", self.raw_agent)
        self.limits = limited or {"on_exceed": "deny"}

    def encoded(self):
        return self.raw_agent + limits(self.limits)


class PaymentLog(Log):
    """A log with the families of payments."""

    def described(self, metadata):
        return self.add(b"\0\2" + json_object(metadata))

    def registered(self, agent, kind="llm", metadata=None, name="Shop assistant"):
        return self.add(b"\x0b\0" + agent + text(name) + bytes([KINDS.index(kind)]) + json_object(metadata or {}))

    def agent_is(self, agent, status):
        return self.add(b"\x0b\1" + agent + bytes([STATUSES.index(status)]))

    def credential(self, agent, name, expires=None):
        public = hashlib.sha256(b"credential " + name.encode()).digest()
        return self.add(b"\x0b\2" + agent + named("credential " + name) + public + maybe(expires, varint))

    def device_registered(self, device, name=None, kind=None, metadata=None):
        return self.add(b"\x0c\0" + device + maybe(name, text) + maybe(kind, text) + json_object(metadata or {}))

    def device_attested(self, device, attestation):
        return self.add(b"\x0c\1" + device + json_object(attestation))

    def device_revoked(self, device, reason=None):
        return self.add(b"\x0c\2" + device + maybe(reason, text))

    def delegated(self, delegation, scopes=("payments.create",), expires=START + 8 * DAY_MS, not_before=None, metadata=None):
        more = {"delegation": delegation, "expires": expires, "not_before": not_before}
        return self.granted(delegation.auth, scopes, delegation.user, delegation.agent, metadata, **more)

    def revoked_delegation(self, delegation, by="user", notes=None):
        return self.revoked(delegation.auth, by, notes=notes, user=delegation.user, agent=delegation.agent)

    def gate(self, delegation, decision, codes, purpose="permission", scope="payments.create", paid=None, most=None, agent="shop",
             device=None, resource=None, context=None, nonce=None, escalation=None, consumed=None, target=None, request=None):  # fmt: skip
        """A decision; `paid` is what is said of the payment, as the receipt has it."""
        rid, paid, context, until = self.receipt_id(), paid or {}, context or {}, self.next_time + 300_000
        known = delegation and delegation.auth + text(delegation.user) + text(delegation.agent) + maybe(START + 8 * DAY_MS, varint)
        body = b"\x0d\0" + rid + (b"\1" + known if known else b"\0" + text("who"))
        body += bytes([PURPOSES.index(purpose)]) + text(agent) + maybe(device, text) + text(scope)
        body += maybe(paid.get("merchant_id"), text) + maybe(paid.get("amount"), integer) + maybe(paid.get("currency"), currency)
        body += maybe(paid.get("channel"), text) + maybe(paid.get("merchant_category"), text) + maybe(paid.get("id"), text)
        body += maybe(resource, text) + json_object(context)
        answers = [maybe(consumed, raw), b"", (nonce or b"") + varint(until), (escalation or b"") + maybe(target, text) + varint(until) + b"\1"]
        body += bytes([VERDICTS.index(decision)]) + answers[VERDICTS.index(decision)]
        body += many(codes, code) + maybe(most, integer) + varint(until) + b"\0"
        action = {"allow": "ALLOW" if most is None else "ALLOW_WITH_LIMITS", "deny": "DENY", "confirm": "STEP_UP_REQUIRED", "escalate": "REVIEW"}
        permission = {"decision_id": text_of("dec_", rid), "purpose": purpose, "action": action[decision], "reason_codes": list(codes)}
        permission |= {"max_amount": most, "agent_id": agent, "device_id": device, "expires_at": time_text(until)}
        shown = context | {"permission": permission, "payment_intent": paid}
        if decision == "escalate":
            asked = {"id": text_of("esc_", escalation), "event": "requested", "status": "pending", "scope": scope, "escalation_to": target}
            shown |= {"escalation": asked}
        auth, user, name = (delegation.auth, delegation.user, delegation.agent) if delegation else (None, "unknown", "unknown")
        reason = reason_of(codes) if delegation else "authorization_not_found"
        receipt = self.receipt(rid, auth, decision, reason, user, name, resource, shown, scope=scope)
        return self.add(body, request, auth, receipt)

    def intended(self, intent, delegation=None, merchant="mer_1", amount=1850, letters="USD", decision=None, metadata=None):
        body = b"\x0d\1" + maybe(delegation and delegation.auth, raw) + intent + text(merchant) + integer(amount) + currency(letters)
        body += maybe(delegation and "online", text) + maybe(delegation and delegation.raw_agent, raw) + maybe(delegation and "till 7", text)
        body += maybe(decision, raw) + json_object(metadata or {}) + varint(self.next_time + DAY_MS)
        return self.add(body, subject=delegation and delegation.auth)

    def abandoned(self, intent):
        return self.add(b"\x0d\6" + intent)

    def moved(self, how, intent, delegation, decision=None, merchant="mer_1", amount=1850, letters="USD", refusal=None, why=None, request=None):
        """An intent that is authorised, refused, captured or cancelled."""
        variant = {"authorised": 2, "refused": 3, "captured": 4, "cancelled": 5}[how]
        rid = self.receipt_id()
        body = bytes([13, variant]) + rid + delegation.auth + text(delegation.user) + text(delegation.agent) + intent
        body += maybe(decision, raw) + text(merchant) + integer(amount) + currency(letters) + b"\0"
        context = {"delegation_id": delegation.id, "payment_intent_id": text_of("pin_", intent), "merchant_id": merchant}
        context |= {"amount": amount, "currency": letters, "decision_id": decision and text_of("dec_", decision)}
        scope = "payment_intent." + {"authorised": "authorise", "refused": "authorise", "captured": "capture", "cancelled": "cancel"}[how]
        if how == "refused":
            body += bytes([REFUSALS.index(refusal)]) + code(why)
            context |= {"reason_codes": [why]}
        answer = ("deny", refusal) if how == "refused" else ("allow", "payment_" + how)
        return self.sealed(rid, body, delegation, scope, answer, context, request)

    def sealed(self, rid, body, delegation, scope, answer, context, request=None):
        receipt = self.receipt(rid, delegation.auth, *answer, delegation.user, delegation.agent, None, context, scope=scope)
        return self.add(body, request, delegation.auth, receipt)

    def token_issued(self, delegation, token, most=5000, letters="EUR", merchants=None, codes=("DELEGATION_VALID",), scope="payments.offline",
                     consumed=None):  # fmt: skip
        rid, until = self.receipt_id(), START + 3_600_000
        body = b"\x0d\7" + rid + delegation.auth + text(delegation.user) + text(delegation.agent) + token
        body += hashlib.sha256(b"nullifier" + token).digest()[:16] + text("till 7") + text(scope) + integer(most) + currency(letters)
        body += maybe(merchants, texts) + many(codes, code) + maybe(consumed, raw) + varint(until) + b"\0"
        context = {"delegation_id": delegation.id, "token_id": text_of("oft_", token), "device_id": "till 7", "permission": scope}
        context |= {"max_amount": most, "currency": letters, "merchant_ids": merchants, "reason_codes": list(codes), "expires_at": time_text(until)}
        return self.sealed(rid, body, delegation, "offline_token.issue", ("allow", "offline_token_issued"), context)

    def queued(self, delegation, token, transaction, amount=4200, occurred=None, ref=None):
        body = b"\x0d\x08" + delegation.auth + transaction + token + text("till 7") + text("mer_1") + integer(amount) + b"EUR"
        return self.add(body + maybe(occurred, varint) + maybe(ref, text), subject=delegation.auth)

    def reconciled(self, delegation, token, transaction, settlement="settled", amount=4200):
        rid = self.receipt_id()
        body = b"\x0d\x09" + rid + delegation.auth + text(delegation.user) + text(delegation.agent) + transaction + token
        body += text("till 7") + text("mer_1") + integer(amount) + b"EUR" + bytes([SETTLEMENTS.index(settlement)]) + b"\0"
        context = {"delegation_id": delegation.id, "transaction_id": text_of("otx_", transaction), "token_id": text_of("oft_", token)}
        context |= {"device_id": "till 7", "merchant_id": "mer_1", "amount": amount, "currency": "EUR"}
        answer = ("allow" if settlement == "settled" else "deny", settlement)
        return self.sealed(rid, body, delegation, "offline_token.settle", answer, context)
