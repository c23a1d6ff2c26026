//! Sources: a place to upload a tarball to, and to build from.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::{Created, Reply};
use crate::blob::signed::Method;
use crate::error::Result;
use crate::store::sources::{self, Source};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Source")]
pub struct View {
    source_blob: SourceBlob,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SourceSourceBlob")]
pub struct SourceBlob {
    get_url: String,
    put_url: String,
}

fn view(call: Call, source: &Source) -> View {
    let path = format!("/blobs/sources/{}", source.id);
    let signed = |method| call.platform.signed_url(method, &path, source.expires_at);
    View {
        source_blob: SourceBlob {
            get_url: signed(Method::Get),
            put_url: signed(Method::Put),
        },
    }
}

pub async fn create(call: Call) -> Result<Created<View>> {
    let source = call
        .write(|connection, caller| sources::create(connection, &caller.account, caller.now))
        .await?;
    Reply::of(&view(call, &source))
}

/// The older form, for one app. The source is the account's all the same.
pub async fn create_for_app(call: Call) -> Result<Created<View>> {
    let source = call
        .write(|connection, caller| {
            caller.app(connection)?;
            sources::create(connection, &caller.account, caller.now)
        })
        .await?;
    Reply::of(&view(call, &source))
}
