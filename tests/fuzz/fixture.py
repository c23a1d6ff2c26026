"""Makes an app, a pipeline and what belongs to them on a server, and prints a schemathesis configuration that names them, so that
made-up requests reach further than "not found"."""

import json
import sys
import urllib.request

ready = json.load(open(sys.argv[1]))


def call(method, path, body=None):
    request = urllib.request.Request(
        ready["api_url"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + ready["api_key"]},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


harbour = call("POST", "/apps", {"name": "harbour"})
lost = call("POST", "/apps", {"name": "lost"})
slug = call("POST", "/apps/harbour/slugs", {"process_types": {"web": "true"}})
status = {"context": "ci/fuzz", "state": "pending"}
status = call("POST", "/apps/harbour/releases/1/statuses", status)
pipeline = call("POST", "/pipelines", {"name": "harbour"})
spare = call("POST", "/pipelines", {"name": "spare"})
coupling = {"app": "harbour", "pipeline": pipeline["id"], "stage": "staging"}
coupling = call("POST", "/pipeline-couplings", coupling)
client = {"name": "fuzz", "redirect_uri": "https://example.com/"}
client = call("POST", "/oauth/clients", client)
# Not the one whose token asks, or all that follows would be refused.
authorization = call("POST", "/oauth/authorizations", {"description": "spare"})
team = call("POST", "/teams", {"name": "crew"})
domain = {"hostname": "harbour.example.com", "sni_endpoint": None}
domain = call("POST", "/apps/harbour/domains", domain)

# By id wherever something can be renamed.
named = {
    "app": harbour["id"],
    "pipeline": pipeline["id"],
    "coupling": coupling["id"],
    "release": "1",
    "slug": slug["id"],
    "status": status["id"],
    "type": "web",
    "dyno": "web.1",
    "region": "local",
    "stack": "heroku-24",
    "size": "basic",
    "account": "~",
    "authorization": authorization["id"],
    "client": client["id"],
    "domain": domain["id"],
    "feature": "none",
    "generation": "cedar",
    "plan": "none:none",
    "stage": "review",
    "team": team["id"],
    "member": call("GET", "/account")["email"],
    "collaborator": call("GET", "/account")["email"],
}
# What would take the others' ground away gets ground of its own.
apart = {
    "DELETE /apps/{app}": {"app": lost["id"]},
    "DELETE /pipelines/{pipeline}": {"pipeline": spare["id"]},
    "DELETE /pipeline-couplings/{coupling}": {"coupling": "none"},
    "DELETE /oauth/authorizations/{authorization}": {"authorization": "none"},
    "DELETE /teams/{team}": {"team": "none"},
    "DELETE /users/{account}": {"account": "nobody@example.com"},
}

print("headers = " + "{ Authorization = %s }" % json.dumps("Bearer " + ready["api_key"]))
print("[parameters]")
for name, value in named.items():
    print('"path.%s" = %s' % (name, json.dumps(value)))
for operation, values in apart.items():
    print("[[operations]]\ninclude-name = %s\n[operations.parameters]" % json.dumps(operation))
    for name, value in values.items():
        print('"path.%s" = %s' % (name, json.dumps(value)))
