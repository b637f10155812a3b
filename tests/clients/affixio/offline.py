"""Offline tokens: checked with the public key alone, spent once, settled in the order of reconciling."""

import canonical
import jwt
from contract import later, seconds
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from stage import Payer, chapter, check, fresh, same, wait_until


class Terminal:
    """Knows the org's public keys, and nothing of the server."""

    def __init__(self, api):
        document = api.http.get(f"/v1/workspaces/ws_{api.org[4:]}/keys")
        assert document.status_code == 200, document.text
        self.keys = {key["key_id"]: Ed25519PublicKey.from_public_bytes(canonical.decode(key["public_key"], 32)) for key in document.json()["keys"]}

    def read(self, token, **more):
        kid = jwt.get_unverified_header(token)["kid"]
        return jwt.decode(token, self.keys[kid], algorithms=["EdDSA"], options={"require": ["exp", "iat", "jti", "iss", "sub"]}, **more)

    def refuses(self, token):
        try:
            self.read(token)
        except (jwt.PyJWTError, KeyError, ValueError):
            return True
        return False


class Wallet:
    """A payer's token on a device."""

    def __init__(self, pays, most=700, currency="EUR", device=None, **more):
        self.pays, self.api, self.device = pays, pays.api, device or fresh("device")
        body = {"agent_id": pays.agent, "delegation_id": pays.delegation, "device_id": self.device, "max_amount": most, "currency": currency}
        self.issued = self.api.post("/v1/offline/tokens", body | {"merchant_ids": ["mer_1", "mer_2"]} | more)
        self.nullifier = self.issued["nullifier"]

    def spend(self, amount, device=None, **more):
        """Tells that it was spent, and is answered with 202."""
        transaction = {"nullifier": self.nullifier, "merchant_id": "mer_1", "amount": amount, "currency": "EUR"} | more
        answer = self.api.post("/v1/offline/transactions", {"device_id": device or self.device, "transactions": [transaction]})
        same(answer["count"], len(answer["transactions"]), "as many as there are")
        return answer["transactions"][-1]

    def settle(self, device=None):
        device = device or self.device
        return self.api.post("/v1/offline/nullifiers/reconcile", {"device_id": device})["results"]

    def status(self):
        results = self.api.post("/v1/offline/nullifiers/check", {"nullifiers": [self.nullifier]})["results"]
        same(results[0]["nullifier"], self.nullifier, "as asked for")
        same(results[0]["spent"], results[0]["status"] == "spent", "spent is spent")
        return results[0]["status"]


@chapter
def a_token_is_checked_offline(api, other):
    terminal = Terminal(api)
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    wallet = Wallet(pays, 700, ttl_seconds=600)
    token = wallet.issued["token"]
    claims = terminal.read(token, issuer=api.org)
    for name, value in [
        ("sub", pays.agent),
        ("jti", wallet.issued["token_id"]),
        ("nullifier", wallet.nullifier),
        ("delegation_id", pays.delegation),
        ("device_id", wallet.device),
        ("max_amount", 700),
        ("currency", "EUR"),
        ("merchant_ids", ["mer_1", "mer_2"]),
        ("exp", int(seconds(wallet.issued["expires_at"]))),
    ]:
        same(claims[name], value, f"the claim {name}")
    same(seconds(wallet.issued["expires_at"]) % 1, 0, "a token ends on a whole second")
    check(590 <= claims["exp"] - claims["iat"] <= 600, "for as long as was asked")
    same(jwt.get_unverified_header(token)["alg"], "EdDSA", "signed with Ed25519")
    head, body, signature = token.split(".")
    for forged in (
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body[:-4]}.{signature}",
        jwt.encode(claims, None, algorithm="none", headers={"kid": list(terminal.keys)[0]}),
    ):
        check(terminal.refuses(forged), "a forged token is none")
    check(Terminal(other).refuses(token), "nor is one of another org")
    default = Wallet(Payer(api), 1).issued
    check(3595 <= seconds(default["expires_at"]) - int(seconds(wallet.issued["expires_at"])) + 600 <= 3605, "an hour unless something is said")
    base = {"agent_id": pays.agent, "delegation_id": pays.delegation, "device_id": "d", "max_amount": 1, "currency": "EUR", "merchant_ids": ["mer_1"]}
    for life in (0, -1, 86401, "600", 1.5):
        api.refused(400, "invalid_request", "POST", "/v1/offline/tokens", base | {"ttl_seconds": life}, fields={"ttl_seconds"})
    for missing in ("agent_id", "delegation_id", "device_id", "max_amount", "currency"):
        api.refused(
            400, "invalid_request", "POST", "/v1/offline/tokens", {name: item for name, item in base.items() if name != missing}, fields={missing}
        )
    # The gate is run, and the amount reserved.
    same(pays.left(), 300, "a token reserves its amount")
    denied = api.call("POST", "/v1/offline/tokens", base | {"max_amount": 301})
    denied.need(
        (denied.status, denied["action"], denied["reason_codes"][-1]) == (200, "DENY", "DAILY_LIMIT_EXCEEDED"), "what the gate denies is no token"
    )
    same(pays.left(), 300, "and reserves nothing")
    for wrong, code in [({"agent_id": "nobody"}, "AGENT_NOT_FOUND"), ({"delegation_id": Payer(other).delegation}, "DELEGATION_NOT_FOUND")]:
        same(api.post("/v1/offline/tokens", base | wrong)["reason_codes"], [code], "unknown is no token")


