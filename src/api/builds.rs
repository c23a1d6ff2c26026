//! Builds: queued here, built by the builder. Their output is streamed from the start to whoever holds its URL.

use actix_web::HttpResponse;
use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::buildpacks::BuildpackView;
use super::call::{Call, Caller, Visit};
use super::output;
use super::params;
use super::reply::{Created, Nothing, Reply};
use super::scopes;
use super::view::{Ref, User};
use crate::Platform;
use crate::blob::Digest;
use crate::blob::signed::Method;
use crate::catalog;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::name::Id;
use crate::outbound;
use crate::preflight;
use crate::store::access::{self, Permission};
use crate::store::app_setups;
use crate::store::buildpacks::{self, Buildpack};
use crate::store::builds::{self, Build, FIELDS, NewBuild};
use crate::time::Timestamp;

/// Archives up to this size, in bytes, are read before a build of them is accepted: half a second's work at most.
const MAX_CHECKED: u64 = 64 << 20;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BuildSourceBlob")]
pub struct SourceBlob {
    checksum: Option<String>,
    url: String,
    version: Option<String>,
    version_description: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Build")]
pub struct View {
    app: Ref,
    /// Those that it is built with, in their order.
    buildpacks: Vec<BuildpackView>,
    created_at: Timestamp,
    generation: &'static str,
    id: Id,
    output_stream_url: String,
    release: Option<Ref>,
    slug: Option<Ref>,
    source_blob: SourceBlob,
    stack: &'static str,
    status: builds::Status,
    updated_at: Timestamp,
    user: User,
}

/// A URL may hold credentials or be signed, so what is not for everybody to use is shown without them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// For who may deploy: the source as it was given.
    Whole,
    /// For who may see: where the source is from.
    Partial,
    /// For whoever a webhook tells: nothing that opens anything.
    Told,
}

/// What the caller may see of an app's builds.
fn sight(connection: &Connection, caller: &Caller, app: Id) -> Result<Sight> {
    let held = access::permissions(connection, &caller.account, app)?;
    let deploys = held.is_some_and(|held| held.has(Permission::Deploy));
    Ok(match deploys && scopes::opens_protected(caller.scopes) {
        true => Sight::Whole,
        false => Sight::Partial,
    })
}

pub(super) fn view(platform: &Platform, build: Build, sight: Sight) -> View {
    let output = platform.build_output_url(build.id);
    View {
        app: Ref { id: build.app_id },
        buildpacks: build
            .buildpacks
            .into_iter()
            .map(BuildpackView::of)
            .collect(),
        created_at: build.created_at,
        generation: catalog::GENERATION.name,
        id: build.id,
        output_stream_url: match sight {
            Sight::Told => outbound::shown(&output),
            _ => output,
        },
        release: Ref::to(build.release_id),
        slug: Ref::to(build.slug_id),
        source_blob: SourceBlob {
            checksum: build.checksum,
            url: match sight {
                Sight::Whole => build.source_url,
                _ => outbound::shown(&build.source_url),
            },
            version: build.version,
            version_description: build.version_description,
        },
        stack: catalog::STACK.name,
        status: build.status,
        updated_at: build.updated_at,
        user: User {
            email: build.account_email,
            id: build.account_id,
        },
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let app = caller.app_id(connection)?;
            let sight = sight(connection, caller, app)?;
            builds::list(connection, app, page)?.try_map(|build| Ok((build, sight)))
        })
        .await?;
    paged.reply(|(build, sight)| view(&call.platform, build, sight))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (build, sight) = call.read(|connection, caller| {
        let app = caller.app_id(connection)?;
        let build = builds::find(connection, app, caller.params.id("build", "build")?)?;
        Ok((build, sight(connection, caller, app)?))
    })?;
    Reply::of(&view(&call.platform, build, sight))
}

pub async fn latest_of_pipeline(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let pipeline = caller.pipeline(connection)?;
            builds::latest_of_pipeline(connection, &caller.account, pipeline.id, page)?.try_map(
                |build| {
                    let sight = sight(connection, caller, build.app_id)?;
                    Ok((build, sight))
                },
            )
        })
        .await?;
    paged.reply(|(build, sight)| view(&call.platform, build, sight))
}

/// Stops a build that waits or runs. It has failed with this, and its output says why.
pub async fn cancel(call: Call) -> Result<Reply<View>> {
    let boot = call.platform.boot;
    let (build, begun, sight) = call
        .write(move |connection, caller| {
            let (app, id) = (
                caller.app_id(connection)?,
                caller.params.id("build", "build")?,
            );
            let (build, begun) = builds::cancel(connection, app, id, boot, caller.now)?;
            Ok((build, begun, sight(connection, caller, app)?))
        })
        .await?;
    let platform = &call.platform;
    // A build that nobody has begun has nobody else to say so. It is cancelled all the same if that cannot be written.
    if !begun {
        match platform.outputs.writer(build.id) {
            Ok(output) => output.last(builds::CANCELLED),
            Err(error) => {
                tracing::warn!(%error, build = %build.id, "a build's output was not written")
            }
        }
    }
    let url = platform.build_output_url(build.id);
    lines::build_failed(&platform.logs, build.app_id, &url);
    Reply::of(&view(&call.platform, build, sight))
}

