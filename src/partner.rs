//! The partner protocol, spoken to the providers of add-ons: what they are sent, and what their answers mean.
//!
//! A provider is asked at least once, under an id that stays the same, so to ask again is always right. It must not know what
//! becomes of an answer. Facts: Heroku's "Add-on Partner API Reference" as of 2014 to 2025.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::name::Id;
use crate::outbound::{Answer, Authorization, Method, Outbound, Request};
use crate::store::addon_tasks::{Made, Provider};
use crate::store::addons::AddOn;
use crate::store::config_vars::ConfigVars;
use crate::time::Timestamp;
use crate::urls::Urls;

/// A provider has to answer within this time, by Heroku's rules.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// How providers are reached.
#[derive(Clone)]
pub struct Reach {
    pub outbound: Outbound,
    /// For a whole exchange.
    pub timeout: Duration,
}
/// What a provider may set in one add-on, in bytes of names and values.
const MAX_CONFIG: usize = 32 * 1024;
/// What is shown of a provider's message, in characters.
const MAX_MESSAGE: usize = 1000;
/// Where Heroku's apps in the region `us` are, for providers that place an add-on near them.
const REGION: &str = "amazon-web-services::us-east-1";

/// What an answer means.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done(Made),
    /// It is being done, and the provider will say when it is.
    Accepted(Made),
    /// It will not be done, for this reason.
    Refused(String),
    /// Something was answered that the protocol does not have.
    Unreadable(String),
    /// No answer, or none that says whether it was done.
    Unknown(String),
}

/// The code that a provider exchanges for a token.
pub struct Grant {
    pub code: String,
    pub expires_at: Timestamp,
}

/// Asks a provider to make an add-on. `options` is what the customer asked for.
pub async fn provision(
    reach: &Reach,
    provider: &Provider,
    addon: &AddOn,
    options: &str,
    grant: &Grant,
    urls: &Urls,
) -> Outcome {
    let options: Value = serde_json::from_str(options).unwrap_or_else(|_| json!({}));
    let mut body = json!({
        "uuid": addon.id,
        "heroku_id": heroku_id(addon, urls),
        "name": addon.name,
        "plan": short(&addon.plan_name),
        "region": REGION,
        "options": options,
        "callback_url": format!("{}/addons/{}", urls.api, addon.id),
        "oauth_grant": {
            "code": grant.code,
            "expires_at": grant.expires_at,
            "type": "authorization_code",
        },
    });
    if let Some(token) = &addon.log_drain_token {
        body["log_drain_token"] = json!(token);
    }
    let answer = ask(reach, provider, Method::POST, "", Some(body)).await;
    outcome(answer, provider, &addon.declared_vars, true)
}

/// The app that an add-on is for, by the name that its provider knows it by.
fn heroku_id(addon: &AddOn, urls: &Urls) -> String {
    format!("{}@{}", addon.app_name, urls.base_domain)
}

/// Asks a provider to change the plan.
pub async fn change_plan(
    reach: &Reach,
    provider: &Provider,
    addon: &AddOn,
    plan: &str,
    urls: &Urls,
) -> Outcome {
    let body =
        json!({ "plan": short(plan), "heroku_id": heroku_id(addon, urls), "uuid": addon.id });
    let path = format!("/{}", addon.id);
    let answer = ask(reach, provider, Method::PUT, &path, Some(body)).await;
    outcome(answer, provider, &addon.declared_vars, false)
}

/// Tells a provider that an add-on is no more. Done also when it had none.
pub async fn deprovision(reach: &Reach, provider: &Provider, addon: Id) -> Outcome {
    let path = format!("/{addon}");
    match ask(reach, provider, Method::DELETE, &path, None).await {
        Ok(Answer {
            status: 200..=299 | 404 | 410,
            ..
        }) => Outcome::Done(Made::default()),
        Ok(answer) => Outcome::Unknown(format!(
            "the provider of {} answered {} to a DELETE",
            provider.service, answer.status
        )),
        Err(message) => Outcome::Unknown(message),
    }
}

/// `basic` of `acme:basic`.
fn short(plan: &str) -> &str {
    plan.split_once(':').map_or(plan, |(_, own)| own)
}

