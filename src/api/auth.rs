//! Who is asking: the token in the `Authorization` header, as Bearer or as the password of Basic. GitHub's `token` means Bearer, since
//! the official CLI sends it where this server answers in GitHub's place.

use actix_web::http::header::HeaderMap;
use base64::Engine;
use rusqlite::Connection;

use super::call::Call;
use crate::error::{Error, ErrorId, Result};
use crate::secret;
use crate::store::addon_tokens;
use crate::store::oauth_tokens::{self, Credential};
use crate::time::Timestamp;

/// Longer than any token of ours; what is longer is not even hashed.
const MAX_BYTES: usize = 512;
/// The schemes by which a token comes as it is.
const PLAIN: [&str; 2] = ["bearer", "token"];

/// What the request's token opens. 401, in one and the same words for a missing, a malformed, an unknown and an expired token.
pub fn credential(
    connection: &Connection,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Credential> {
    let token = sent(headers).ok_or_else(unauthorized)?;
    let digest = secret::digest(&token);
    let credential = match oauth_tokens::credential(connection, &digest, now)? {
        Some(credential) => Some(credential),
        None => addon_tokens::credential(connection, &digest, now)?,
    };
    credential.ok_or_else(unauthorized)
}

/// 401 when the token of a call that was let in opens it no longer.
pub fn again(connection: &Connection, call: &Call) -> Result<()> {
    let now = credential(
        connection,
        call.request.headers(),
        call.platform.clock.now(),
    )?;
    if now.account.admin == call.caller.account.admin && now.scopes == call.caller.scopes {
        Ok(())
    } else {
        Err(unauthorized())
    }
}

/// The password that a request brings by `Basic`, whoever its user is.
pub fn password(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("authorization")?.to_str().ok()?;
    let (scheme, _) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| sent(headers))
        .flatten()
}

/// The one token that a request brings.
pub fn sent(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all("authorization");
    match (values.next(), values.next()) {
        (Some(value), None) => token(value.to_str().ok()?),
        _ => None,
    }
}

fn token(value: &str) -> Option<String> {
    let (scheme, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    if credentials.len() > MAX_BYTES {
        return None;
    }
    let token = if PLAIN.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        credentials.to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let decoded = base64::engine::general_purpose::STANDARD
            .decode(credentials)
            .ok()?;
        // The user is whatever the client likes: Heroku's clients send none, an e-mail address, or a name.
        String::from_utf8(decoded)
            .ok()?
            .split_once(':')?
            .1
            .to_owned()
    } else {
        return None;
    };
    (!token.is_empty()).then_some(token)
}

fn unauthorized() -> Error {
    Error::new(
        ErrorId::Unauthorized,
        "Invalid credentials provided. There are no passwords here: send an API token as \"Authorization: Bearer TOKEN\", or as the password \
         of `heroku login -i`. On the server, `penstock token create EMAIL` prints one.",
    )
}