/// Removes what the app's builds keep for the next one. What runs now does not bring it back.
pub async fn delete_cache(call: Call) -> Result<Reply<Nothing>> {
    let app = call.read(|connection, caller| caller.app_id(connection))?;
    let caches = call.platform.caches.clone();
    actix_web::rt::task::spawn_blocking(move || caches.purge(app))
        .await
        .map_err(Error::internal)??;
    Reply::of(&Nothing {})
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BuildBody")]
pub struct Body {
    #[schemars(required)]
    source_blob: Option<SourceBlobParam>,
    buildpacks: Option<Vec<BuildpackParam>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BuildBuildpackParam", extend("anyOf" = [{"required": ["url"]}, {"required": ["name"]}]))]
pub struct BuildpackParam {
    url: Option<String>,
    name: Option<String>,
}

impl BuildpackParam {
    fn check(self) -> Result<Buildpack> {
        let named = params::required(self.url.or(self.name), "buildpacks[].url")?;
        Buildpack::parse(&named)
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "BuildSourceBlobParam")]
pub struct SourceBlobParam {
    #[schemars(required)]
    url: Option<String>,
    checksum: Option<String>,
    version: Option<String>,
    version_description: Option<String>,
}

impl SourceBlobParam {
    /// Whether this stands where a URL would.
    pub(super) fn is(&self, word: &str) -> bool {
        self.url.as_deref() == Some(word)
    }
}

/// What can be known of the source now is told now: nothing is queued that is sure to fail.
pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    call.read(|connection, caller| caller.app(connection))?;
    let new = new_build(&call, body).await?;
    let build = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            builds::create(connection, app.id, &caller.account, &new, caller.now)
        })
        .await?;
    Reply::of(&view(&call.platform, build, Sight::Whole))
}

async fn new_build(call: &Call, body: Body) -> Result<NewBuild> {
    let named = body.buildpacks.map(|named| {
        let named = named.into_iter().map(BuildpackParam::check);
        named.collect::<Result<Vec<_>>>()
    });
    let buildpacks = named.transpose()?;
    let blob = params::required(body.source_blob, "source_blob")?;
    let any = match &buildpacks {
        Some(named) => !named.is_empty(),
        None => call.read(|connection, caller| {
            let app = caller.app_id(connection)?;
            Ok(!buildpacks::list(connection, app)?.is_empty())
        })?,
    };
    let new = checked_source(call, blob, any).await?;
    Ok(NewBuild { buildpacks, ..new })
}

/// What a client says of a source, as far as it can be checked now. What buildpacks make of one nobody knows before they run.
pub(super) async fn checked_source(
    call: &Call,
    blob: SourceBlobParam,
    has_buildpacks: bool,
) -> Result<NewBuild> {
    let url = params::text(
        Some(params::required(blob.url, "source_blob.url")?),
        "source_blob.url",
        8_192,
    )?
    .unwrap_or_default();
    let checksum = blob
        .checksum
        .as_deref()
        .map(Digest::parse_checksum)
        .transpose()?;
    let uploaded = call.platform.uploaded_source(&url, call.caller.now)?;
    match &uploaded {
        None => drop(call.platform.outbound.check(&url)?),
        Some(digest) => {
            if checksum.is_some_and(|checksum| checksum != *digest) {
                return Err(Error::invalid(format!(
                    "The checksum does not match: the upload has {}. Upload it again, or send the checksum of what was uploaded.",
                    digest.checksum()
                )));
            }
            check(call, *digest, has_buildpacks).await?;
        }
    }
    Ok(NewBuild {
        source_url: url,
        source_digest: uploaded.map(|digest| digest.to_string()),
        checksum: checksum.map(|checksum| checksum.checksum()),
        version: params::text(blob.version, "source_blob.version", 200)?,
        version_description: params::text(
            blob.version_description,
            "source_blob.version_description",
            10_000,
        )?,
        buildpacks: None,
    })
}

/// 422 for an uploaded archive that no build could use. A large one is left to its build, which says the same.
async fn check(call: &Call, digest: Digest, has_buildpacks: bool) -> Result<()> {
    let blobs = call.platform.blobs.clone();
    let check = move || match blobs.size(&digest)? {
        size if size > MAX_CHECKED => Ok(()),
        _ if has_buildpacks => preflight::check_archive(blobs.open_blob(&digest)?),
        _ => preflight::check_source(blobs.open_blob(&digest)?),
    };
    actix_web::rt::task::spawn_blocking(check)
        .await
        .map_err(Error::internal)?
}

/// The output from its start, live, and again whenever it is asked for. A NUL byte says that the build goes on in silence.
pub async fn output(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let id = visit.params.id("build", "build")?;
    let build = visit
        .platform
        .store
        .read(|connection| builds::by_id(connection, id))?;
    // A setup that failed has deleted its app, and its build's output is why.
    if build.is_none()
        && !visit
            .platform
            .store
            .read(|connection| app_setups::tells_of_build(connection, id))?
    {
        return Err(Error::not_found("build"));
    }
    let end = visit.platform.build_output_end(id)?;
    Ok(output::stream(&visit.request, end, |from| {
        visit.platform.build_output(id, from)
    }))
}
