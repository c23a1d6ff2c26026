//! Add-ons: asked for, seen, renamed, moved to another plan, and destroyed. What their providers are asked is a loop's work; a
//! handler writes it down, and waits for a while to learn what came of it.

use std::time::Duration;

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::addon_services::{FREE, Price, plan_on_offer};
use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::{Created, Nothing, Reply};
use super::view::Named;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::name::{Id, Identity};
use crate::store::access::Permission;
use crate::store::addon_attaching::{self, Wanted};
use crate::store::addon_changes::{self, NewAddOn};
use crate::store::addons::{self, AddOn, FIELDS, State, Task};
use crate::store::{Table, addon_attachments, addon_plans, addon_services, audit_trail};
use crate::time::Timestamp;

/// What a customer may tell a provider, in bytes.
const MAX_OPTIONS: usize = 16 * 1024;
/// A little longer than a provider may take for its answer.
const PATIENCE: Duration = Duration::from_secs(35);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnPlan")]
pub struct PlanView {
    id: Id,
    name: String,
    price: Price,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnBillingEntity")]
pub struct BillingEntity {
    id: Id,
    name: String,
    r#type: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOn")]
pub struct View {
    actions: Vec<Nothing>,
    addon_service: Named,
    app: Named,
    billed_price: Price,
    billing_entity: BillingEntity,
    config_vars: Vec<String>,
    created_at: Timestamp,
    id: Id,
    name: String,
    plan: PlanView,
    provider_id: String,
    provision_message: String,
    state: State,
    updated_at: Timestamp,
    web_url: Option<String>,
}

/// `web_url` is where the provider's own pages are opened.
pub(super) fn view(addon: AddOn, web_url: Option<String>) -> View {
    View {
        actions: Vec::new(),
        config_vars: addon.config_vars(),
        addon_service: Named {
            id: addon.addon_service_id,
            name: addon.addon_service_name,
        },
        billed_price: FREE,
        billing_entity: BillingEntity {
            id: addon.app_id,
            name: addon.app_name.clone(),
            r#type: "app",
        },
        app: Named {
            id: addon.app_id,
            name: addon.app_name,
        },
        created_at: addon.created_at,
        id: addon.id,
        name: addon.name,
        plan: PlanView {
            id: addon.plan_id,
            name: addon.plan_name,
            price: FREE,
        },
        provider_id: addon.provider_id.unwrap_or_default(),
        provision_message: addon.provision_message,
        state: addon.state,
        updated_at: addon.updated_at,
        web_url,
    }
}

impl Call {
    /// An add-on as its owner sees it.
    pub(super) fn addon_view(&self, addon: AddOn) -> View {
        let has_pages = addon.has_sso && addon.state == State::Provisioned;
        let web_url = has_pages.then(|| self.sso_url(addon.id)).flatten();
        view(addon, web_url)
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            addons::list(connection, &caller.account, page)
        })
        .await?;
    paged.reply(|addon| call.addon_view(addon))
}

/// The same, for the account itself: `~`, its id or its address. There is no other's list.
pub async fn of_account(call: Call) -> Result<Reply<Vec<View>>> {
    let own = &call.caller.account;
    let asked = call.caller.params.text("account");
    if asked != "~" && Id::parse(asked) != Some(own.id) && asked.to_lowercase() != own.email {
        return Err(Error::not_found("account"));
    }
    list(call).await
}

/// Those of a team's apps that the caller may see.
pub async fn of_team(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?;
            addons::list_of_team(connection, &caller.account, team.id, page)
        })
        .await?;
    paged.reply(|addon| call.addon_view(addon))
}

pub async fn of_app(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            addons::list_of_app(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(|addon| call.addon_view(addon))
}

/// The add-on in the path, if the caller may do this with it, or is its provider.
pub(super) fn find(
    connection: &Connection,
    caller: &Caller,
    permission: Permission,
) -> Result<AddOn> {
    let identity = caller.params.text("addon");
    if let Some(own) = caller.addon {
        let own = addons::by_id(connection, own)?.ok_or_else(addons::missing)?;
        let meant = Id::parse(identity).map_or(own.name == identity, |id| id == own.id);
        return meant.then_some(own).ok_or_else(addons::missing);
    }
    addons::find(connection, &caller.account, identity, permission)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let addon = call.read(|connection, caller| find(connection, caller, Permission::View))?;
    Reply::of(&call.addon_view(addon))
}

/// The add-on in the path, of the app in the path.
pub(super) fn find_in_app(connection: &Connection, caller: &Caller) -> Result<AddOn> {
    let app = caller.app_id(connection)?;
    addons::of_app(connection, app, &caller.params.identity("addon"))
}

pub async fn info_in_app(call: Call) -> Result<Reply<View>> {
    Reply::of(&call.addon_view(call.read(find_in_app)?))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnNewAddOn")]
pub struct New {
    #[schemars(required)]
    plan: Option<Reference>,
    name: Option<String>,
    attachment: Option<AttachmentParam>,
    config: Option<Map<String, Value>>,
    confirm: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnAttachmentParam")]
pub struct AttachmentParam {
    name: Option<String>,
}

pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let Reference(plan) = params::required(new.plan.clone(), "plan")?;
    let options = options(&new)?;
    let (made, releases) = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let plan = plan_on_offer(connection, &plan)?;
            let service = addon_services::by_id(connection, plan.addon_service_id)?;
            let attachment = new.attachment.as_ref();
            let new = NewAddOn {
                name: new.name.as_deref(),
                service: &service,
                plan: &plan,
                options: &options,
                attachment: Wanted {
                    name: attachment.and_then(|attachment| attachment.name.as_deref()),
                    namespace: None,
                    confirm: new.confirm.as_deref(),
                },
            };
            addon_changes::create(connection, &app, &new, &caller.account, caller.now)
        })
        .await?;
    lines::all_released(&call.platform.logs, &releases);
    let asked = |addon: &AddOn| {
        addon.task == Some(Task::Provision) && addon.due_at == Some(addon.created_at)
    };
    let heard = call.heard(made.id, asked).await?;
    Reply::of(&call.addon_view(unless_refused(&call, heard).await?))
}

