//! Shows what a write did to a row in the words of the API, for the events of webhooks.
//!
//! It runs within the write, so it reads one resource by its id and does nothing else.

use std::sync::{Arc, Weak};

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use super::{
    addon_attachments, addons, apps, builds, collaborators, domains, dynos, formation, releases,
    sni_endpoints,
};
use crate::Platform;
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity};
use crate::store::{self, Resource};
use crate::time::{Clock, Timestamp};

/// The API's views, for the store.
pub struct Witness {
    platform: Weak<Platform>,
    clock: Clock,
}

impl Witness {
    pub fn new(platform: &Arc<Platform>) -> Witness {
        Witness {
            platform: Arc::downgrade(platform),
            clock: platform.clock.clone(),
        }
    }
}

impl store::Witness for Witness {
    fn shown(
        &self,
        connection: &Connection,
        resource: Resource,
        app: Id,
        id: Id,
    ) -> Result<Option<Value>> {
        let Some(platform) = self.platform.upgrade() else {
            return Ok(None);
        };
        match shown(&platform, connection, resource, app, id) {
            Ok(shown) => Ok(Some(shown)),
            Err(error) if error.id == ErrorId::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn shown(
    platform: &Platform,
    connection: &Connection,
    resource: Resource,
    app: Id,
    id: Id,
) -> Result<Value> {
    let (urls, by_id) = (&platform.urls, &Identity::Id(id));
    match resource {
        // A link to a provider's pages is for one account, and events are for whoever is told of them.
        Resource::AddOn => {
            let addon = store::addons::by_id(connection, id)?;
            let addon = addon.ok_or_else(store::addons::missing)?;
            json(&addons::view(addon, None))
        }
        Resource::AddOnAttachment => {
            let attachment = store::addon_attachments::of_app(connection, app, by_id)?;
            json(&addon_attachments::view(attachment, None))
        }
        Resource::App => json(&apps::view(store::apps::by_id(connection, app)?, urls)),
        Resource::Build => {
            let build = store::builds::find(connection, app, id)?;
            json(&builds::view(platform, build, builds::Sight::Told))
        }
        Resource::Collaborator => {
            let collaborator = store::collaborators::find(connection, app, by_id)?;
            json(&collaborators::view(collaborator))
        }
        Resource::Domain => {
            let which = store::domains::Which::Id(id);
            let domain = store::domains::find(connection, app, &urls.base_domain, &which)?;
            json(&domains::view(domain, urls))
        }
        Resource::Dyno => {
            let dyno = store::dynos::by_id(connection, id)?;
            let dyno = dyno.ok_or_else(|| Error::not_found("dyno"))?;
            json(&dynos::view(dyno, &store::apps::by_id(connection, app)?))
        }
        Resource::Formation => {
            let formation = store::formation::find(connection, app, by_id)?;
            json(&formation::view(formation))
        }
        Resource::Release => {
            let release = store::releases::find(connection, app, by_id)?;
            json(&releases::told(platform, release))
        }
        Resource::SniEndpoint => {
            let endpoint = store::sni_endpoints::find(connection, app, by_id)?;
            json(&sni_endpoints::view(endpoint))
        }
    }
}

fn json(view: &impl Serialize) -> Result<Value> {
    serde_json::to_value(view).map_err(Error::internal)
}
