//! Public SSH keys of the caller's account.
//!
//! They are kept and shown; nothing on this server is reached by SSH yet.

use md5::{Digest, Md5};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params;
use super::reply::{Created, Reply};
use super::ssh;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::keys::{self, FIELDS, Key, New};
use crate::time::Timestamp;

/// Longer than any key of a common size, in bytes.
const LONGEST: usize = 16 * 1024;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Key")]
pub struct View {
    comment: String,
    created_at: Timestamp,
    email: String,
    fingerprint: String,
    id: Id,
    public_key: String,
    updated_at: Timestamp,
}

fn view(key: Key) -> View {
    View {
        comment: key.comment,
        created_at: key.created_at,
        email: key.account_email,
        fingerprint: key.fingerprint,
        id: key.id,
        public_key: key.public_key,
        updated_at: key.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            keys::list(connection, caller.account.id, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let key = call.read(|connection, caller| {
        keys::find(
            connection,
            caller.account.id,
            &caller.params.identity("key"),
        )
    })?;
    Reply::of(&view(key))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "KeyBody")]
pub struct Body {
    #[schemars(required)]
    public_key: Option<String>,
}

/// 422 for what is no public key in OpenSSH's form; a private one is never kept. Clients split a key into three words, so its
/// comment is made one word, and is the account's address where there is none.
fn parse(text: &str, email: &str) -> Result<Parsed> {
    let key = ssh::parse(text).ok_or_else(|| {
        Error::invalid(
            "This is no public SSH key of a known kind. Send one line like \"ssh-ed25519 AAAA... you@host\", from a file whose name ends in .pub.",
        )
    })?;
    let comment = match key.comment.is_empty() {
        true => email.to_owned(),
        false => key.comment.join("_"),
    };
    let digest = Md5::digest(&key.blob);
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Parsed {
        fingerprint: pairs.join(":"),
        public_key: format!("{} {} {comment}", key.algorithm, key.base64),
        comment,
    })
}

/// A key as it is kept.
struct Parsed {
    fingerprint: String,
    public_key: String,
    comment: String,
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let text = params::text(body.public_key, "public_key", LONGEST)?;
    let text = params::required(text, "public_key")?;
    let parsed = parse(&text, &call.caller.account.email)?;
    let key = call
        .write(move |connection, caller| {
            let new = New {
                fingerprint: &parsed.fingerprint,
                public_key: &parsed.public_key,
                comment: &parsed.comment,
            };
            keys::create(connection, caller.account.id, &new, caller.now)
        })
        .await?;
    Reply::of(&view(key))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let key = call
        .write(|connection, caller| {
            let identity = caller.params.identity("key");
            let key = keys::find(connection, caller.account.id, &identity)?;
            keys::delete(connection, key.id)?;
            Ok(key)
        })
        .await?;
    Reply::of(&view(key))
}