async fn ask(
    reach: &Reach,
    provider: &Provider,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Answer, String> {
    // A manifest may name the resources themselves, as newer ones do.
    let base = provider.base_url.trim_end_matches("/heroku/resources");
    let request = Request {
        method,
        url: &format!("{base}/heroku/resources{path}"),
        authorization: Authorization::Basic(&provider.service, &provider.password),
        headers: &[],
        body: body.map(|body| body.to_string().into_bytes()),
        timeout: reach.timeout,
    };
    reach.outbound.send(request).await.map_err(|error| {
        tracing::warn!(service = provider.service, %error, "a provider could not be asked");
        format!("The provider of {} did not answer.", provider.service)
    })
}

/// What the provider may say; whatever else it says is not looked at.
#[derive(Default, Deserialize)]
struct Said {
    id: Option<Value>,
    config: Option<ConfigVars>,
    message: Option<String>,
    log_drain_url: Option<String>,
}

fn outcome(
    answer: Result<Answer, String>,
    provider: &Provider,
    declared: &[String],
    may_take_time: bool,
) -> Outcome {
    let answer = match answer {
        Ok(answer) => answer,
        Err(message) => return Outcome::Unknown(message),
    };
    let service = &provider.service;
    let said = serde_json::from_slice::<Said>(&answer.body);
    match answer.status {
        200 | 201 | 202 | 204 => match read(said, &answer.body, service, declared) {
            Ok(made) if answer.status == 202 && may_take_time => Outcome::Accepted(made),
            Ok(made) => Outcome::Done(made),
            Err(message) => Outcome::Unreadable(message),
        },
        // Too early, or too often: it is asked again.
        408 | 425 | 429 => Outcome::Unknown(format!("The provider of {service} is busy.")),
        status @ (400..=499 | 503) => match (message(said.ok()), status) {
            (Some(message), _) => Outcome::Refused(message),
            (None, 503) => Outcome::Unknown(format!("The provider of {service} is unavailable.")),
            (None, status) => Outcome::Refused(format!(
                "The provider of {service} refused with status {status}, and did not say why."
            )),
        },
        500..=599 => Outcome::Unknown(format!("The provider of {service} has failed.")),
        status => Outcome::Unreadable(format!(
            "The provider of {service} answered with status {status}, which the partner protocol does not have."
        )),
    }
}

fn message(said: Option<Said>) -> Option<String> {
    let message = said?.message?;
    let shown: String = message
        .chars()
        .filter(|c| !c.is_control() || *c == '\n')
        .take(MAX_MESSAGE)
        .collect();
    (!shown.trim().is_empty()).then_some(shown)
}

/// A success: JSON, or nothing at all; config vars that the manifest declares, and no more than fits.
fn read(
    said: serde_json::Result<Said>,
    body: &[u8],
    service: &str,
    declared: &[String],
) -> Result<Made, String> {
    let said = match said {
        Ok(said) => said,
        Err(_) if body.iter().all(u8::is_ascii_whitespace) => Said::default(),
        Err(_) => {
            return Err(format!(
                "The provider of {service} gave an answer that cannot be read."
            ));
        }
    };
    if let Some(config) = &said.config {
        check_config(config, declared).map_err(|reason| {
            format!("The provider of {service} set config vars wrongly: {reason}")
        })?;
    }
    let provider_id = match &said.id {
        Some(Value::String(id)) if id.len() <= 256 => Some(id.clone()),
        Some(Value::Number(id)) => Some(id.to_string()),
        Some(Value::Null) | None => None,
        Some(_) => {
            return Err(format!(
                "The provider of {service} gave an id that is neither a string nor a number."
            ));
        }
    };
    Ok(Made {
        provider_id,
        config: said.config.clone(),
        log_drain_url: said.log_drain_url.clone(),
        message: message(Some(said)).unwrap_or_default(),
    })
}

/// Whether a provider may set these vars: each declared in its manifest, none with a NUL, and 32 KB of them in all.
pub fn check_config(config: &ConfigVars, declared: &[String]) -> Result<(), String> {
    if let Some(name) = config.keys().find(|name| !declared.contains(name)) {
        let name: String = name.chars().take(100).collect();
        return Err(format!(
            "{name:?} is not among the config_vars of the manifest."
        ));
    }
    if config.values().any(|value| value.contains('\0')) {
        return Err("a value holds a NUL character, which no environment can.".to_owned());
    }
    let size: usize = config
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    match size > MAX_CONFIG {
        true => Err("they are larger than 32 KB in all.".to_owned()),
        false => Ok(()),
    }
}
