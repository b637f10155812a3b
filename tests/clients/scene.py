"""What the chapters of the story share: the people, the clock, and how to say what must come out."""

import datetime
import itertools
import threading
import time

import httpx

from client import TIMEOUT_S, ApiError, Client, Exchange

CHAPTERS = []
ZERO_ULID = "0" * 26


def chapter(function):
    CHAPTERS.append(function)
    return function


class Scene:
    """The server, its administrator and the clients of its workspaces."""

    def __init__(self, url, admin_token, api_key, workspace):
        self.url, self.admin_token = url.rstrip("/"), admin_token
        self.clients = [Client(url, api_key, workspace)]
        self.first = self.clients[0]
        self.numbers = itertools.count()
        # Idempotent calls with their answers, to be repeated after a crash.
        self.kept = []

    def admin(self, method, path, body=None):
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        answer = httpx.request(method, f"{self.url}/admin/v1/{path}", headers=headers, json=body, timeout=TIMEOUT_S, trust_env=False)
        return Exchange(method, f"/admin/v1/{path}", body, answer)

    def workspace(self, name, plan=None):
        exchange = self.admin("POST", "workspaces", {"name": name} | ({"plan": plan} if plan else {}))
        exchange.need(exchange.status == 201, "a workspace is created")
        exchange.has(exchange.json, {"workspace_id", "api_key"})
        client = Client(self.url, exchange.json["api_key"], exchange.json["workspace_id"], name)
        self.clients.append(client)
        return client

    def fresh(self, prefix):
        """A name nobody used before."""
        return f"{prefix}-{next(self.numbers)}"


def later(days=0, seconds=0):
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days, seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(text):
    return datetime.datetime.fromisoformat(text).timestamp()


def away_from_midnight(margin_s=15):
    """Waits where a UTC day would end within the test that counts per day."""
    left = 86400 - time.time() % 86400
    if left < margin_s:
        time.sleep(left + 1)


def grant(client, *scopes, user_id="user_1", **more):
    """The id of a new authorization."""
    more = {"agent_id": "agent_1", "expires_at": later(days=30)} | more
    return client.create(user_id, scopes=list(scopes), **more)["authorization_id"]


def scope(name, **constraints):
    return {"name": name, "constraints": constraints or None}


def decide(client, authorization_id, name, expected, resource=None, **more):
    """Checks one scope; `expected` is the decision and the reason in one text."""
    result = client.check(authorization_id, [name], resource, **more)["results"][name]
    found = f"{result['decision']} {result['reason']}"
    assert found == expected, f"{name} on {resource!r} with {more} must be `{expected}`, is `{found}`: {result}"
    return result


def refused(status, call, *arguments, field=None, code=None, **more):
    """The call must be refused, and say where the fault is."""
    try:
        answer = call(*arguments, **more)
    except ApiError as error:
        error.exchange.need(error.status == status, f"{status} was expected")
        error.exchange.need(code in (None, error.code), f"the code must be {code}")
        near = [name for name in error.fields if field is not None and name.startswith(field)]
        error.exchange.need(field is None or near, f"the fault is in {field}")
        return error
    raise AssertionError(f"{status} was expected of {arguments} {more}, answered {answer}")


def together(*calls):
    """Runs the calls in threads that start at once; their answers in order, refusals included."""
    answers, gate = [None] * len(calls), threading.Barrier(len(calls))

    def run(place):
        gate.wait()
        try:
            answers[place] = calls[place]()
        except Exception as error:  # handed to the chapter, which judges it
            answers[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def signed(client, receipt_id, patience_s=10):
    """The signed receipt, waited for."""
    end = time.monotonic() + patience_s
    while (exchange := client.receipt(receipt_id)) is None:
        assert time.monotonic() < end, f"{receipt_id} is still pending after {patience_s} s"
        time.sleep(0.02)
    return exchange.json["receipt"]
