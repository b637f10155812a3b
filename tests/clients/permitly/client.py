"""The published client, unmodified, and an off-the-shelf JWT library, against a server: every method, every error class.

    python3 client.py            plays; leaves what it saw in CLIENT_RECORD
    python3 client.py recheck    after the server was killed: all of it is still so
"""
import http.server, json, os, queue, re, sys, threading, time

import httpx, jwt, permitly
from permitly import AuthError, PermitlyClient, PermitlyError, ScopeTemplates, UsageLimitError, ValidationError, verify_signature

URL, KEY = os.environ["ALLOWLOG_URL"], os.environ["ALLOWLOG_API_KEY"]
RECORD = os.environ["CLIENT_RECORD"]
RAW = httpx.Client(base_url=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)
done = []


def check(holds, what):
    if not holds:
        raise AssertionError(what)
    done.append(what)


class Receiver(http.server.BaseHTTPRequestHandler):
    """What a builder runs: keeps what it is sent."""

    seen = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.put((body.decode(), self.headers["X-Permitly-Signature"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def answer(consent, decision):
    """What a person does in a browser."""
    page = RAW.get(consent.consent_url)
    check(page.status_code == 200 and consent.scopes[0]["label"] in page.text, "the page shows what is asked")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    sent = RAW.post(consent.consent_url, data={"decision": decision, "csrf": csrf})
    check(sent.status_code == 303, f"the answer sends the person back: {sent.status_code}")
    return httpx.URL(sent.headers["Location"])


def webhook(secret, kind):
    """The next webhook, whose signature verifies as the client verifies it."""
    body, signature = Receiver.seen.get(timeout=15)
    check(verify_signature(body, signature, secret), f"{kind}: the signature verifies")
    check(not verify_signature(body + " ", signature, secret), f"{kind}: of other bytes it does not")
    told = json.loads(body)
    check(told["type"] == kind and told["id"].startswith("evt_"), f"{kind} is told: {told['type']}")
    return told


def raises(error, call, code, status):
    try:
        call()
    except error as raised:
        check(type(raised) is error, f"{error.__name__} and no other: {type(raised).__name__}")
        check((raised.code, raised.status_code) == (code, status), f"{code} is {status}: {raised.code} {raised.status_code}")
        return raised
    raise AssertionError(f"{error.__name__} is raised")


def play(client):
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()

    # The real client names no agent: the first request makes the workspace's own.
    scopes = [ScopeTemplates.SEND_EMAIL, ScopeTemplates.WRITE_FILES]
    consent = client.consent.request("user_1", scopes, "https://app.example/done?flow=7", end_user_email="u@example.com", metadata={"order": 7})
    check(consent.status == "pending" and consent.id.startswith("cr_"), "a request is pending")
    check(consent.consent_url == f"{URL}/c/{consent.id}", "the page is where it says")
    check([scope["key"] for scope in consent.scopes] == ["send_email", "write_files"], "scopes come back")
    check(consent.scopes[1]["risk"] == consent.scopes[1]["risk_level"] == "high" and consent.scopes[1]["reversible"] is False, "with both names of the risk")

    # Where webhooks go to.
    agent = RAW.get("/v1/consent-agents").json()["data"][0]
    check(agent["is_default"] is True, "the first agent is the default")
    where = f"http://127.0.0.1:{receiver.server_port}/hook"
    check(RAW.patch(f"/v1/consent-agents/{agent['id']}", json={"webhook_url": where}).status_code == 200, "an agent can be changed")
    secret = RAW.post(f"/v1/consent-agents/{agent['id']}/rotate-webhook-secret").json()["data"]["webhook_secret"]
    tried = RAW.post(f"/v1/consent-agents/{agent['id']}/webhook-test").json()["data"]
    check(tried["delivered"] is True, f"a webhook can be tried out: {tried}")
    check(webhook(secret, "webhook.test")["id"] == tried["id"], "and is the one that was sent")

    # Approved: the person goes back without the token, the webhook has it.
    back = answer(consent, "approve")
    check(dict(back.params) == {"flow": "7", "consent_id": consent.id, "status": "approved"}, f"the person comes back: {back}")
    told = webhook(secret, "consent.approved")
    check(told["data"]["consent_id"] == consent.id and told["data"]["scopes"] == ["send_email", "write_files"], "with what was approved")
    token = told["data"]["token"]
    got = client.consent.get(consent.id)
    check(got.status == "approved" and got.decided_at is not None, "it is approved")

    # The token, by the server and by a library that knows nothing but the key set.
    claims = client.consent.verify(token)
    check(claims["sub"] == "user_1" and claims["scopes"] == claims["scp"] == ["send_email", "write_files"], "the token is verified")
    keys = jwt.PyJWKClient(agent["jwks_url"])
    decoded = jwt.decode(token, keys.get_signing_key_from_jwt(token).key, algorithms=["ES256"])
    check(decoded == {name: value for name, value in claims.items() if name != "scopes"}, "PyJWT reads the same claims")
    check(decoded["exp"] - decoded["iat"] == 3600, "for an hour")
    minted = RAW.post(f"/v1/consent/{consent.id}/token").json()["data"]["token"]
    check(minted != token and client.consent.verify(minted)["cid"] == consent.id, "one more token can be made")

    # Tokens that are none.
    head, body, signature = token.split(".")
    key = jwt.PyJWKClient(agent["jwks_url"]).get_signing_key_from_jwt(token).key.public_numbers()
    none = jwt.encode(decoded, None, algorithm="none", headers={"kid": jwt.get_unverified_header(token)["kid"]})
    hmac = jwt.encode(decoded, str(key.x), algorithm="HS256", headers={"kid": jwt.get_unverified_header(token)["kid"]})
    for other in ["", "x", none, hmac, f"{head}.{body}", f"{head}.{body}.{signature[:-4]}AAAA", token[:-1], token + "A"]:
        code = "token_invalid" if other else "validation_error"
        if not other:
            other = None
        raises(ValidationError, lambda: client.consent.verify(other), code, 422)

    # Taken back: once, though it may be asked twice.
    check(client.consent.revoke(consent.id).status == "revoked", "it can be taken back")
    check(client.consent.revoke(consent.id).status == "revoked", "and again")
    check(webhook(secret, "consent.revoked")["data"]["consent_id"] == consent.id, "which is told once")
    raises(ValidationError, lambda: client.consent.verify(token), "token_revoked", 422)

    # Declined, and what cannot be taken back then.
    declined = client.consent.request("user_1", [ScopeTemplates.READ_FILES], "https://app.example/done")
    check(answer(declined, "decline").params["status"] == "declined", "the person says no")
    check("token" not in webhook(secret, "consent.declined")["data"], "no token comes with a no")
    raises(ValidationError, lambda: client.consent.revoke(declined.id), "validation_error", 422)

    # Pending ones are taken back as well, and their page says so.
    taken = client.consent.request("user_2", [ScopeTemplates.READ_EMAIL], "https://app.example/done", expires_in=60)
    check(RAW.delete(f"/v1/consent/{taken.id}").status_code == 204, "without an Accept header there is no body")
    webhook(secret, "consent.revoked")
    check(RAW.get(taken.consent_url).status_code == 410, "the page is gone")
    check(Receiver.seen.empty(), "nothing else was told")

    # Expired by the clock.
    short = client.consent.request("user_3", [ScopeTemplates.READ_EMAIL], "https://app.example/done", expires_in=1)
    while client.consent.get(short.id).status == "pending":
        time.sleep(0.1)
    check(client.consent.get(short.id).status == "expired", "nobody answered in time")

    # Lists.
    page = client.consent.list(limit=3)
    check([one.id for one in page.data] == [short.id, taken.id, declined.id] and page.has_more, "newest first")
    rest = client.consent.list(limit=3, cursor=page.cursor)
    check([one.id for one in rest.data] == [consent.id] and not rest.has_more and rest.cursor is None, "and the rest")
    for status, wanted in [("revoked", [taken.id, consent.id]), ("declined", [declined.id]), ("expired", [short.id]), ("pending", []), ("approved", [])]:
        check([one.id for one in client.consent.list(status=status).data] == wanted, f"those that are {status}")
    check([one.id for one in client.consent.list(end_user_ref="user_1").data] == [declined.id, consent.id], "those of a person")
    raises(ValidationError, lambda: client.consent.list(status="nonsense"), "validation_error", 422)

    # The audit.
    rows = client.audit.list(consent_id=consent.id)
    kinds = [row.event_type for row in rows.data]
    check(kinds == ["verify_failed", "revoked", "verified", "verified", "approved", "viewed", "requested"], f"the audit tells it all: {kinds}")
    check([row.event_type for row in client.audit.list(event_type="expired").data] == ["expired"], "and what nobody did")
    everything, cursor = [], None
    while True:
        part = client.audit.list(limit=4, cursor=cursor)
        everything += [row.id for row in part.data]
        cursor = part.cursor
        if not part.has_more:
            break
    check(len(everything) == len(set(everything)) == RAW.get("/v1/audit").json()["meta"]["total"], "page by page, each row once")

    # The person's own page.
    kept = client.consent.request("user_9", [ScopeTemplates.READ_CALENDAR], "https://app.example/done")
    answer(kept, "approve")
    webhook(secret, "consent.approved")
    own = client.consent.manage_url("user_9")
    page = RAW.get(own)
    check(page.status_code == 200 and "Read Calendar" in page.text, "a person sees what they consented to")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    check(RAW.post(f"{own}/revoke", data={"consent_id": kept.id, "csrf": csrf}).status_code == 303, "and takes it back")
    check(webhook(secret, "consent.revoked")["data"]["consent_id"] == kept.id, "which is told")
    check(RAW.get(f"/v1/consent/{kept.id}").json()["data"]["revoked_by"] == "end_user", "and who did it")

    errors(client)
    with open(RECORD, "w") as record:
        json.dump({"consents": [one.id for one in client.consent.list(limit=100).data], "audit": audit(client), "token": token}, record)


def errors(client):
    """Every class the client has."""
    with PermitlyClient("sk_live_nobody", base_url=URL) as stranger:
        raises(AuthError, lambda: stranger.consent.list(), "unauthenticated", 401)
    invalid = raises(ValidationError, lambda: client.consent.request("", [{"risk": "some"}], "http://evil.example/"), "validation_error", 422)
    check(set(invalid.errors) == {"end_user_ref", "scopes.0.key", "scopes.0.risk", "redirect_url"}, f"each field is named: {invalid.errors}")
    check(all(isinstance(told, list) and told for told in invalid.errors.values()), "with a list of sentences")
    raises(PermitlyError, lambda: client.consent.get("cr_nobody"), "not_found", 404)
    for path, method, status in [("/v1/consent/x/y/z", "GET", 404), ("/v1/audit", "DELETE", 405), ("/v1/consent/request", "POST", 422)]:
        answered = RAW.request(method, path, content=b"{" if method == "POST" else None, headers={"Content-Type": "application/json"})
        check(answered.status_code == status and set(answered.json()["error"]) <= {"code", "message", "errors"}, f"{method} {path}: {answered.text}")


def audit(client):
    return [(row.id, row.event_type) for row in client.audit.list(limit=100).data]


def recheck(client):
    with open(RECORD) as record:
        before = json.load(record)
    check([one.id for one in client.consent.list(limit=100).data] == before["consents"], "every consent is still there")
    check([list(row) for row in audit(client)] == before["audit"], "and every row of the audit")
    raises(ValidationError, lambda: client.consent.verify(before["token"]), "token_revoked", 422)

    # This time the operator lets a key call so often and no more.
    def hurry():
        for _ in range(1000):
            client.consent.list()

    raises(UsageLimitError, hurry, "rate_limit_exceeded", 429)
    check(int(RAW.get("/v1/consent").headers["Retry-After"]) >= 1, "and says when to come again")


with PermitlyClient(KEY, base_url=URL) as real:
    (recheck if sys.argv[1:] == ["recheck"] else play)(real)
print(f"permitly {permitly.__name__}: {len(done)} checks hold")
