//! git push and clone, over HTTP: stock git asks for the refs, then speaks its pack protocol in the bodies of one more request.
//!
//! Errors are plain text, since that is what git shows a person; a stranger is asked for credentials as git expects it.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, unfold};

use super::call::Call;
use super::{body, conditional, reply, sending, upload};
use crate::error::{Error, ErrorId, Result};
use crate::git::{Conversation, Push, Service};

/// Bytes that a client may send of what it wants and has: some fifty for each ref.
const MAX_WANTS: usize = 8 << 20;

/// An error as whoever asked at this path reads it: git shows text to a person, and all others take JSON. It is asked of the path
/// since there may be no route.
pub fn refused(path: &str, error: &Error) -> HttpResponse {
    if path.ends_with("/info/refs") && path.split('/').count() == 4 && !path.contains(".git/") {
        return text(&Error::new(
            ErrorId::NotFound,
            "The URL of a repository ends in .git: git remote set-url REMOTE URL.git changes it.",
        ));
    }
    let mut segments = path.split('/').skip(1);
    let repository = segments.next().is_some_and(|app| app.ends_with(".git"));
    match repository && segments.next().is_some() {
        true => text(error),
        false => reply::error(error),
    }
}

fn text(error: &Error) -> HttpResponse {
    let status =
        StatusCode::from_u16(error.id.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"Penstock\""));
    }
    let body = format!("{}\n", error.message);
    let etag = conditional::etag(body.as_bytes());
    response
        .content_type("text/plain; charset=utf-8")
        .insert_header((header::ETAG, etag))
        .body(body)
}

pub async fn refs(call: Call, _: Payload) -> Result<HttpResponse> {
    let named = call.query("service").unwrap_or_default();
    let service = Service::parse(&named).ok_or_else(|| {
        Error::forbidden("Only git's smart protocol is served. Use git 1.6.6 or newer.")
    })?;
    let asked = conversation(&call, service)?;
    let refs = call.platform.git.refs(&asked).await?;
    Ok(answer(service, "advertisement").body(refs))
}

pub async fn receive_pack(call: Call, payload: Payload) -> Result<HttpResponse> {
    let asked = conversation(&call, Service::ReceivePack)?;
    let push = Push {
        app: asked.app,
        token: call.caller.token,
    };
    let sent = upload::chunks(payload.into_inner());
    let git = &call.platform.git;
    streamed(
        Service::ReceivePack,
        git.answer(asked, Some(push), sent).await?,
    )
}

/// What a client wants and has is often compressed.
pub async fn upload_pack(call: Call, payload: Payload) -> Result<HttpResponse> {
    let asked = conversation(&call, Service::UploadPack)?;
    let sent = body::read_within(&call.request, payload, MAX_WANTS).await?;
    let sent = stream::iter([Ok(sent)]);
    streamed(
        Service::UploadPack,
        call.platform.git.answer(asked, None, sent).await?,
    )
}

fn conversation(call: &Call, service: Service) -> Result<Conversation> {
    let app = call.read(|connection, caller| caller.app_id(connection))?;
    let version = call.request.headers().get("git-protocol");
    let version = version.and_then(|version| version.to_str().ok());
    let version = version.and_then(|version| version.strip_prefix("version="));
    Ok(Conversation {
        service,
        app,
        account: call.caller.account.id,
        version: version.and_then(|version| version.parse().ok()),
    })
}

fn answer(service: Service, kind: &str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(format!("application/x-{}-{kind}", service.name()))
        .insert_header((header::CACHE_CONTROL, "no-cache"));
    answer
}

fn streamed(
    service: Service,
    bytes: tokio::sync::mpsc::Receiver<Result<Bytes>>,
) -> Result<HttpResponse> {
    let bytes: std::pin::Pin<Box<dyn Stream<Item = _>>> =
        Box::pin(unfold(bytes, |mut bytes| async {
            let next = bytes.recv().await?;
            Some((next, bytes))
        }));
    let bytes = bytes.map(|chunk| chunk.map_err(actix_web::error::ErrorInternalServerError));
    Ok(sending::ends(answer(service, "result").streaming(bytes)))
}
