//! All accounts of the server, for its admins: Penstock's own addition, since on Heroku people sign up by themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{self, View};
use super::call::Call;
use super::oauth_authorizations::{TokenView, token};
use super::params;
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::secret;
use crate::store::accounts::{self, FIELDS, Update};
use crate::store::oauth_authorizations;

/// 403 for everybody but an admin.
fn require_admin(call: &Call) -> Result<()> {
    match call.caller.account.admin {
        true => Ok(()),
        false => Err(Error::forbidden(
            "Only an admin of the server may do this. Ask whoever runs it.",
        )),
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    require_admin(&call)?;
    let paged = call
        .page(FIELDS, |connection, _, page| {
            accounts::list(connection, page)
        })
        .await?;
    paged.reply(|(account, flags)| account::view(account, flags))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "UserCreateBody")]
pub struct Body {
    admin: Option<bool>,
    #[schemars(required)]
    email: Option<String>,
    name: Option<String>,
}

/// A new account, with the API key that opens it: shown here and never again.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewUser")]
pub struct NewView {
    #[serde(flatten)]
    account: View,
    access_token: Option<TokenView>,
}

pub async fn create(call: Call, body: Body) -> Result<Created<NewView>> {
    require_admin(&call)?;
    let email = params::required(body.email, "email")?;
    let update = Update {
        name: Some(params::text(body.name, "name", account::LONGEST_NAME)?),
        admin: body.admin,
        ..Update::default()
    };
    let (now, key) = (call.caller.now, secret::token()?);
    let isolation = call.platform.isolation;
    let written = key.clone();
    let (account, flags, authorization) = call
        .write(move |connection, caller| {
            isolation.admit_another_person(accounts::count(connection)?)?;
            let made = accounts::create(connection, &email, now)?;
            let account = accounts::update(connection, &made, &update, now)?;
            let by = format!("made by {}", caller.account.email);
            oauth_authorizations::add_key(connection, account.id, &written, &by, now)?;
            let flags = accounts::flags(connection, account.id)?;
            let authorization = oauth_authorizations::api_key(connection, account.id)?;
            Ok((account, flags, authorization))
        })
        .await?;
    Reply::of(&NewView {
        account: account::view(account, flags),
        access_token: token(authorization.access_token, Some(&key), now),
    })
}
