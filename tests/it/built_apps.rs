//! Apps without a buildpack, from their source to their visitors, at the best level of isolation and at none.

use crate::archive::raw::Tar;
use crate::binary::{Client, Place, Server, TIED};
use crate::build::builtin::{NODE, PYTHON, source, there, wheel};

/// A package with a program that serves a page.
const GREET: &str = r#"
import http.server, os

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from python")

def main():
    http.server.HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
"#;
const SERVER: &str = r#"
const page = (request, response) => response.end(`hello from ${process.env.NODE_ENV}`);
require('http').createServer(page).listen(process.env.PORT);
"#;

async fn shows(client: &Client, name: &str, source: Tar, text: &str) {
    client.create_app(name).await;
    client.deploy(name, source.gz()).await;
    client.visit_until(name, 200, text).await;
}

async fn all_of_them(server: &Server) {
    let client = server.client();
    let site = source(&[
        (
            "static.json",
            r#"{"root": "web", "routes": {"/**": "index.html"}}"#,
        ),
        ("web/index.html", "hello from files"),
    ]);
    shows(&client, "files", site, "hello from files").await;
    if there(NODE) {
        let package = r#"{"scripts": {"start": "node server.js"}}"#;
        let app = source(&[("package.json", package), ("server.js", SERVER)]);
        shows(&client, "node", app, "hello from production").await;
        let package =
            r#"{"scripts": {"build": "mkdir out && echo made by node > out/index.html"}}"#;
        let app = source(&[
            ("package.json", package),
            ("static.json", r#"{"root": "out"}"#),
        ]);
        shows(&client, "made", app, "made by node").await;
    }
    if there(PYTHON) {
        let app = source(&[
            ("requirements.txt", "./greet-1.0-py3-none-any.whl\n"),
            ("Procfile", "web: greet\n"),
        ]);
        let app = app.file("greet-1.0-py3-none-any.whl", wheel(GREET));
        shows(&client, "python", app, "hello from python").await;
    }
}

#[tokio::test]
async fn apps_without_a_buildpack_are_built_and_visited() {
    let place = Place::new();
    all_of_them(&place.start()).await;
}

#[tokio::test]
async fn so_they_are_where_dynos_are_not_isolated_and_live_elsewhere_than_they_were_built() {
    let place = Place::new();
    let command = place.command(&[TIED, "--isolation", "none"]);
    all_of_them(&Server::start(command, &place.log())).await;
}