@chapter
def spent_once(api, _):
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    wallet = Wallet(pays, 700)
    same(wallet.status(), "unspent", "a new token")
    one, two = wallet.device, fresh("device")
    here, there = wallet.spend(600, one, occurred_at=later(seconds=-5)), wallet.spend(650, two)
    same((here["status"], here["token_id"], here["amount"]), ("queued", wallet.issued["token_id"], 600), "it waits")
    for device, waiting in [(one, here), (two, there)]:
        queue = api.get(f"/v1/offline/queues/{device}")
        same((queue["device_id"], queue["transactions"]), (device, [waiting]), "in its device's queue")
    same((wallet.status(), pays.left()), ("unspent", 300), "until it is reconciled")
    settled = wallet.settle(two)
    same([(item["transaction_id"], item["status"]) for item in settled], [(there["transaction_id"], "settled")], "the first to reconcile wins")
    refused = wallet.settle(one)
    same([(item["transaction_id"], item["status"]) for item in refused], [(here["transaction_id"], "double_spend")], "the other is a double spend")
    same(wallet.status(), "spent", "and it is spent")
    same(pays.left(), 350, "650 are spent, the rest is given back")
    same((wallet.settle(one), wallet.settle(two)), ([], []), "each item is settled once")
    same(api.get(f"/v1/offline/queues/{one}")["transactions"], [], "nothing waits any more")
    # Twice on one device, in one reconcile; by the token instead of its nullifier.
    wallet = Wallet(Payer(api), 100)
    first, second = wallet.spend(100), wallet.spend(100, nullifier=None, token=wallet.issued["token"])
    same(
        [(item["transaction_id"], item["status"]) for item in wallet.settle()],
        [(first["transaction_id"], "settled"), (second["transaction_id"], "double_spend")],
        "in their order",
    )
    # More than the token, another currency, another merchant; then it can still be spent.
    wallet = Wallet(Payer(api), 100)
    wallet.spend(101)
    wallet.spend(100, currency="USD")
    wallet.spend(100, merchant_id="mer_9")
    wallet.spend(100, merchant_id="mer_2")
    same([item["status"] for item in wallet.settle()], ["over_limit"] * 3 + ["settled"], "beyond its limits it pays nothing")
    same([item["amount"] for item in wallet.settle()], [], "each item once")
    # A bare transaction, and the other name of reconcile.
    wallet = Wallet(Payer(api), 100)
    bare = {"deviceId": wallet.device, "nullifier": wallet.nullifier, "merchantId": "mer_1", "amount": 5, "currency": "EUR", "clientRef": "bare"}
    same(api.post("/v1/offline/transactions", bare)["transactions"][0]["client_ref"], "bare", "one by itself")
    answer = api.post("/v1/offline/reconcile", {"deviceId": wallet.device})
    same(([item["status"] for item in answer["results"]], answer["device_id"]), (["settled"], wallet.device), "under the other name")


