//! One request, as the function behind its route sees it.

use std::cell::Cell;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use bytes::Bytes;
use rusqlite::Connection;
use serde::Serialize;

use super::params;
use super::range;
use super::reply::Reply;
use super::routes::Route;
use crate::Platform;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store;
use crate::store::access::Permission;
use crate::store::accounts::Account;
use crate::store::apps::{self, App};
use crate::store::audit_trail;
use crate::store::page::{Field, Listing, Page};
use crate::store::pipelines::{self, Pipeline};
use crate::store::scopes::Scopes;
use crate::store::teams::{self, Team};
use crate::store::{Snapshot, Turn};
use crate::time::Timestamp;

/// The variable parts of a path, by name.
#[derive(Clone, Debug, Default)]
pub struct PathParams(pub Vec<(String, String)>);

impl PathParams {
    fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }

    pub fn text(&self, name: &str) -> &str {
        self.get(name)
    }

    pub fn identity(&self, name: &str) -> Identity {
        Identity::parse(self.get(name))
    }

    /// For a process type or a dyno, whose names are kept as they were written.
    pub fn exact_identity(&self, name: &str) -> Identity {
        Identity::parse_exact(self.get(name))
    }

    /// For what is only ever called by its id; `resource` is not found otherwise.
    pub fn id(&self, name: &str, resource: &'static str) -> Result<Id> {
        Id::parse(self.get(name)).ok_or_else(|| Error::not_found(resource))
    }
}

/// Who asks, when, and for what: all that a transaction needs to know of a request. Cheap to move into one.
#[derive(Clone)]
pub struct Caller {
    pub account: Account,
    /// What the request came with.
    pub token: Id,
    /// Under which the token was given.
    pub authorization: Id,
    pub scopes: Scopes,
    /// The one add-on that its provider asks about; the account is nobody's then.
    pub addon: Option<Id>,
    pub now: Timestamp,
    pub params: PathParams,
    /// What the route needs on the app in its path.
    pub permission: Permission,
}

impl Caller {
    /// The app in the path, if the caller has on it what the route needs.
    pub fn app(&self, connection: &Connection) -> Result<App> {
        apps::find(
            connection,
            &self.account,
            &self.params.identity("app"),
            self.permission,
        )
    }

    /// Its id, likewise.
    pub fn app_id(&self, connection: &Connection) -> Result<Id> {
        apps::find_id(
            connection,
            &self.account,
            &self.params.identity("app"),
            self.permission,
        )
    }

    /// The team in the path, if the caller is in it.
    pub fn team(&self, connection: &Connection) -> Result<Team> {
        teams::find(connection, &self.account, &self.params.identity("team"))
    }

    /// The pipeline in the path, likewise.
    pub fn pipeline(&self, connection: &Connection) -> Result<Pipeline> {
        pipelines::find(connection, &self.account, &self.params.identity("pipeline"))
    }

    /// The pipeline in the path, for its owner.
    pub fn owned_pipeline(&self, connection: &Connection) -> Result<Pipeline> {
        pipelines::owned(connection, &self.account, &self.params.identity("pipeline"))
    }
}

/// A request by an authenticated account, its body read.
pub struct Call {
    pub platform: Arc<Platform>,
    pub caller: Caller,
    pub(super) route: &'static Route,
    pub(super) request: HttpRequest,
    pub(super) body: Bytes,
    /// Of the account's rate limit.
    pub remaining: Option<u32>,
    /// What the caller's token was looked up in, for the first read.
    pub(super) snapshot: Cell<Option<Snapshot>>,
    /// Held by a request that is to be done only if nothing has changed (`If-Match`), until it has written.
    pub(super) turn: Cell<Option<Turn>>,
    /// Where what it does stands in the audit trail.
    pub(super) noted: Cell<Option<Id>>,
}

