"""A provider of add-ons, as a partner would write one: a web server of its own that speaks the partner protocol.

It prints the manifest of its service, and serves until it is ended. What it was asked for stands in books on disk, so that one
that is started again in the same folder goes on where the one before it was. `penstock addon register` prints the secret with
which it exchanges grants; it finds that in its folder, as `client_secret`.

How an add-on is made depends on its plan:

    basic, pro  at once
    slow        answered with 202, and made when somebody says so, or when the provider is started again
    silent      not answered the first time; when it is asked for again, it is there
"""

import argparse
import base64
import copy
import hashlib
import hmac
import json
import os
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PASSWORD = "correct-horse"
SALT = "battery-staple"
# For which a sign-on is good, in seconds.
SIGN_ON = 5 * 60


class Books:
    """What was asked for, by the add-on's id. On disk before anybody is answered, or sees it."""

    def __init__(self, folder):
        self.path = folder / "books.json"
        self.lock = threading.Lock()
        self.kept = json.loads(self.path.read_text()) if self.path.exists() else {}

    @contextmanager
    def change(self):
        with self.lock:
            changed = copy.deepcopy(self.kept)
            yield changed
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(changed))
            new.replace(self.path)
            self.kept = changed


class Platform:
    """The platform's API, as the provider of one add-on may use it."""

    def __init__(self, provider, uuid):
        self.provider, self.uuid = provider, uuid
        self.api = provider.books.kept[uuid]["api"]

    def ask(self, method, path, body=None):
        for anew in (False, True):
            token = self.token(anew)
            headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(self.api + path, data, headers, method=method)
            try:
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as refused:
                if refused.code != 401 or anew:
                    raise

    def token(self, anew):
        """Of the grant that came with the add-on at first, and by the refresh token once the last one is over."""
        entry = self.provider.books.kept[self.uuid]
        held = entry.get("tokens")
        if held and not anew:
            return held["access_token"]
        if held:
            form = {"grant_type": "refresh_token", "refresh_token": held["refresh_token"]}
        else:
            form = {"grant_type": "authorization_code", "code": entry["code"]}
        form["client_secret"] = (self.provider.folder / "client_secret").read_text().strip()
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self.api + "/oauth/token", data) as answer:
            tokens = json.load(answer)
        with self.provider.books.change() as kept:
            kept[self.uuid]["tokens"] = tokens
        return tokens["access_token"]


class Provider(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, service, plans, folder, port):
        super().__init__(("127.0.0.1", port), Answer)
        self.service, self.plans, self.folder, self.books = service, plans, folder, Books(folder)

    def manifest(self):
        return {
            "id": self.service,
            "password": PASSWORD,
            "sso_salt": SALT,
            "config_vars": [self.service.upper() + "_URL"],
            "base_url": "http://127.0.0.1:%d" % self.server_address[1],
            "plans": self.plans,
        }

    def config(self, plan):
        return {self.service.upper() + "_URL": "%s://%s" % (self.service, plan)}

    def make(self, uuid):
        """Finishes what was promised, and says so to the platform."""
        platform, plan = Platform(self, uuid), self.books.kept[uuid]["plan"]
        config = [{"name": name, "value": value} for name, value in self.config(plan).items()]
        platform.ask("PATCH", "/addons/%s/config" % uuid, {"config": config})
        addon = platform.ask("POST", "/addons/%s/actions/provision" % uuid, {})
        with self.books.change() as kept:
            kept[uuid]["state"] = "made"
        return addon

    def make_what_was_promised(self):
        """The platform may be down as well; it is asked until it is there."""
        promised = [uuid for uuid, entry in self.books.kept.items() if entry["state"] == "promised"]
        while promised:
            try:
                self.make(promised[0])
                promised.pop(0)
            except urllib.error.HTTPError as refused:
                # Nobody wants it any more.
                print("the platform refused:", refused.read().decode(), flush=True)
                promised.pop(0)
            except OSError:
                time.sleep(0.05)

    def seen(self, uuid):
        """All that the platform shows to the provider of this add-on."""
        platform = Platform(self, uuid)
        addon = platform.ask("GET", "/addons/" + uuid)
        couplings = platform.ask("GET", "/apps/%s/pipeline-couplings" % addon["app"]["id"])
        pipelines = [platform.ask("GET", "/pipelines/" + each["pipeline"]["id"]) for each in couplings]
        config = platform.ask("GET", "/addons/%s/config" % uuid)
        return {"addon": addon, "config": config, "couplings": couplings, "pipelines": pipelines}


