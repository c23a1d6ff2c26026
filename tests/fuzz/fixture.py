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

hook = {"include": ["api:app"], "level": "notify", "url": "http://127.0.0.1:9/hooks"}
webhook = call("POST", "/apps/harbour/webhooks", hook)
spare_webhook = call("POST", "/apps/harbour/webhooks", hook)
# Told to both, so that there is an event and a delivery of it to be seen.
call("PATCH", "/apps/harbour", {"maintenance": True})
delivery = call("GET", "/apps/harbour/webhook-deliveries")[0]
drain = call("POST", "/apps/harbour/log-drains", {"url": "https://logs.example.com/drain"})
telemetry = {"endpoint": "https://telemetry.example.com", "type": "otlphttp", "headers": {"x": "y"}}
telemetry = {"owner": {"id": harbour["id"], "type": "app"}, "signals": ["logs"], "exporter": telemetry}
telemetry = call("POST", "/telemetry-drains", telemetry)
key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1fIMZfjcvH7boeIui2Sb1N503zazm50wSuYkvrWtpi fuzz"
key = call("POST", "/account/keys", {"public_key": key})
call("POST", "/users", {"email": "bob@example.com"})
addon = call("POST", "/apps/harbour/addons", {"plan": "fuzz"})
spare_addon = call("POST", "/apps/harbour/addons", {"plan": "fuzz:pro"})
attachment = {"addon": spare_addon["id"], "app": "lost"}
attachment = call("POST", "/addon-attachments", attachment)
transfer = call("POST", "/account/app-transfers", {"app": "lost", "recipient": "bob@example.com"})
call("POST", "/pipelines/%s/review-app-config" % pipeline["id"], {"repo": "x"})

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
    "plan": "fuzz:basic",
    "addon_service": "fuzz",
    "addon": addon["id"],
    "attachment": attachment["id"],
    "stage": "review",
    "commits": "%s...%s" % ("a" * 40, "b" * 40),
    "team": team["id"],
    "member": call("GET", "/account")["email"],
    "webhook": webhook["id"],
    "event": delivery["event"]["id"],
    "delivery": delivery["id"],
    "log_drain": drain["id"],
    "telemetry_drain": telemetry["id"],
    "key": key["id"],
    "transfer": transfer["id"],
    "account_feature": "dashboard-repositories-api",
    "app_feature": "runtime-dyno-metadata",
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
    "DELETE /account/keys/{key}": {"key": "none"},
    "DELETE /apps/{app}/addons/{addon}": {"addon": "none"},
    "DELETE /addon-attachments/{attachment}": {"attachment": "none"},
    "DELETE /apps/{app}/webhooks/{webhook}": {"webhook": spare_webhook["id"]},
    "DELETE /apps/{app}/log-drains/{log_drain}": {"log_drain": "none"},
    "DELETE /telemetry-drains/{telemetry_drain}": {"telemetry_drain": "none"},
    "DELETE /account/app-transfers/{transfer}": {"transfer": "none"},
}

print("headers = " + "{ Authorization = %s }" % json.dumps("Bearer " + ready["api_key"]))
print("[parameters]")
for name, value in named.items():
    print('"path.%s" = %s' % (name, json.dumps(value)))
for operation, values in apart.items():
    print("[[operations]]\ninclude-name = %s\n[operations.parameters]" % json.dumps(operation))
    for name, value in values.items():
        print('"path.%s" = %s' % (name, json.dumps(value)))
