//! Add-on services, their plans, and where they are offered. What the operator registered is the same for every account.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Caller};
use super::catalog::{self as built_in, Region};
use super::reply::Reply;
use super::view::Named;
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::addon_services::{self, AddOnService, FIELDS, PLAN_FIELDS, Plan, State};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnService")]
pub struct View {
    cli_plugin_name: Option<String>,
    created_at: Timestamp,
    human_name: String,
    id: Id,
    name: String,
    state: State,
    supported_generations: [Entry; 1],
    supports_multiple_installations: bool,
    supports_sharing: bool,
    updated_at: Timestamp,
}

fn view(service: AddOnService) -> View {
    View {
        cli_plugin_name: service.offer.cli_plugin_name,
        created_at: service.created_at,
        human_name: service.offer.human_name,
        id: service.id,
        name: service.offer.name,
        state: service.offer.state,
        supported_generations: [catalog::GENERATION],
        supports_multiple_installations: service.offer.supports_multiple_installations,
        supports_sharing: service.offer.supports_sharing,
        updated_at: service.updated_at,
    }
}

/// Nobody is billed by a machine of his own.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "Price")]
pub struct Price {
    cents: i64,
    contract: bool,
    metered: bool,
    unit: &'static str,
}

pub const FREE: Price = Price {
    cents: 0,
    contract: false,
    metered: false,
    unit: "month",
};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Plan")]
pub struct PlanView {
    addon_service: Named,
    compliance: Option<Vec<String>>,
    created_at: Timestamp,
    default: bool,
    description: String,
    human_name: String,
    id: Id,
    installable_inside_private_network: bool,
    installable_outside_private_network: bool,
    name: String,
    price: Price,
    space_default: bool,
    state: &'static str,
    updated_at: Timestamp,
    visible: bool,
}

fn plan_view(plan: Plan) -> PlanView {
    PlanView {
        addon_service: Named {
            id: plan.addon_service_id,
            name: plan.addon_service_name,
        },
        compliance: None,
        created_at: plan.created_at,
        default: plan.default,
        description: plan.description,
        human_name: plan.human_name,
        id: plan.id,
        installable_inside_private_network: false,
        installable_outside_private_network: true,
        name: plan.name,
        price: FREE,
        space_default: false,
        state: if plan.visible { "public" } else { "disabled" },
        updated_at: plan.updated_at,
        visible: plan.visible,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, _, page| {
            addon_services::list(connection, page)
        })
        .await?;
    paged.reply(view)
}

fn service(connection: &Connection, caller: &Caller) -> Result<AddOnService> {
    addon_services::find(connection, &caller.params.identity("addon_service"))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    Reply::of(&view(call.read(service)?))
}

pub async fn plans(call: Call) -> Result<Reply<Vec<PlanView>>> {
    let paged = call
        .page(PLAN_FIELDS, |connection, caller, page| {
            addon_services::plans(connection, service(connection, caller)?.id, page)
        })
        .await?;
    paged.reply(plan_view)
}

pub async fn plan_of_service(call: Call) -> Result<Reply<PlanView>> {
    let found = call.read(|connection, caller| {
        let service = service(connection, caller)?;
        addon_services::find_plan(connection, Some(&service), &caller.params.identity("plan"))
    })?;
    Reply::of(&plan_view(found.ok_or_else(|| Error::not_found("plan"))?))
}

pub async fn plan_info(call: Call) -> Result<Reply<PlanView>> {
    let found = call.read(|connection, caller| {
        addon_services::find_plan(connection, None, &caller.params.identity("plan"))
    })?;
    Reply::of(&plan_view(found.ok_or_else(|| Error::not_found("plan"))?))
}

/// Every service is offered in the one region. The id is the service's own, since there is one of these for each.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AddOnRegionCapability")]
pub struct RegionCapability {
    addon_service: View,
    id: Id,
    region: Region,
    supports_private_networking: bool,
}

fn region_capability(service: AddOnService) -> RegionCapability {
    RegionCapability {
        id: service.id,
        addon_service: view(service),
        region: built_in::region(),
        supports_private_networking: false,
    }
}

const CAPABILITY_FIELDS: &[crate::store::page::Field] = &[FIELDS[0]];

pub async fn region_capabilities(call: Call) -> Result<Reply<Vec<RegionCapability>>> {
    let paged = call
        .page(CAPABILITY_FIELDS, |connection, _, page| {
            addon_services::list(connection, page)
        })
        .await?;
    paged.reply(region_capability)
}

pub async fn region_capabilities_of_region(call: Call) -> Result<Reply<Vec<RegionCapability>>> {
    built_in::meant(&call, catalog::REGION, "region")?;
    region_capabilities(call).await
}

pub async fn region_capabilities_of_service(call: Call) -> Result<Reply<Vec<RegionCapability>>> {
    let service = call.read(service)?;
    call.page_of(CAPABILITY_FIELDS, vec![region_capability(service)])
}

/// A plan that is named in a body.
pub fn plan_on_offer(connection: &Connection, identity: &Identity) -> Result<Plan> {
    addon_services::plan_on_offer(connection, identity)?.ok_or_else(|| no_plan(identity))
}

/// The official CLI shows the plans there are after a message that begins so.
pub fn no_plan(identity: &Identity) -> Error {
    let asked = match identity {
        Identity::Id(id) => id.to_string(),
        Identity::Name(name) => name.chars().take(100).collect(),
    };
    Error::invalid(format!(
        "Couldn't find either the add-on service or the add-on plan of \"{asked}\". heroku addons:services lists what is offered here, which whoever runs the server decides: penstock addon register."
    ))
}
