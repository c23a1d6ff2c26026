//! The caller's own account, and its rate limit.

use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

#[derive(Serialize)]
struct View<'a> {
    allow_tracking: bool,
    beta: bool,
    country_of_residence: Option<&'a str>,
    created_at: Timestamp,
    default_organization: Option<&'a str>,
    default_team: Option<&'a str>,
    delinquent_at: Option<Timestamp>,
    email: &'a str,
    federated: bool,
    id: Id,
    identity_provider: Option<&'a str>,
    last_login: Option<Timestamp>,
    name: Option<&'a str>,
    sms_number: Option<&'a str>,
    suspended_at: Option<Timestamp>,
    two_factor_authentication: bool,
    updated_at: Timestamp,
    verified: bool,
}

pub async fn info(call: Call) -> Result<Reply> {
    let account = &call.caller.account;
    Reply::ok(&View {
        allow_tracking: false,
        beta: false,
        country_of_residence: None,
        created_at: account.created_at,
        default_organization: None,
        default_team: None,
        delinquent_at: None,
        email: &account.email,
        federated: false,
        id: account.id,
        identity_provider: None,
        last_login: None,
        name: account.name.as_deref(),
        sms_number: None,
        suspended_at: None,
        two_factor_authentication: false,
        updated_at: account.updated_at,
        verified: true,
    })
}

pub async fn rate_limits(call: Call) -> Result<Reply> {
    #[derive(Serialize)]
    struct RateLimit {
        remaining: u32,
    }
    Reply::ok(&RateLimit {
        remaining: call.remaining.unwrap_or_default(),
    })
}
