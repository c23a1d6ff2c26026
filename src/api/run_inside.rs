//! Commands inside a dyno that runs, as `heroku run:inside` asks for them. Somebody always sits in front of one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::call::Call;
use super::dynos::{self, EnvValue, View};
use super::rendezvous;
use super::reply::{Created, Reply};
use crate::error::Result;
use crate::log::platform as lines;
use crate::secret;
use crate::store;
use crate::store::one_offs::{self, NewAttach, NewInside};

/// A command to be run once, in the dyno that the path names. There is a terminal for it as for a one-off dyno.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "DynoRunInside")]
pub struct Body {
    #[schemars(required)]
    command: Option<String>,
    env: Option<BTreeMap<String, EnvValue>>,
    force_no_tty: Option<bool>,
}

impl Body {
    /// With the secret of whoever attaches to it.
    fn check(self) -> Result<(NewInside, String)> {
        let (command, env) = (dynos::command(self.command)?, dynos::env(self.env));
        let terminal = dynos::terminal(&env, self.force_no_tty);
        let secret = secret::uuid()?;
        let attach = NewAttach {
            digest: secret::digest(&secret),
            terminal,
        };
        let new = NewInside {
            command,
            env,
            attach,
        };
        Ok((new, secret))
    }
}

/// It is written down with this, and started by whoever reads it there once its client has come.
pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let (new, secret) = body.check()?;
    let (app, dyno) = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let identity = caller.params.exact_identity("dyno");
            let host = store::dynos::find(connection, app.id, &identity)?;
            let dyno = one_offs::create_inside(connection, &host, &new, caller.now)?;
            Ok((app, dyno))
        })
        .await?;
    let (logs, user) = (&call.platform.logs, &call.caller.account.email);
    lines::run(logs, app.id, &dyno.command, user);
    lines::awaiting_client(logs, app.id, &dyno.name());
    let attach_url = rendezvous::url(&call, &secret);
    Reply::of(&dynos::view(dyno, &app).attached_at(attach_url))
}
