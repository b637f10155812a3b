"""Leads schemathesis through the consent face: requests in each status, tokens of each kind, links and forms of pages.

What a call is led to goes in turns, so that every way out of an operation is taken soon, whatever chance says.
"""

import collections
import http.server
import itertools
import re
import threading
import time
import typing
import urllib.parse

import requests

from fuzz_calls import ADMIN, API, CHANCE, KNOWN, URL, call, fresh_name

PEOPLE = ["anna", "bert"]
HERE, ELSEWHERE = "https://app.example.com", "https://other.example.com"
SCOPES = [
    {"key": "mail.read", "label": "Read <b>mail</b>", "risk": "Low"},
    {"key": "mail.purge", "description": "All of it & more", "risk_level": "CRITICAL", "reversible": False},
]
# How long the tokens of an agent live, in seconds.
SHORT, LONG = 1, 3600
LISTS = ("/v1/consent", "/v1/consent-agents", "/v1/audit")
STATUSES = ("pending", "approved", "declined", "expired", "revoked")
# What is made with a second to live, and when; it is of use from then on.
AGING = {"expired consent": [], "expired token": []}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Where webhooks go to. Takes two of three."""

    count = itertools.count()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500 if next(self.count) % 3 == 2 else 204)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


RECEIVER = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
threading.Thread(target=RECEIVER.serve_forever, daemon=True).start()
HOOK = f"http://127.0.0.1:{RECEIVER.server_port}/hook"


class Asked(typing.NamedTuple):
    """A request for consent, and what the form of its page has in it; the page of one that is over has no form."""

    id: str
    csrf: str


def terms():
    """The body of an agent that has everything."""
    return {
        "name": fresh_name("agent"),
        "token_lifetime": CHANCE.choice([SHORT, LONG]),
        "webhook_url": CHANCE.choice([None, HOOK]),
        "redirect_origins": CHANCE.choice([[], [HERE], [ELSEWHERE, HERE]]),
        "is_default": CHANCE.choice([None, True]),
    }


def make_agent(**more):
    return call("POST", "/v1/consent-agents", terms() | more)["data"]["id"]


def told_agent(life=LONG):
    """An agent for what is told here. Schemathesis comes by it as well, and changes it: then there is another one."""
    wanted = {"token_lifetime": life, "redirect_origins": [], "webhook_url": HOOK}
    agents = KNOWN[f"agent of {life} s"]
    found = call("GET", f"/v1/consent-agents/{agents[-1]}")["data"] if agents else {}
    if found | wanted != found:
        agents.append(make_agent(**wanted))
    return agents[-1]


def agent(kind):
    match kind:
        case "hooked":
            return told_agent()
        case "deaf":
            return make_agent(webhook_url=None)
        case "unknown":
            return "ag_" + "0" * 26
    raise AssertionError(kind)


def wish(**more):
    """The body of a request for consent that has everything."""
    return {
        "agent_id": None,
        "end_user_ref": CHANCE.choice(PEOPLE),
        "end_user_email": CHANCE.choice([None, "a@example.com"]),
        "scopes": SCOPES[: CHANCE.randint(1, 2)],
        "redirect_url": f"{HERE}/done?flow=7",
        "expires_in": None,
        "metadata": CHANCE.choice([None, {"order": 7}]),
    } | more


def ask(headers=None, **more):
    agent = None if headers else told_agent()
    made = call("POST", "/v1/consent/request", wish(agent_id=agent) | more, headers)["data"]["id"]
    return Asked(made, csrf(f"/c/{made}"))


def csrf(path):
    page = requests.get(URL + path, timeout=10)
    assert page.status_code == 200, f"{path} was answered {page.status_code}"
    return re.search(r'name="csrf" value="([^"]+)"', page.text)[1]


def answer(asked, decision):
    """What a person does in a browser."""
    form = {"decision": decision, "csrf": asked.csrf}
    sent = requests.post(f"{URL}/c/{asked.id}", data=form, allow_redirects=False, timeout=10)
    assert sent.status_code == 303, f"{decision} was answered {sent.status_code} {sent.text}"


def approved(**more):
    asked = ask(**more)
    answer(asked, "approve")
    return asked


def withdraw(asked):
    call("DELETE", f"/v1/consent/{asked.id}", headers=API | {"Accept": "application/json"})


def mint(asked, headers=None):
    return call("POST", f"/v1/consent/{asked.id}/token", headers=headers)["data"]["token"]


def consent(status, **more):
    """A new request for consent that stands so."""
    match status:
        case "pending":
            return ask(**more)
        case "approved":
            asked = approved(**more)
            KNOWN["authorization"].append(call("GET", f"/v1/consent/{asked.id}")["data"]["authorization_id"])
            return asked
        case "declined":
            asked = ask(**more)
            answer(asked, "decline")
            return asked
        case "expired":
            return aged("expired consent", lambda: ask(expires_in=1))
        case "revoked":
            asked = CHANCE.choice([ask, approved])(**more)
            withdraw(asked)
            return asked
        case "unknown":
            return Asked("cr_" + "A" * 22, "")
    raise AssertionError(status)


def token(kind):
    """A token of this kind."""
    match kind:
        case "good":
            return mint(approved())
        case "revoked":
            asked = approved()
            minted = mint(asked)
            withdraw(asked)
            return minted
        case "expired":
            return aged("expired token", lambda: mint(approved(agent_id=told_agent(SHORT))))
        case "forged":
            head, body, signature = mint(approved()).split(".")
            return CHANCE.choice([f"{head}.{body}.", f"{head}.{body}.{signature[::-1]}", f"{head}.{body[:-4]}.{signature}", head])
        case "foreign":
            return FOREIGN
    raise AssertionError(kind)


def aged(kind, make):
    """One whose second is over. What is over stays so, and may be had again."""
    stock = AGING[kind]
    if len(stock) < 2 or CHANCE.random() < 0.1:
        stock.append((time.monotonic(), make()))
    while not (over := [made for at, made in stock if time.monotonic() - at > 1.5]):
        time.sleep(0.1)
    return CHANCE.choice(over)


def manage_token(person):
    url = call("GET", f"/v1/consent/manage-url?end_user_ref={urllib.parse.quote(person)}")["data"]["url"]
    return url.rsplit("/", 1)[1]


def foreign_token():
    """Of another workspace."""
    workspace = call("POST", "/admin/v1/workspaces", {"name": "foreign"}, ADMIN)["workspace_id"]
    key = call("POST", f"/admin/v1/workspaces/{workspace}/api-keys", {"name": "foreign", "style": "permitly"}, ADMIN)["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    return mint(approved(headers=headers), headers)


FOREIGN = foreign_token()
TURNS = {
    "GET /v1/consent/{id}": (*STATUSES, "unknown"),
    "DELETE /v1/consent/{id}": (*STATUSES, "unknown"),
    "POST /v1/consent/{id}/token": ("approved", *STATUSES, "unknown"),
    "GET /c/{id}": (*STATUSES, "unknown"),
    "POST /c/{id}": ("approve", "elsewhere", "untrusted", "approved", "expired", "unclear", "unknown", "decline", "declined", "revoked"),
    "POST /v1/consent/verify": ("good", "expired", "revoked", "forged", "foreign"),
    "GET /manage/{token}": (*PEOPLE, "unknown"),
    "POST /manage/{token}/revoke": ("approved", "untrusted", "unclear", "another's", "revoked", "declined"),
    "GET /v1/consent-agents/{id}": ("unknown", None, None, None),
    "GET /v1/consent-agents/{id}/jwks.json": ("unknown", None, None, None),
    "PATCH /v1/consent-agents/{id}": ("unknown", None, None, None),
    "POST /v1/consent-agents/{id}/rotate-webhook-secret": ("unknown", None, None, None),
    "POST /v1/consent-agents/{id}/webhook-test": ("hooked", "deaf", "unknown"),
    "POST /v1/consent/request": ("default", "told", "elsewhere", "default", "told", "nobody"),
}
WITH_BODY = {
    "POST /c/{id}",
    "POST /v1/consent/verify",
    "POST /manage/{token}/revoke",
    "PATCH /v1/consent-agents/{id}",
    "POST /v1/consent/request",
}
TAKEN = collections.Counter()


def keep_here(body):
    """No webhook goes to a host that chance has named."""
    if isinstance(body, dict) and "//" in str(body.get("webhook_url")):
        body["webhook_url"] = CHANCE.choice([HOOK, "https://nobody.invalid/hook"])


def is_new(operation):
    """Whether it has turns that were not taken yet. These come first, so that a slow machine sees each of them too."""
    return TAKEN[operation] < len(TURNS.get(operation, ()))


def lead(operation, case):
    """Leads a call of this face, and says whether it did."""
    if operation not in TURNS or operation in WITH_BODY and not isinstance(case.body, dict):
        return False
    kind = TURNS[operation][TAKEN[operation] % len(TURNS[operation])]
    TAKEN[operation] += 1
    match operation:
        case _ if kind is None:
            return False
        case "POST /c/{id}":
            lead_answer(case, kind)
        case "POST /manage/{token}/revoke":
            lead_revoke(case, kind)
        case "GET /manage/{token}":
            case.path_parameters["token"] = "nobody" if kind == "unknown" else manage_token(kind)
            if isinstance(case.query, dict) and "cursor" in case.query and KNOWN["consent"]:
                case.query["cursor"] = CHANCE.choice(KNOWN["consent"])
        case "POST /v1/consent/verify":
            case.body["token"] = token(kind)
        case "POST /v1/consent/request":
            lead_request(case, kind)
        case _ if "consent-agents" in operation:
            case.path_parameters["id"] = agent(kind)
            if operation in WITH_BODY:
                case.body.clear()
        case _:
            case.path_parameters["id"] = consent(kind).id
            rounds = TAKEN[operation] // len(TURNS[operation])
            if case.method.upper() == "DELETE" and (TAKEN[operation] + rounds) % 2:
                case.headers["Accept"] = "application/json"
    return True


def lead_answer(case, kind):
    form = {"decision": "decline" if kind == "decline" else "approve"}
    match kind:
        case "approve" | "decline":
            asked = ask()
        case "elsewhere":
            # The agent is told in between to send nobody there any more.
            strict = make_agent(redirect_origins=[HERE])
            asked = ask(agent_id=strict)
            call("PATCH", f"/v1/consent-agents/{strict}", {"redirect_origins": [ELSEWHERE]})
        case "untrusted":
            asked = Asked(ask().id, ask().csrf)
        case "unclear":
            asked, form = ask(), {"decision": CHANCE.choice(["", "maybe", "APPROVE"])}
        case _:
            asked = consent(kind)
    case.path_parameters["id"] = asked.id
    case.body |= form | {"csrf": asked.csrf}


def lead_revoke(case, kind):
    person, other = PEOPLE
    asked = consent(kind if kind in STATUSES else "approved", end_user_ref=other if kind == "another's" else person)
    # The page has a form where there is something to be taken back.
    approved(end_user_ref=person)
    link = manage_token(person)
    form = {"consent_id": asked.id, "csrf": csrf(f"/manage/{link}")}
    match kind:
        case "untrusted":
            form["csrf"] = form["csrf"][::-1]
        case "unclear":
            form["consent_id"] = CHANCE.choice(["", "cr_nobody"])
    case.path_parameters["token"] = link
    case.body |= form


def lead_request(case, kind):
    match kind:
        case "default":
            more = {}
        case "told":
            more = {"agent_id": told_agent()}
        case "elsewhere":
            more = {"agent_id": make_agent(redirect_origins=[ELSEWHERE])}
        case "nobody":
            more = {"agent_id": "ag_nobody"}
    case.body |= wish(**more)
