//! What a write did to the rows that webhooks tell of, noticed row by row and written down as events in the same transaction.
//!
//! SQLite itself says which rows were touched, so no function that changes one has to think of it, and a row that goes with its app
//! is noticed too. How a row is shown is the API's affair, which gives a [`Witness`] for it. An app without webhooks costs a look
//! into a map for each of its rows; a server without any, a look at a flag.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rusqlite::Connection;
use rusqlite::hooks::Action as Touch;
use serde_json::Value;

use super::accounts::Account;
use super::net::{Net, difference, net};
use super::row::optional;
use super::webhook_events::{self, Action, Actor, Entity, NewEvent};
use super::webhooks;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// Who knows how the API shows a row, and what time it is. It only reads, and a row takes it no longer than a request for one.
pub trait Witness: Send + Sync {
    /// The row as the API shows it; `None` when it is not there, or not to be seen.
    fn shown(
        &self,
        connection: &Connection,
        resource: Resource,
        app: Id,
        id: Id,
    ) -> Result<Option<Value>>;

    fn now(&self) -> Timestamp;
}

/// What events tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    AddOn,
    AddOnAttachment,
    App,
    Build,
    Collaborator,
    Domain,
    Dyno,
    Formation,
    Release,
    SniEndpoint,
}

impl Resource {
    /// Each with its table, which has an `id`, and the column with the app's id.
    const ALL: &[(Resource, &str, &str)] = &[
        (Resource::AddOn, "addon", "app_id"),
        (Resource::AddOnAttachment, "addon_attachment", "app_id"),
        (Resource::App, "app", "id"),
        (Resource::Build, "build", "app_id"),
        (Resource::Collaborator, "collaborator", "app_id"),
        (Resource::Domain, "domain", "app_id"),
        (Resource::Dyno, "dyno", "app_id"),
        (Resource::Formation, "formation", "app_id"),
        (Resource::Release, "release", "app_id"),
        (Resource::SniEndpoint, "sni_endpoint", "app_id"),
    ];

    fn of(table: &str) -> Option<Resource> {
        let found = Resource::ALL.iter().find(|(_, name, _)| *name == table);
        found.map(|(resource, ..)| *resource)
    }

    /// The column with the id of the add-on that it is a matter of.
    fn addon(self) -> &'static str {
        match self {
            Resource::AddOn => "id",
            Resource::AddOnAttachment => "addon_id",
            _ => "NULL",
        }
    }

    /// What is told of it under which name, as Heroku does.
    fn entities(self, action: Action) -> &'static [Entity] {
        match (self, action) {
            (Resource::AddOn, _) => &[Entity::Addon],
            (Resource::AddOnAttachment, _) => &[Entity::AddonAttachment],
            (Resource::App, _) => &[Entity::App],
            (Resource::Build, Action::Create | Action::Update) => &[Entity::Build],
            (Resource::Collaborator, _) => &[Entity::Collaborator],
            (Resource::Domain, _) => &[Entity::Domain],
            (Resource::Dyno, Action::Create) => &[Entity::ApiDyno, Entity::Dyno],
            (Resource::Dyno, _) => &[Entity::Dyno],
            (Resource::Formation, Action::Update | Action::Destroy) => &[Entity::Formation],
            (Resource::Release, Action::Create | Action::Update) => &[Entity::Release],
            (Resource::SniEndpoint, _) => &[Entity::SniEndpoint],
            _ => &[],
        }
    }
}

thread_local! {
    /// On whose behalf the writer's thread writes.
    static ACTING: RefCell<Option<Actor>> = const { RefCell::new(None) };
}

/// Says, from within a write, on whose behalf it is made. What is said holds to the end of the write.
pub fn acting(account: &Account) {
    let actor = Actor {
        id: account.id,
        email: account.email.clone(),
    };
    ACTING.with(|acting| *acting.borrow_mut() = Some(actor));
}

/// A row by its place in its table, which SQLite tells of it.
pub(super) type Place = (Resource, i64);

