//! What a server says of itself when it is ready, and the account that it is first reached with.
//!
//! It must not know how a server is started.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::Platform;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::sandbox::Level;
use crate::store::{accounts, oauth_authorizations, oauth_tokens};

/// What a server says of itself when it is ready: printed as one line of JSON, and kept in the data directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    pub api_url: String,
    pub router_url: String,
    /// Where the API listens, whatever its URL is. A server of an older version said nothing of it.
    #[serde(default)]
    pub listen: Option<SocketAddr>,
    pub api_key: String,
    pub data_dir: String,
    pub pid: u32,
    /// The certificate that clients of one-off dynos are to trust.
    #[serde(default)]
    pub ca_file: String,
    /// How well dynos are kept apart. A server of an older version said nothing of it.
    #[serde(default)]
    pub isolation: Option<Level>,
}

impl Ready {
    /// What the last server on this directory said of itself.
    pub fn read(data: &DataDir) -> Result<Option<Ready>> {
        data.read_private("server.json")?
            .map(|json| serde_json::from_str(&json).map_err(Error::internal))
            .transpose()
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The owner's account and token: made by the first start, and the same after that. A token that was revoked stays so, and another
/// one takes its place.
pub(super) async fn first_account(platform: &Platform, data: &DataDir) -> Result<String> {
    let (mut token, email, now) = (
        data.api_key()?,
        platform.config.owner.clone(),
        platform.clock.now(),
    );
    let (known, accounts) = platform.store.read(|connection| {
        let digest = crate::secret::digest(&token);
        let known = oauth_tokens::credential(connection, &digest, now)?;
        Ok((known.is_some(), accounts::count(connection)?))
    })?;
    if !known {
        if accounts > 0 {
            // Before its row: if this is cut off in between, the next start makes yet another one.
            token = data.renew_api_key()?;
        }
        let written = token.clone();
        platform
            .store
            .write(move |connection| {
                let owner = match accounts::by_email(connection, &email)? {
                    Some(owner) => owner,
                    None => accounts::create(connection, &email, now)?,
                };
                accounts::make_admin(connection, owner.id)?;
                oauth_authorizations::add_key(
                    connection,
                    owner.id,
                    &written,
                    "the server's api_key file",
                    now,
                )
            })
            .await?;
    }
    Ok(token)
}
