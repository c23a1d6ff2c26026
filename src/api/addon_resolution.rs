//! What a person means by a few words: an add-on or an attachment, among those that he may see.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Deserialize;

use super::addon_attachments::View as AttachmentView;
use super::addons::View as AddOnView;
use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::Reply;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::store::{addon_attachments, addon_services, addons, apps};

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnResolution")]
pub struct Resolution {
    #[schemars(required)]
    addon: Option<String>,
    app: Option<Reference>,
    addon_service: Option<Reference>,
}

/// The one add-on that a person's words mean, as a list. 404 for none, and 422 for several.
pub async fn addon(call: Call, resolution: Resolution) -> Result<Reply<Vec<AddOnView>>> {
    let text = params::required(resolution.addon, "addon")?;
    let found = call.read(|connection, caller| {
        let app = app_of(connection, caller, resolution.app.as_ref())?;
        let service = service_of(connection, resolution.addon_service.as_ref())?;
        addons::resolve(connection, &caller.account, app, &text, service.as_deref())
    })?;
    if found.is_empty() {
        return Err(addons::missing());
    }
    several(found.iter().map(|addon| addon.name.as_str()))?;
    let views: Vec<AddOnView> = found
        .into_iter()
        .map(|addon| call.addon_view(addon))
        .collect();
    Reply::of(&views)
}

/// The app that a resolution is limited to.
fn app_of(connection: &Connection, caller: &Caller, app: Option<&Reference>) -> Result<Option<Id>> {
    app.map(|Reference(app)| apps::find_id(connection, &caller.account, app, Permission::View))
        .transpose()
}

/// The name of the service that a resolution is limited to.
fn service_of(connection: &Connection, service: Option<&Reference>) -> Result<Option<String>> {
    service
        .map(|Reference(service)| Ok(addon_services::find(connection, service)?.offer.name))
        .transpose()
}

/// 422 for more than one name. The official CLI takes what stands after the second comma for an example of a name.
fn several<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 | 1 => Ok(()),
        _ => Err(Error::new(
            ErrorId::MultipleMatches,
            format!(
                "Ambiguous identifier, several match, {}, so say which one by its name.",
                names.join(", ")
            ),
        )),
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AddOnAttachmentResolution")]
pub struct AttachmentResolution {
    #[schemars(required)]
    addon_attachment: Option<String>,
    app: Option<Reference>,
    addon_service: Option<Reference>,
}

/// The one attachment that a person's words mean, as a list. 404 for none, and 422 for several.
pub async fn attachment(
    call: Call,
    resolution: AttachmentResolution,
) -> Result<Reply<Vec<AttachmentView>>> {
    let text = params::required(resolution.addon_attachment, "addon_attachment")?;
    let found = call.read(|connection, caller| {
        let app = app_of(connection, caller, resolution.app.as_ref())?;
        let service = service_of(connection, resolution.addon_service.as_ref())?;
        let mut found = addon_attachments::resolve(connection, &caller.account, app, &text)?;
        let of_service = |plan: &str| {
            let own = plan.split_once(':').map(|(own, _)| own);
            service.is_none() || own == service.as_deref()
        };
        found.retain(|attachment| of_service(&attachment.plan_name));
        Ok(found)
    })?;
    if found.is_empty() {
        return Err(addon_attachments::missing());
    }
    let names: Vec<String> = found
        .iter()
        .map(|found| format!("{}::{}", found.app_name, found.name))
        .collect();
    several(names.iter().map(String::as_str))?;
    let views: Vec<AttachmentView> = found
        .into_iter()
        .map(|attachment| call.attachment_view(attachment))
        .collect();
    Reply::of(&views)
}