impl Call {
    /// The same request once more, for what its path shows.
    pub(super) fn again(&self) -> Call {
        Call {
            platform: self.platform.clone(),
            caller: self.caller.clone(),
            route: self.route,
            request: self.request.clone(),
            body: Bytes::new(),
            remaining: self.remaining,
            snapshot: Cell::new(None),
            turn: Cell::new(None),
            noted: Cell::new(None),
        }
    }

    /// A value of the query string, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        params::query(self.request.query_string(), name)
    }

    /// Reads in one snapshot, here and now: for a look-up or two by an index.
    pub fn read<T>(&self, f: impl FnOnce(&Connection, &Caller) -> Result<T>) -> Result<T> {
        match self.snapshot.take() {
            Some(snapshot) => f(&snapshot, &self.caller),
            None => self
                .platform
                .store
                .read(|connection| f(connection, &self.caller)),
        }
    }

    /// Reads one page of a list, off the workers, and answers with it.
    pub async fn page<T: Send + 'static>(
        &self,
        fields: &'static [Field],
        f: impl FnOnce(&Connection, &Caller, &Page) -> Result<Listing<T>> + Send + 'static,
    ) -> Result<Paged<T>> {
        let page = range::parse(self.range(), fields)?;
        let (store, caller) = (self.platform.store.clone(), self.caller.clone());
        let snapshot = match self.snapshot.take() {
            Some(snapshot) => snapshot,
            None => store.snapshot().await?,
        };
        actix_web::rt::task::spawn_blocking(move || {
            let listing = f(&snapshot, &caller, &page)?;
            Ok(Paged {
                fields,
                page,
                listing,
            })
        })
        .await
        .map_err(Error::internal)?
    }

    /// Answers with one page of a list that stands in no table.
    pub fn page_of<V: Serialize>(
        &self,
        fields: &'static [Field],
        views: Vec<V>,
    ) -> Result<Reply<Vec<V>>> {
        let page = range::parse(self.range(), fields)?;
        let listing = range::select(&page, views)?;
        Paged {
            fields,
            page,
            listing,
        }
        .reply(|view| view)
    }

    fn range(&self) -> Option<&str> {
        let header = self.request.headers().get("range");
        header.map(|value| value.to_str().unwrap_or("?"))
    }

    /// Writes in one transaction, and answers when it is on disk. What a request changes is noted in the audit trail, once.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection, &Caller) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        drop(self.snapshot.take());
        let (caller, deed) = (self.caller.clone(), self.deed());
        let f = move |connection: &Connection| {
            let (account, now) = (&caller.account, caller.now);
            store::acting(account);
            let act = || f(connection, &caller);
            match deed {
                Some(deed) => audit_trail::noted(connection, deed, account, now, act),
                None => Ok((act()?, None)),
            }
        };
        let (done, noted) = match self.turn.take() {
            Some(turn) => turn.write(f).await?,
            None => self.platform.store.write(f).await?,
        };
        self.noted.set(self.noted.get().or(noted));
        Ok(done)
    }
}

/// One page of a list, with what was asked for.
pub struct Paged<T> {
    pub fields: &'static [Field],
    pub page: Page,
    pub listing: Listing<T>,
}

impl<T> Paged<T> {
    /// The answer: what the API shows of each row.
    pub fn reply<V: Serialize>(mut self, view: impl FnMut(T) -> V) -> Result<Reply<Vec<V>>> {
        let views: Vec<V> = std::mem::take(&mut self.listing.rows)
            .into_iter()
            .map(view)
            .collect();
        Reply::page(&self, &views)
    }
}

/// A request by nobody in particular, its body read: what is in the body proves what it may do.
pub struct Open {
    pub platform: Arc<Platform>,
    pub now: Timestamp,
    pub(super) request: HttpRequest,
    pub(super) body: Bytes,
}

/// A request by whoever holds a signed URL, its body unread.
pub struct Visit {
    pub platform: Arc<Platform>,
    pub params: PathParams,
    pub request: HttpRequest,
    pub payload: Payload,
    pub now: Timestamp,
}