class Answer(BaseHTTPRequestHandler):
    def answer(self):
        sent = self.rfile.read(int(self.headers.get("content-length", 0)))
        kind, _, uuid = self.path.strip("/").rpartition("/")
        match self.command, self.path.strip("/"), kind:
            case "POST", "sso/login", _:
                return self.sign_on(dict(urllib.parse.parse_qsl(sent.decode())))
            # What its own people do.
            case "GET", "books", _:
                return self.say(200, {uuid: [entry["plan"], entry["state"]] for uuid, entry in self.server.books.kept.items()})
            case "GET", _, "seen":
                return self.say(200, self.server.seen(uuid))
            case "POST", _, "make":
                return self.say(200, self.server.make(uuid))
        if not self.is_the_platform():
            return self.say(401, {"message": "Who are you?"})
        match self.command, self.path.strip("/"), kind:
            case "POST", "heroku/resources", _:
                self.provision(json.loads(sent))
            case "PUT", _, "heroku/resources":
                self.change_plan(uuid, json.loads(sent)["plan"])
            case "DELETE", _, "heroku/resources":
                with self.server.books.change() as kept:
                    there = kept.pop(uuid, None)
                self.say(200 if there else 410, {})
            case _:
                self.say(404, {"message": "There is nothing here."})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def is_the_platform(self):
        pair = base64.b64encode(("%s:%s" % (self.server.service, PASSWORD)).encode()).decode()
        return hmac.compare_digest(self.headers.get("authorization", ""), "Basic " + pair)

    def provision(self, asked):
        uuid, plan = asked["uuid"], asked["plan"]
        with self.server.books.change() as kept:
            known = uuid in kept
            entry = kept.setdefault(uuid, {"state": "promised" if plan == "slow" else "made"})
            # Whoever asks again for the same thing gets it, and not another one.
            entry.update(plan=plan, api=asked["callback_url"].partition("/addons/")[0], code=asked["oauth_grant"]["code"])
        if plan == "silent" and not known:
            # Until the other side has had enough.
            self.rfile.read(1)
        elif entry["state"] == "promised":
            self.say(202, {"id": uuid, "message": "It is being made."})
        else:
            self.say(200, {"id": uuid, "message": "Here it is.", "config": self.server.config(plan)})

    def change_plan(self, uuid, plan):
        with self.server.books.change() as kept:
            if uuid in kept:
                kept[uuid]["plan"] = plan
        if uuid not in self.server.books.kept:
            return self.say(404, {"message": "There is no such add-on."})
        self.say(200, {"message": "Here it is.", "config": self.server.config(plan)})

    def sign_on(self, form):
        """Lets in whoever brings a proof that only the platform can have made, and made just now."""
        uuid, moment = form.get("id", ""), form.get("timestamp", "")
        proof = hashlib.sha1(("%s:%s:%s" % (uuid, SALT, moment)).encode()).hexdigest()
        proven = hmac.compare_digest(proof, form.get("token", ""))
        fresh = moment.isdigit() and abs(time.time() - int(moment)) < SIGN_ON
        if not (proven and fresh and uuid in self.server.books.kept):
            return self.say(403, {"message": "This sign-on is not good."})
        self.say(200, {"message": "Welcome, %s." % form["email"], "plan": self.server.books.kept[uuid]["plan"]})

    def say(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="acme", help="the name of what it provides")
    parser.add_argument("--plans", default="basic,pro", help="those of its manifest")
    parser.add_argument("--folder", type=Path, help="for its books; without one they are forgotten")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--while-there-is", type=Path, help="serve until this file is gone")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp())
    provider = Provider(options.service, options.plans.split(","), folder, options.port)
    print(json.dumps(provider.manifest()), flush=True)
    threading.Thread(target=provider.make_what_was_promised, daemon=True).start()
    if options.while_there_is is None:
        return provider.serve_forever()
    # Whoever waits for its output waits for its end otherwise.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    while options.while_there_is.exists():
        time.sleep(1)


main()