@chapter
def told_twice(api, other):
    """A client_ref names one item, however often it is told."""
    pays = Payer(api, {"amount_limits": {"daily": 1000}})
    wallet = Wallet(pays, 500)
    first = wallet.spend(400, client_ref="slip-1")
    same(wallet.spend(400, client_ref="slip-1"), first, "told twice, it is the same")
    api.refused(
        409,
        "invalid_state",
        "POST",
        "/v1/offline/transactions",
        {"device_id": wallet.device, "nullifier": wallet.nullifier, "merchant_id": "mer_1", "amount": 399, "currency": "EUR", "client_ref": "slip-1"},
    )
    same(len(api.get(f"/v1/offline/queues/{wallet.device}")["transactions"]), 1, "it waits once")
    same([item["status"] for item in wallet.settle()], ["settled"], "and is settled once")
    wallet.api.call(
        "POST",
        "/v1/offline/transactions",
        {"device_id": wallet.device, "nullifier": wallet.nullifier, "merchant_id": "mer_1", "amount": 400, "currency": "EUR", "client_ref": "slip-1"},
    )
    same((wallet.settle(), pays.left()), ([], 600), "also after that")
    # What is no token of this org cannot have been spent here.
    answer = api.post("/v1/offline/nullifiers/check", {"nullifiers": ["0" * 32, "nobody", wallet.nullifier]})
    same([item["status"] for item in answer["results"]], ["unknown", "unknown", "spent"], "nullifiers in their order")
    same(
        [item["status"] for item in other.post("/v1/offline/nullifiers/check", {"nullifiers": [wallet.nullifier]})["results"]],
        ["unknown"],
        "of one's own org",
    )
    for nullifier in ("0" * 32, "nobody"):
        body = {"device_id": "d", "nullifier": nullifier, "merchant_id": "mer_1", "amount": 1, "currency": "EUR"}
        answer = api.call("POST", "/v1/offline/transactions", body)
        answer.need(answer.status in (400, 404), "no token, no transaction")
    for path, body in [
        ("nullifiers/check", {}),
        ("nullifiers/check", {"nullifiers": []}),
        ("nullifiers/reconcile", {}),
        ("transactions", {"device_id": "d", "transactions": []}),
        ("transactions", {"device_id": "d"}),
    ]:
        api.refused(400, "invalid_request", "POST", f"/v1/offline/{path}", body)
    same(api.get("/v1/offline/queues/nobody")["transactions"], [], "a device nobody knows has nothing")


@chapter
def over(api, _):
    """A token ends by the clock, and with its delegation."""
    wallet = Wallet(Payer(api), 100, ttl_seconds=1)
    wait_until(wallet.issued["expires_at"])
    check(Terminal(api).refuses(wallet.issued["token"]), "a terminal sees that it is over")
    wallet.spend(100, occurred_at=later(seconds=1))
    wallet.spend(100, occurred_at=wallet.issued["expires_at"])
    same([item["status"] for item in wallet.settle()], ["expired", "expired"], "what was paid after its end is not")
    short = Payer(api, {"validity_window": {"end": later(seconds=90)}})
    issued = Wallet(short, 100).issued
    check(seconds(issued["expires_at"]) <= seconds(short.granted["validity_window"]["end"]), "no token outlives its delegation")
    gone = Payer(api)
    kept = Wallet(gone, 100)
    api.post(f"/v1/delegations/{gone.delegation}/revoke")
    body = {"agent_id": gone.agent, "delegation_id": gone.delegation, "device_id": "d", "max_amount": 1, "currency": "EUR", "merchant_ids": None}
    same(api.post("/v1/offline/tokens", body)["reason_codes"], ["DELEGATION_REVOKED"], "a revoked one makes none")
    same(kept.status() in ("unspent", "expired"), True, "what was given out is not spent by it")