/// What the hook and the writer share.
#[derive(Default)]
struct Notes {
    /// There are webhooks, so rows are noted.
    any: AtomicBool,
    /// A webhook or an app came, changed or went since they were looked at.
    stale: AtomicBool,
    touched: Mutex<Vec<(Place, Touch)>>,
}

impl Notes {
    fn take(&self) -> Vec<(Place, Touch)> {
        take(&mut *self.touched.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A row's id, and whose it is.
#[derive(Clone, Copy)]
struct Named {
    id: Id,
    app: Id,
    addon: Option<Id>,
}

/// The row as it was told of last.
struct Told {
    named: Named,
    shown: Value,
}

/// Something to be told of.
struct Change {
    resource: Resource,
    action: Action,
    row: Named,
    data: Value,
    previous: Value,
}

/// Notices what each write does.
pub struct Changes {
    notes: Arc<Notes>,
    witness: Arc<OnceLock<Arc<dyn Witness>>>,
    /// Sees what was committed last: how rows were before this group of writes.
    before: Connection,
    /// What the webhooks of each app and add-on ask to be told of.
    wanted: HashMap<Id, BTreeSet<Entity>>,
    /// What earlier writes of the group told of, which `before` does not see.
    told: HashMap<Place, Told>,
}

impl Changes {
    /// Over a connection that only reads.
    pub fn new(before: Connection, witness: Arc<OnceLock<Arc<dyn Witness>>>) -> Result<Changes> {
        let mut changes = Changes {
            notes: Arc::default(),
            witness,
            wanted: HashMap::new(),
            told: HashMap::new(),
            before,
        };
        let wanted = webhooks::wanted(&changes.before)?;
        changes.want(wanted);
        Ok(changes)
    }

    /// What SQLite is to call for each row that it touches.
    pub fn hook(&self) -> impl Fn(Touch, &str, i64) + Send + 'static {
        let notes = self.notes.clone();
        move |touch, table, row| {
            if table == "app_webhook" || (table == "app" && touch == Touch::SQLITE_DELETE) {
                notes.stale.store(true, Ordering::Relaxed);
            }
            if notes.any.load(Ordering::Relaxed)
                && let Some(resource) = Resource::of(table)
            {
                let mut touched = notes.touched.lock().unwrap_or_else(PoisonError::into_inner);
                touched.push(((resource, row), touch));
            }
        }
    }

    fn want(&mut self, wanted: HashMap<Id, BTreeSet<Entity>>) {
        self.notes.any.store(!wanted.is_empty(), Ordering::Relaxed);
        self.wanted = wanted;
    }

    /// A write begins.
    pub fn begin(&self) {
        ACTING.with(|acting| *acting.borrow_mut() = None);
        if self.notes.any.load(Ordering::Relaxed) {
            drop(self.notes.take());
        }
    }

    /// A write has ended well, and is not yet kept: what it did is written down beside it.
    pub fn tell(&mut self, connection: &Connection) -> Result<()> {
        if self.notes.any.load(Ordering::Relaxed) {
            let touched = self.notes.take();
            if let Some(witness) = self.witness.get().cloned() {
                for (place, change) in net(touched) {
                    self.tell_of(connection, witness.as_ref(), place, change)?;
                }
            }
        }
        if self.notes.stale.swap(false, Ordering::Relaxed) {
            let wanted = webhooks::wanted(connection)?;
            self.want(wanted);
        }
        Ok(())
    }

    /// The write that was told of was undone.
    pub fn undone(&mut self) {
        self.told.clear();
        self.notes.stale.store(true, Ordering::Relaxed);
    }

    /// The group is over, so `before` sees all of it.
    pub fn over(&mut self) {
        self.told.clear();
    }

    fn tell_of(
        &mut self,
        connection: &Connection,
        witness: &dyn Witness,
        place: Place,
        change: Net,
    ) -> Result<()> {
        let before = match change.was {
            true => self.told.remove(&place),
            false => None,
        };
        let was = match (change.was, &before) {
            (true, Some(told)) => Some(told.named),
            (true, None) => row(&self.before, place)?,
            (false, _) => None,
        };
        let is = match change.is {
            true => row(connection, place)?,
            false => None,
        };
        let events = match (was, is) {
            (Some(was), Some(is)) if was.id == is.id => vec![(Action::Update, is)],
            (was, is) => {
                let gone = was.map(|was| (Action::Destroy, was));
                gone.into_iter()
                    .chain(is.map(|is| (Action::Create, is)))
                    .collect()
            }
        };
        let mut before = before.map(|told| told.shown);
        for (action, named) in events {
            if !self.wants(named, place.0, action) {
                continue;
            }
            let Named { id, app, .. } = named;
            let shows = |connection: &Connection| match witness.shown(connection, place.0, app, id)
            {
                Ok(shown) => shown,
                Err(error) => {
                    tracing::error!(%error, %app, %id, "a change could not be shown, so no webhook tells of it");
                    None
                }
            };
            let earlier = match action {
                Action::Create => None,
                _ => before.take().or_else(|| shows(&self.before)),
            };
            let later = match action {
                Action::Destroy => None,
                _ => shows(connection),
            };
            let Some((data, previous)) = difference(action, earlier, &later) else {
                continue;
            };
            let told = Change {
                resource: place.0,
                action,
                row: named,
                data,
                previous,
            };
            self.write(connection, &told, witness.now())?;
            if let Some(shown) = later {
                self.told.insert(place, Told { named, shown });
            }
        }
        Ok(())
    }

    fn wants(&self, row: Named, resource: Resource, action: Action) -> bool {
        let owners = std::iter::once(row.app).chain(row.addon);
        let mut wanted = owners.filter_map(|owner| self.wanted.get(&owner));
        let entities = resource.entities(action);
        wanted.any(|wanted| entities.iter().any(|entity| wanted.contains(entity)))
    }

    fn write(&self, connection: &Connection, change: &Change, now: Timestamp) -> Result<()> {
        let Some(actor) = self.actor(connection, change.row.app, &change.data)? else {
            return Ok(());
        };
        for entity in change.resource.entities(change.action) {
            let event = NewEvent {
                app: change.row.app,
                addon: change.row.addon,
                entity: *entity,
                action: change.action,
                actor: &actor,
                data: &change.data,
                previous_data: &change.previous,
            };
            webhook_events::create(connection, &event, now)?;
        }
        Ok(())
    }

    /// Who did it: the account that asked, the one that the resource names, or else the app's owner.
    fn actor(&self, connection: &Connection, app: Id, data: &Value) -> Result<Option<Actor>> {
        if let Some(actor) = ACTING.with(|acting| acting.borrow().clone()) {
            return Ok(Some(actor));
        }
        let user = &data["user"];
        if let (Some(id), Some(email)) = (
            user["id"].as_str().and_then(Id::parse),
            user["email"].as_str(),
        ) {
            let email = email.to_owned();
            return Ok(Some(Actor { id, email }));
        }
        match owner(connection, app)? {
            Some(actor) => Ok(Some(actor)),
            None => owner(&self.before, app),
        }
    }
}

/// Which row that is.
fn row(connection: &Connection, (resource, place): Place) -> Result<Option<Named>> {
    let known = Resource::ALL.iter().find(|(known, ..)| *known == resource);
    let Some((_, table, app)) = known else {
        return Ok(None);
    };
    let addon = resource.addon();
    let sql = format!("SELECT id, {app}, {addon} FROM {table} WHERE rowid = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row([place], |row| {
        Ok(Named {
            id: row.get(0)?,
            app: row.get(1)?,
            addon: row.get(2)?,
        })
    }))
}

fn owner(connection: &Connection, app: Id) -> Result<Option<Actor>> {
    let mut statement = connection.prepare_cached(
        "SELECT account.id, account.email FROM app JOIN account ON account.id = app.owner_id WHERE app.id = ?1",
    )?;
    optional(statement.query_row([app], |row| {
        Ok(Actor {
            id: row.get(0)?,
            email: row.get(1)?,
        })
    }))
}
