//! Slugs: seen with a link to their bytes, and made for bytes that the client uploads.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use crate::blob::Digest;
use crate::blob::signed::Method;
use crate::catalog::{self, Entry};
use crate::error::{Error, Result};
use crate::name::{Id, ProcessType};
use crate::store::slugs::{self, NewSlug, ProcessTypes, Slug};
use crate::time::Timestamp;

/// How long a link to a slug's bytes lives.
const LIFE: Duration = Duration::from_secs(60 * 60);
/// Process types of one slug at most, and bytes of one command.
const MAX_TYPES: usize = 1_000;
const MAX_COMMAND: usize = 8 * 1024;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SlugBlob")]
pub struct Blob {
    method: &'static str,
    url: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Slug")]
pub struct View {
    blob: Blob,
    buildpack_provided_description: Option<String>,
    checksum: Option<String>,
    commit: Option<String>,
    commit_description: Option<String>,
    created_at: Timestamp,
    deleted_at: Option<Timestamp>,
    id: Id,
    process_types: ProcessTypes,
    size: Option<i64>,
    stack: Entry,
    updated_at: Timestamp,
}

fn view(call: &Call, slug: Slug, method: Method) -> View {
    let expires = call.caller.now.plus(LIFE);
    let url = call
        .platform
        .signed_url(method, &format!("/blobs/slugs/{}", slug.id), expires);
    let checksum = slug
        .digest
        .as_ref()
        .map(|digest| format!("SHA256:{digest}"));
    View {
        blob: Blob {
            method: if method == Method::Put { "put" } else { "get" },
            url,
        },
        buildpack_provided_description: slug.buildpack_provided_description,
        checksum: checksum.or_else(|| slug.checksum.clone()),
        commit: slug.commit,
        commit_description: slug.commit_description,
        created_at: slug.created_at,
        deleted_at: None,
        id: slug.id,
        process_types: slug.process_types,
        size: slug.size,
        stack: catalog::STACK,
        updated_at: slug.updated_at,
    }
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let slug = call.read(|connection, caller| {
        slugs::find(
            connection,
            caller.app_id(connection)?,
            caller.params.id("slug", "slug")?,
        )
    })?;
    Reply::of(&view(&call, slug, Method::Get))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "SlugBody")]
pub struct Body {
    #[schemars(required)]
    process_types: Option<ProcessTypes>,
    commit: Option<String>,
    commit_description: Option<String>,
    checksum: Option<String>,
    buildpack_provided_description: Option<String>,
    stack: Option<Reference>,
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let new = new_slug(body)?;
    let slug = call
        .write(move |connection, caller| {
            slugs::create(connection, caller.app_id(connection)?, &new, caller.now)
        })
        .await?;
    Reply::of(&view(&call, slug, Method::Put))
}

fn new_slug(body: Body) -> Result<NewSlug> {
    let process_types = params::required(body.process_types, "process_types")?;
    if process_types.is_empty() || process_types.len() > MAX_TYPES {
        return Err(Error::invalid(
            "Name at least one process type, such as {\"web\": \"./server\"}, in process_types.",
        ));
    }
    for (name, command) in &process_types {
        ProcessType::parse(name)?;
        if command.trim().is_empty()
            || command.len() > MAX_COMMAND
            || command.contains(['\0', '\n'])
        {
            return Err(Error::invalid(format!(
                "The command of {name} must be one line of 1 to {MAX_COMMAND} bytes."
            )));
        }
    }
    params::offered(body.stack.as_ref(), catalog::STACK, "stack")?;
    let checksum = body
        .checksum
        .as_deref()
        .map(Digest::parse_checksum)
        .transpose()?;
    Ok(NewSlug {
        digest: None,
        size: None,
        commit: params::text(body.commit, "commit", 200)?,
        commit_description: params::text(body.commit_description, "commit_description", 10_000)?,
        buildpack_provided_description: params::text(
            body.buildpack_provided_description,
            "buildpack_provided_description",
            1_000,
        )?,
        checksum: checksum.map(|digest| digest.checksum()),
        process_types,
        // Those are read from the bytes, once they are there.
        cron: Vec::new(),
    })
}
