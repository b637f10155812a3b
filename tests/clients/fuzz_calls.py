"""What the hooks of the fuzzer call the server with, and what they know of it. All chance comes from one seed."""

import collections
import itertools
import os
import random

import requests

URL = os.environ["ALLOWLOG_URL"]
API = {"Authorization": f"Bearer {os.environ['ALLOWLOG_API_KEY']}"}
ADMIN = {"Authorization": f"Bearer {os.environ['ALLOWLOG_ADMIN_TOKEN']}"}
CHANCE = random.Random(int(os.environ["FUZZ_SEED"]))
NUMBERS = itertools.count()
KEPT = 50

# Kind of thing -> those that exist, the newest last.
KNOWN = collections.defaultdict(lambda: collections.deque(maxlen=KEPT))


def call(method, path, body=None, headers=None):
    answer = requests.request(method, URL + path, json=body, headers=headers or API, timeout=10)
    assert answer.status_code in (200, 201, 202), f"{method} {path} {body} was answered {answer.status_code} {answer.text}"
    return answer.json()


def fresh_name(prefix):
    return f"{prefix}-{next(NUMBERS)}"
