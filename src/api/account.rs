//! The caller's own account, and its rate limit.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct View {
    allow_tracking: bool,
    beta: bool,
    country_of_residence: Option<String>,
    created_at: Timestamp,
    default_organization: Option<String>,
    default_team: Option<String>,
    delinquent_at: Option<Timestamp>,
    email: String,
    federated: bool,
    id: Id,
    identity_provider: Option<String>,
    last_login: Option<Timestamp>,
    name: Option<String>,
    sms_number: Option<String>,
    suspended_at: Option<Timestamp>,
    two_factor_authentication: bool,
    updated_at: Timestamp,
    verified: bool,
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let account = &call.caller.account;
    Reply::of(&View {
        allow_tracking: false,
        beta: false,
        country_of_residence: None,
        created_at: account.created_at,
        default_organization: None,
        default_team: None,
        delinquent_at: None,
        email: account.email.clone(),
        federated: false,
        id: account.id,
        identity_provider: None,
        last_login: None,
        name: account.name.clone(),
        sms_number: None,
        suspended_at: None,
        two_factor_authentication: false,
        updated_at: account.updated_at,
        verified: true,
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RateLimit")]
pub struct RateLimit {
    remaining: u32,
}

pub async fn rate_limits(call: Call) -> Result<Reply<RateLimit>> {
    Reply::of(&RateLimit {
        remaining: call.remaining.unwrap_or_default(),
    })
}
