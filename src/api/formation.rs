//! The formation: how many dynos of each process type, and of what size.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::Reply;
use super::view::Named;
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::log::Logs;
use crate::log::platform as lines;
use crate::name::{Id, Identity};
use crate::store::formation::{self, FIELDS, Formation, Quantity};
use crate::store::once_committed;
use crate::time::Timestamp;

/// Updates in one request at most. All of them are one write, and everybody's writes wait for it.
const MAX_UPDATES: usize = 1_000;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Formation")]
pub struct View {
    app: Named,
    command: String,
    created_at: Timestamp,
    dyno_size: Entry,
    id: Id,
    quantity: i64,
    size: String,
    r#type: String,
    updated_at: Timestamp,
}

pub(super) fn view(formation: Formation) -> View {
    View {
        app: Named {
            id: formation.app_id,
            name: formation.app_name,
        },
        command: formation.command,
        created_at: formation.created_at,
        // A formation has no size but those that there are.
        dyno_size: catalog::dyno_size(&formation.size)
            .unwrap_or(&catalog::DYNO_SIZES[0])
            .entry,
        id: formation.id,
        quantity: formation.quantity,
        size: formation.size,
        r#type: formation.r#type,
        updated_at: formation.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            formation::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let formation = call.read(|connection, caller| {
        formation::find(
            connection,
            caller.app_id(connection)?,
            &caller.params.exact_identity("type"),
        )
    })?;
    Reply::of(&view(formation))
}

/// What may be changed of one process type. The official CLI sends the quantity as text, with a sign to scale by it.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FormationUpdate")]
pub struct Update {
    quantity: Option<Number>,
    size: Option<String>,
    dyno_size: Option<Reference>,
    /// There are no images here, so whoever names one is told so.
    docker_image: Option<serde_json::Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "it must be a number of dynos, or a change such as \"+1\""
)]
enum Number {
    Integer(i64),
    Text(String),
}

/// An [`Update`], checked.
pub struct Wanted {
    quantity: Option<Quantity>,
    size: Option<&'static str>,
}

impl Update {
    fn check(self) -> Result<Wanted> {
        if self.docker_image.is_some() {
            return Err(Error::invalid(
                "This server runs slugs, and no container images. Leave out docker_image, and deploy with git push or POST /apps/{app}/builds.",
            ));
        }
        let quantity = match self.quantity {
            None => None,
            Some(Number::Integer(quantity)) => Some(Quantity::Exactly(quantity)),
            Some(Number::Text(text)) => Some(quantity(&text)?),
        };
        let size = match (self.dyno_size, self.size) {
            (Some(Reference(Identity::Id(id))), _) => Some(id.to_string()),
            (Some(Reference(Identity::Name(name))), _) => Some(name),
            (None, size) => size,
        };
        let size = size
            .map(|text| {
                catalog::dyno_size(&text)
                    .map(|size| size.entry.name)
                    .ok_or_else(no_such_size)
            })
            .transpose()?;
        Ok(Wanted { quantity, size })
    }
}

fn quantity(text: &str) -> Result<Quantity> {
    let number: i64 = text.parse().map_err(|_| {
        Error::invalid("A quantity is a number such as 2, or a change such as +1 or -2.")
    })?;
    Ok(if text.starts_with(['+', '-']) {
        Quantity::By(number)
    } else {
        Quantity::Exactly(number)
    })
}

pub(super) fn no_such_size() -> Error {
    let names = catalog::DYNO_SIZES
        .iter()
        .map(|size| size.entry.name)
        .collect::<Vec<_>>()
        .join(", ");
    Error::invalid(format!(
        "There is no dyno size of this name. The sizes are {names}."
    ))
}

pub async fn update(call: Call, body: Update) -> Result<Reply<View>> {
    let (wanted, logs) = (body.check()?, call.platform.logs.clone());
    let formation = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let identity = caller.params.exact_identity("type");
            let updated = formation::update(
                connection,
                app.id,
                &identity,
                wanted.quantity,
                wanted.size,
                caller.now,
            )?;
            announce(connection, caller, &logs, app.id)?;
            Ok(updated)
        })
        .await?;
    Reply::of(&view(formation))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FormationBatchUpdate")]
pub struct BatchUpdate {
    #[schemars(required)]
    updates: Option<Vec<TypeUpdate>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "FormationTypeUpdate", extend("anyOf" = [{"required": ["type"]}, {"required": ["id"]}]))]
pub struct TypeUpdate {
    r#type: Option<String>,
    id: Option<String>,
    quantity: Option<Number>,
    size: Option<String>,
    dyno_size: Option<Reference>,
    docker_image: Option<serde_json::Value>,
}

impl BatchUpdate {
    fn check(self) -> Result<Vec<(Identity, Wanted)>> {
        let updates = params::required(self.updates, "updates")?;
        if updates.len() > MAX_UPDATES {
            return Err(Error::invalid(format!(
                "Send at most {MAX_UPDATES} updates at once: no app has more process types."
            )));
        }
        updates.into_iter().map(TypeUpdate::check).collect()
    }
}

impl TypeUpdate {
    /// Which type is to be changed, and to what.
    fn check(self) -> Result<(Identity, Wanted)> {
        let named = params::required(self.r#type.or(self.id), "updates[].type")?;
        // Not flattened into one struct, since serde could not tell then which parameter does not fit.
        let update = Update {
            quantity: self.quantity,
            size: self.size,
            dyno_size: self.dyno_size,
            docker_image: self.docker_image,
        };
        Ok((Identity::parse_exact(&named), update.check()?))
    }
}

pub async fn batch_update(call: Call, body: BatchUpdate) -> Result<Reply<Vec<View>>> {
    let (updates, logs) = (body.check()?, call.platform.logs.clone());
    let changed = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let change = |(identity, wanted): &(Identity, Wanted)| {
                formation::update(
                    connection,
                    app.id,
                    identity,
                    wanted.quantity,
                    wanted.size,
                    caller.now,
                )
            };
            let changed = updates.iter().map(change).collect::<Result<Vec<_>>>()?;
            announce(connection, caller, &logs, app.id)?;
            Ok(changed)
        })
        .await?;
    Reply::of(&changed.into_iter().map(view).collect::<Vec<_>>())
}

/// Tells the app's log its whole formation, as Heroku does after each scaling, from within the write that scales.
pub(super) fn announce(
    connection: &Connection,
    caller: &Caller,
    logs: &Logs,
    app: Id,
) -> Result<()> {
    let formation = formation::text(&formation::all(connection, app)?);
    let (logs, user) = (logs.clone(), caller.account.email.clone());
    once_committed(move || lines::scaled(&logs, app, &formation, &user));
    Ok(())
}
