//! One request, as the function behind its route sees it.

use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::dev::Payload;
use bytes::Bytes;
use rusqlite::Connection;
use serde::de::DeserializeOwned;

use super::params;
use super::range;
use crate::Platform;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::accounts::Account;
use crate::store::apps::{self, App};
use crate::store::page::{Field, Listing, Page};
use crate::store::pipelines::{self, Pipeline};
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
    pub now: Timestamp,
    pub params: PathParams,
}

impl Caller {
    /// The app in the path, looked up as the caller may see it.
    pub fn app(&self, connection: &Connection) -> Result<App> {
        apps::find(connection, &self.account, &self.params.identity("app"))
    }

    /// Its id, likewise.
    pub fn app_id(&self, connection: &Connection) -> Result<Id> {
        apps::find_id(connection, &self.account, &self.params.identity("app"))
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
    pub(super) request: HttpRequest,
    pub(super) body: Bytes,
    /// Of the account's rate limit.
    pub remaining: Option<u32>,
}

impl Call {
    /// The JSON body. An empty one reads as `{}`. 400 when it is no JSON, 422 when a value in it does not fit.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T> {
        params::json(&self.body)
    }

    /// A value of the query string, percent-decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        params::query(self.request.query_string(), name)
    }

    /// Reads in one snapshot, here and now: for a look-up or two by an index.
    pub fn read<T>(&self, f: impl FnOnce(&Connection, &Caller) -> Result<T>) -> Result<T> {
        self.platform
            .store
            .read(|connection| f(connection, &self.caller))
    }

    /// Reads one page of a list, off the workers, and answers with it.
    pub async fn page<T: Send + 'static>(
        &self,
        fields: &'static [Field],
        f: impl FnOnce(&Connection, &Caller, &Page) -> Result<Listing<T>> + Send + 'static,
    ) -> Result<Paged<T>> {
        let header = self
            .request
            .headers()
            .get("range")
            .map(|value| value.to_str().unwrap_or("?"));
        let page = range::parse(header, fields)?;
        let (store, caller) = (self.platform.store.clone(), self.caller.clone());
        actix_web::rt::task::spawn_blocking(move || {
            let listing = store.read(|connection| f(connection, &caller, &page))?;
            Ok(Paged {
                fields,
                page,
                listing,
            })
        })
        .await
        .map_err(Error::internal)?
    }

    /// Writes in one transaction, and answers when it is on disk.
    pub async fn write<T: Send + 'static>(
        &self,
        f: impl FnOnce(&Connection, &Caller) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let caller = self.caller.clone();
        self.platform
            .store
            .write(move |connection| f(connection, &caller))
            .await
    }
}

/// One page of a list, with what was asked for.
pub struct Paged<T> {
    pub fields: &'static [Field],
    pub page: Page,
    pub listing: Listing<T>,
}

impl<T> Paged<T> {
    /// What the API shows of each row.
    pub fn views<'a, V>(&'a self, view: impl FnMut(&'a T) -> V) -> Vec<V> {
        self.listing.rows.iter().map(view).collect()
    }
}

/// A request by whoever holds a signed URL, its body unread.
pub struct Visit {
    pub platform: Arc<Platform>,
    pub params: PathParams,
    pub request: HttpRequest,
    pub payload: Payload,
    pub now: Timestamp,
}
