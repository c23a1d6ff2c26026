"""heroku3 as its README shows it, from an app's creation to its end."""

import os

import heroku3

heroku3.api.HEROKU_URL = os.environ["PENSTOCK_URL"]
connection = heroku3.from_key(os.environ["HEROKU_API_KEY"])
print("authenticated:", connection.is_authenticated)
print("account:", connection.account().email)

app = connection.create_app(name="abacus", stack_id_or_name="heroku-24", region_id_or_name="us")
print("app:", app.name, app.stack.name, app.region.name)
config = app.config()
config["GREETING"] = "Hello from heroku3"
config.update({"A": "1", "B": "2"})
del config["B"]
print("config:", sorted(app.config().to_dict().items()))
print("releases:", [(release.version, release.description) for release in app.releases()])
domain = app.add_domain("www.abacus.example.com", None)
print("domain:", domain.hostname, domain.kind)
app.remove_domain("www.abacus.example.com")
collaborator = app.add_collaborator(user_id_or_email="bob-heroku3@example.com")
print("collaborators:", [collaborator.user.email for collaborator in app.collaborators()])
collaborator.remove()

os.system("deploy abacus $APPS/hello && up abacus")
print("formation:", [(process.type, process.quantity, process.size) for process in app.process_formation()])
app.process_formation()["web"].scale(2)
os.system("up abacus 2")
print("dynos:", sorted((dyno.name, dyno.state) for dyno in app.dynos()))
app.dynos()[0].restart()
dyno = app.run_command_detached("echo from a dyno")
print("one-off:", dyno.type, dyno.command)
print("log:", "Deploy" in app.get_log(lines=100) or "listening" in app.get_log(lines=100))
app.rollback("v%d" % [release.version for release in app.releases() if release.slug][-1])
print("newest:", [release.description for release in app.releases()][-1])
app.enable_maintenance_mode()
print("maintenance:", connection.apps()["abacus"].maintenance)
app.disable_maintenance_mode()
# Its own way of adding a key fails before anything is sent.
print("keys:", [key.email for key in connection.keys()])
app.rename("sextant")
print("apps:", [app.name for app in connection.apps()])
print("rate limit:", connection.ratelimit_remaining() is not None)
try:
    connection.app("nosuch")
except Exception as error:
    print("refused:", type(error).__name__)
app.delete()
print("apps:", [app.name for app in connection.apps()])