fn options(new: &New) -> Result<String> {
    let options = serde_json::to_string(&new.config.clone().unwrap_or_default());
    let options = options.map_err(Error::internal)?;
    match options.len() > MAX_OPTIONS {
        true => Err(Error::invalid(
            "The config of an add-on may be 16 KB of JSON at most.",
        )),
        false => Ok(options),
    }
}

/// Of an add-on that its provider would not make nothing stays, since whoever asked for it learns so at once.
async fn unless_refused(call: &Call, addon: AddOn) -> Result<AddOn> {
    if addon.state != State::Deprovisioned {
        return Ok(addon);
    }
    let noted = call.noted.get();
    call.write(move |connection, caller| {
        if let Some(event) = noted {
            audit_trail::withdraw(connection, event, caller.now)?;
        }
        addon_changes::forget(connection, addon.id)
    })
    .await?;
    Err(Error::invalid(addon.provision_message))
}

impl Call {
    /// The add-on once it is no longer `asked` about, or as it is when patience is over.
    async fn heard(&self, id: Id, asked: impl Fn(&AddOn) -> bool) -> Result<AddOn> {
        let store = &self.platform.store;
        let mut changes = store.changes(&[Table::Addon]);
        let find = || {
            let found = store.read(|connection| addons::by_id(connection, id))?;
            found.ok_or_else(addons::missing)
        };
        let heard = async {
            loop {
                changes.mark_unchanged();
                let addon = find()?;
                if !asked(&addon) || changes.changed().await.is_err() {
                    return Ok(addon);
                }
            }
        };
        match timeout(PATIENCE, heard).await {
            Ok(heard) => heard,
            Err(_) => find(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnChange")]
pub struct Change {
    name: Option<String>,
    plan: Option<Reference>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let (renamed, planned) = (change.name.is_some(), change.plan.is_some());
    let addon = call
        .write(move |connection, caller| {
            let addon = find_in_app(connection, caller)?;
            addons::permit(connection, &caller.account, &addon, Permission::Manage)?;
            if let Some(name) = &change.name {
                addon_changes::rename(connection, &addon, name, caller.now)?;
            }
            if let Some(Reference(plan)) = &change.plan {
                want_plan(connection, &addon, plan, caller.now)?;
            }
            addons::by_id(connection, addon.id)?.ok_or_else(addons::missing)
        })
        .await?;
    if !planned || addon.wanted_plan_id.is_none() {
        return Reply::of(&call.addon_view(addon));
    }
    let asked = |addon: &AddOn| addon.task == Some(Task::Plan) && addon.plan_error.is_none();
    let heard = call.heard(addon.id, asked).await?;
    match heard.plan_error {
        Some(reason) => {
            if !renamed {
                call.withdraw().await?;
            }
            Err(Error::invalid(reason))
        }
        None => Reply::of(&call.addon_view(heard)),
    }
}

fn want_plan(
    connection: &Connection,
    addon: &AddOn,
    plan: &Identity,
    now: Timestamp,
) -> Result<()> {
    let service = addon_services::by_id(connection, addon.addon_service_id)?;
    let found = addon_services::find_plan(connection, Some(&service), plan)?;
    let found = found.filter(|plan| plan.visible || plan.id == addon.plan_id);
    let found = found.ok_or_else(|| super::addon_services::no_plan(plan))?;
    match found.id == addon.plan_id {
        true => Ok(()),
        false => addon_plans::want(connection, addon, found.id, now),
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnDeletion")]
pub struct Deletion {
    force: Option<bool>,
    confirm: Option<String>,
}

/// Gone at once for whoever asks; the provider is told in its own time.
pub async fn delete(call: Call, deletion: Deletion) -> Result<Reply<View>> {
    let (addon, releases) = call
        .write(move |connection, caller| {
            let addon = find_in_app(connection, caller)?;
            addons::permit(connection, &caller.account, &addon, Permission::Manage)?;
            let confirmed = deletion.confirm.as_deref() == Some(addon.app_name.as_str());
            if !deletion.force.unwrap_or(false) && !confirmed {
                refuse_shared(connection, &addon)?;
            }
            let (by, now) = (&caller.account, caller.now);
            let releases = addon_changes::destroy(connection, &addon, None, by, now)?;
            Ok((addon, releases))
        })
        .await?;
    lines::all_released(&call.platform.logs, &releases);
    Reply::of(&view(
        AddOn {
            state: State::Deprovisioned,
            ..addon
        },
        None,
    ))
}

/// 423 for an add-on that other apps use too.
fn refuse_shared(connection: &Connection, addon: &AddOn) -> Result<()> {
    let attachments = addon_attachments::of_addon(connection, addon.id)?;
    let elsewhere: Vec<&str> = attachments
        .iter()
        .filter(|attachment| attachment.app_id != addon.app_id)
        .map(|attachment| attachment.app_name.as_str())
        .collect();
    match elsewhere.is_empty() {
        true => Ok(()),
        false => Err(addon_attaching::confirmation(format!(
            "{} is attached to other apps too: {}. Force its destruction, or detach it there first.",
            addon.name,
            elsewhere.join(", ")
        ))),
    }
}
