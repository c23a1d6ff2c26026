//! Attachments: which add-ons an app uses, and under which names.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::addons::find;
use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use super::view::Named;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::name::{Id, Identity};
use crate::store::access::{self, Permission};
use crate::store::addon_attaching::{self, Wanted};
use crate::store::addon_attachments::{self, Attachment, FIELDS};
use crate::store::{addon_changes, addon_services, addons, apps};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnAttachmentAddOn")]
pub struct AddOnView {
    app: Named,
    id: Id,
    name: String,
    plan: Named,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnAttachment")]
pub struct View {
    addon: AddOnView,
    app: Named,
    /// The official CLI asks for these with a header of its own; they are always there.
    config_vars: Vec<String>,
    created_at: Timestamp,
    id: Id,
    log_input_url: Option<String>,
    name: String,
    namespace: Option<String>,
    updated_at: Timestamp,
    web_url: Option<String>,
}

/// `web_url` is where the provider's own pages are opened.
pub(super) fn view(attachment: Attachment, web_url: Option<String>) -> View {
    View {
        addon: AddOnView {
            app: Named {
                id: attachment.addon_app_id,
                name: attachment.addon_app_name,
            },
            id: attachment.addon_id,
            name: attachment.addon_name,
            plan: Named {
                id: attachment.plan_id,
                name: attachment.plan_name,
            },
        },
        app: Named {
            id: attachment.app_id,
            name: attachment.app_name,
        },
        config_vars: attachment.config_vars,
        created_at: attachment.created_at,
        id: attachment.id,
        log_input_url: None,
        name: attachment.name,
        namespace: attachment.namespace,
        updated_at: attachment.updated_at,
        web_url,
    }
}

impl Call {
    pub(super) fn attachment_view(&self, attachment: Attachment) -> View {
        let web_url = attachment
            .has_pages
            .then(|| self.sso_url(attachment.addon_id))
            .flatten();
        view(attachment, web_url)
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            addon_attachments::list(connection, &caller.account, page)
        })
        .await?;
    paged.reply(|attachment| call.attachment_view(attachment))
}

pub async fn of_addon(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let addon = find(connection, caller, Permission::View)?;
            addon_attachments::list_of_addon(connection, &caller.account, addon.id, page)
        })
        .await?;
    paged.reply(|attachment| call.attachment_view(attachment))
}

pub async fn of_app(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            addon_attachments::list_of_app(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(|attachment| call.attachment_view(attachment))
}

pub async fn info_in_app(call: Call) -> Result<Reply<View>> {
    let attachment = call.read(|connection, caller| {
        let identity = caller.params.identity("attachment");
        addon_attachments::of_app(connection, caller.app_id(connection)?, &identity)
    })?;
    Reply::of(&call.attachment_view(attachment))
}

fn attachment(connection: &Connection, caller: &Caller) -> Result<Attachment> {
    let id = Id::parse(caller.params.text("attachment"));
    let id = id.ok_or_else(addon_attachments::missing)?;
    addon_attachments::find(connection, &caller.account, id)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let attachment = call.read(attachment)?;
    Reply::of(&call.attachment_view(attachment))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnAttachmentNewAttachment")]
pub struct New {
    #[schemars(required)]
    addon: Option<Reference>,
    #[schemars(required)]
    app: Option<Reference>,
    name: Option<String>,
    namespace: Option<String>,
    confirm: Option<String>,
}

/// Whoever operates the add-on's app may see its secrets, and so may bring them to an app that he manages.
pub async fn create(call: Call, new: New) -> Result<Created<View>> {
    let Reference(addon) = params::required(new.addon.clone(), "addon")?;
    let Reference(app) = params::required(new.app.clone(), "app")?;
    let namespace = params::text(new.namespace.clone(), "namespace", 256)?;
    let (attachment, releases) = call
        .write(move |connection, caller| {
            let by = &caller.account;
            let app = apps::find(connection, by, &app, Permission::Manage)?;
            let addon = match &addon {
                Identity::Id(id) => id.to_string(),
                Identity::Name(name) => name.clone(),
            };
            let addon = addons::find(connection, by, &addon, Permission::Operate)?;
            shared(connection, &addon, app.id)?;
            let wanted = Wanted {
                name: new.name.as_deref(),
                namespace: namespace.as_deref(),
                confirm: new.confirm.as_deref(),
            };
            addon_changes::attach(connection, &addon, &app, &wanted, by, caller.now)
        })
        .await?;
    lines::all_released(&call.platform.logs, &releases);
    Reply::of(&call.attachment_view(attachment))
}

/// 422 for another app than the add-on's own, where its service does not allow that.
fn shared(connection: &Connection, addon: &addons::AddOn, app: Id) -> Result<()> {
    let service = addon_services::by_id(connection, addon.addon_service_id)?;
    match service.offer.supports_sharing || app == addon.app_id {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "Add-ons of {} cannot be attached to other apps.",
            service.offer.name
        ))),
    }
}

/// By whoever manages the app that it is on, or the app of the add-on.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let (attachment, release) = call
        .write(|connection, caller| {
            let found = attachment(connection, caller)?;
            let (by, manage) = (&caller.account, Permission::Manage);
            let own = access::permissions(connection, by, found.addon_app_id)?;
            if !own.is_some_and(|own| own.has(manage)) {
                let here = access::permissions(connection, by, found.app_id)?;
                let app = here.map_or(found.addon_app_id, |_| found.app_id);
                access::require(connection, by, app, manage)?;
            }
            let release = addon_attaching::detach(connection, &found, by, caller.now)?;
            Ok((found, release))
        })
        .await?;
    lines::all_released(&call.platform.logs, &[release]);
    Reply::of(&call.attachment_view(attachment))
}
