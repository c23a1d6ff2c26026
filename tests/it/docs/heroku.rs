//! Heroku, for the page on moving from there: another server with the app, which the official CLI finds where it is pointed at none,
//! and its database.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::postgres::Postgres;
use crate::binary::{Place, Server, program};

/// What was done at Heroku long ago.
const APP: &str = r#"
eval "$(penstock env)"
api() {
  curl -fsS -o answer.json -X "$1" -H "Authorization: Bearer $HEROKU_API_KEY" "$PENSTOCK_URL$2" -d "$3"
}
api POST /apps '{"name": "my-app"}'
api PATCH /apps/my-app/config-vars '{
  "SECRET_KEY_BASE": "do not tell",
  "GREETING": "Hello, it'"'"'s me",
  "DATABASE_URL": "'"$APP_DATABASE"'",
  "PAPERTRAIL_API_TOKEN": "of an add-on"
}'
git init -q -b main
echo 'web: penstock static' > Procfile
echo '<h1>It has moved</h1>' > index.html
git add Procfile index.html
git -c user.name=me -c user.email=me@example.com commit -qm "What is at Heroku"
git -c credential.helper='!echo username=me; echo "password=$HEROKU_API_KEY"; :' push -q "$PENSTOCK_URL/my-app.git" main
"#;

pub struct Heroku {
    place: Place,
    _server: Server,
    postgres: Option<Postgres>,
    cli: PathBuf,
}

impl Heroku {
    pub fn start(cli: &Path) -> Heroku {
        let place = Place::new();
        let server = place.start();
        let postgres = Postgres::start();
        if let Some(postgres) = &postgres {
            postgres.fill();
        }
        let heroku = Heroku {
            cli: place.path("heroku"),
            place,
            _server: server,
            postgres,
        };
        heroku.deploy();
        heroku.log_in(cli);
        heroku
    }

    fn deploy(&self) {
        let folder = self.place.path("app");
        fs::create_dir(&folder).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_penstock"));
        let path = std::env::var("PATH").unwrap();
        let ran = Command::new("bash")
            .args(["-euo", "pipefail", "-c", APP])
            .current_dir(&folder)
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", program.parent().unwrap().display()),
            )
            .env("HOME", &folder)
            .env("APP_DATABASE", self.database())
            .env("PENSTOCK_DATA_DIR", self.place.data())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    fn database(&self) -> String {
        let postgres = self.postgres.as_ref();
        postgres.map_or("postgres://old.example.com/app".to_owned(), Postgres::url)
    }

    /// Where the CLI is pointed at no server, it asks this one.
    fn log_in(&self, cli: &Path) {
        let text = format!(
            "#!/bin/sh\n[ -n \"${{PENSTOCK_URL-}}\" ] || eval \"$(penstock env --data-dir '{}')\"\nexec '{}' \"$@\"\n",
            self.place.data().display(),
            cli.display()
        );
        program::script(&self.cli, &text);
    }

    /// The official CLI, as somebody has it who has logged in to Heroku.
    pub fn cli(&self) -> &Path {
        &self.cli
    }

    /// Where Postgres is found.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let postgres = self.postgres.as_ref();
        postgres.map(Postgres::variables).unwrap_or_default()
    }
}
