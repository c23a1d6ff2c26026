//! What a visitor of a static site is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use actix_files::NamedFile;
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::config::Config;
use super::gzip::{self, Compressed};
use super::lookup::{Found, Site};
use super::tags::Tags;
use crate::secret;

/// A site, open.
pub struct Hall {
    pub config: Config,
    pub site: Site,
    pub tags: Arc<Tags>,
    pub compressed: Arc<Compressed>,
    /// The name and password that a visitor needs, as `name:password`.
    pub credentials: Option<String>,
}

impl Hall {
    /// The answer to one request.
    pub async fn answer(&self, request: &mut ServiceRequest) -> HttpResponse {
        let mut response = match self.turn_away(request) {
            Some(response) => response,
            None => self.show(request).await,
        };
        let path = decoded(request.path()).unwrap_or_default();
        for (_, headers) in self
            .config
            .headers
            .iter()
            .filter(|(at, _)| at.matches(&path))
        {
            for (name, value) in headers {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        response
    }

    /// Whoever is to be elsewhere, or has no business here.
    fn turn_away(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let allow = (header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            let mut refused = HttpResponse::MethodNotAllowed();
            return Some(refused.insert_header(allow).finish());
        }
        let text = |name: header::HeaderName| request.headers().get(name)?.to_str().ok();
        let host = text(header::HOST).unwrap_or_default();
        let uri = request
            .uri()
            .path_and_query()
            .map_or("/", |uri| uri.as_str());
        let proto = text(header::HeaderName::from_static("x-forwarded-proto"));
        let plain = proto.is_some_and(|proto| proto.trim() == "http");
        let canonical = self.config.canonical_host.as_deref();
        let host = canonical.filter(|canonical| !canonical.eq_ignore_ascii_case(host));
        if (self.config.https_only && plain) || host.is_some() {
            let scheme = match self.config.https_only || !plain {
                true => "https",
                false => "http",
            };
            let host = canonical.or(text(header::HOST)).unwrap_or_default();
            return Some(redirect(
                StatusCode::MOVED_PERMANENTLY,
                &format!("{scheme}://{host}{uri}"),
            ));
        }
        if !self.admits(request.headers()) {
            let realm = HeaderValue::from_static("Basic realm=\"Restricted\", charset=\"UTF-8\"");
            let mut refused = HttpResponse::Unauthorized();
            let refused = refused.insert_header((header::WWW_AUTHENTICATE, realm));
            return Some(refused.body("A name and a password are needed.\n"));
        }
        let path = decoded(request.path())?;
        let mut redirects = self.config.redirects.iter();
        let (_, to) = redirects.find(|(from, _)| from.matches(&path))?;
        Some(redirect(to.status, &to.url))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(wanted) = &self.credentials else {
            return true;
        };
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Basic "))
            .and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
        let given = given.and_then(|given| String::from_utf8(given).ok());
        given.is_some_and(|given| secret::digest(&given) == secret::digest(wanted))
    }

    async fn show(&self, request: &mut ServiceRequest) -> HttpResponse {
        let Some(path) = decoded(request.path()) else {
            return HttpResponse::BadRequest().body("The path is no UTF-8 text.\n");
        };
        match self.site.look_up(&path, &self.config) {
            Found::File(file) => self.file(request, &file).await,
            Found::Folder => {
                // A path of two slashes would be another host.
                let mut location = format!("/{}/", request.path().trim_matches('/'));
                if let Some(query) = request.uri().query() {
                    location = format!("{location}?{query}");
                }
                redirect(StatusCode::MOVED_PERMANENTLY, &location)
            }
            Found::Nothing => self.missing(request).await,
        }
    }

    /// A file, as far as the visitor has not got it yet.
    async fn file(&self, request: &mut ServiceRequest, file: &Path) -> HttpResponse {
        let Ok(tag) = self.tag(file).await else {
            return HttpResponse::InternalServerError().body("The file cannot be read.\n");
        };
        let known = stated(request, header::IF_NONE_MATCH);
        if known.is_some_and(|known| names(&known, &tag)) {
            let mut same = HttpResponse::NotModified();
            return same.insert_header((header::ETAG, tag)).finish();
        }
        if stated(request, header::IF_RANGE).is_some_and(|known| known.trim() != tag) {
            // A part of something else is of no use.
            request.headers_mut().remove(header::RANGE);
        }
        let Ok(opened) = NamedFile::open(file) else {
            return HttpResponse::InternalServerError().body("The file cannot be read.\n");
        };
        let (path, kind) = (opened.path().to_owned(), opened.content_type().clone());
        let suits = Compressed::suits(kind.essence_str(), opened.metadata().len());
        let mut response = whole(opened, request, &tag);
        if !suits {
            return response;
        }
        let vary = HeaderValue::from_static("accept-encoding");
        response.headers_mut().insert(header::VARY, vary);
        let takes = stated(request, header::ACCEPT_ENCODING);
        match takes.is_some_and(|takes| gzip::accepted(&takes))
            && response.status() == StatusCode::OK
        {
            true => self.compressed(response, path, tag).await,
            false => response,
        }
    }

    /// The same answer in fewer bytes. Its tag is a weak one: the same content in other bytes.
    async fn compressed(&self, response: HttpResponse, path: PathBuf, tag: String) -> HttpResponse {
        let (all, own) = (self.compressed.clone(), tag.clone());
        let made = actix_web::web::block(move || all.of(&own, &path)).await;
        let Ok(Ok(bytes)) = made else {
            return HttpResponse::InternalServerError().body("The file cannot be read.\n");
        };
        let mut response = response.set_body(BoxBody::new(bytes));
        let headers = response.headers_mut();
        headers.remove(header::ACCEPT_RANGES);
        let gzip = HeaderValue::from_static("gzip");
        headers.insert(header::CONTENT_ENCODING, gzip);
        if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    async fn tag(&self, file: &Path) -> std::io::Result<String> {
        let (tags, file) = (self.tags.clone(), file.to_owned());
        let tag = actix_web::web::block(move || tags.of(&file)).await;
        tag.map_err(std::io::Error::other)?
    }

    async fn missing(&self, request: &mut ServiceRequest) -> HttpResponse {
        let page: Option<PathBuf> = self.site.error_page(&self.config);
        let Some(page) = page.and_then(|page| NamedFile::open(page).ok()) else {
            return HttpResponse::NotFound()
                .content_type("text/plain; charset=utf-8")
                .body("There is nothing here.\n");
        };
        request.headers_mut().remove(header::RANGE);
        let page = page.use_etag(false).use_last_modified(false);
        let mut response = page
            .prefer_utf8(true)
            .disable_content_disposition()
            .into_response(request.request());
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    }
}

/// A file as it is, or the part of it that is asked for.
fn whole(opened: NamedFile, request: &ServiceRequest, tag: &str) -> HttpResponse {
    let mut response = opened
        .use_etag(false)
        .use_last_modified(false)
        .prefer_utf8(true)
        .disable_content_disposition()
        .into_response(request.request());
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

fn stated(request: &ServiceRequest, name: header::HeaderName) -> Option<String> {
    let value = request.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

/// Whether a list of tags has this one, or is `*`. Weak ones count: a copy that was compressed on its way is as good here.
fn names(list: &str, tag: &str) -> bool {
    let mut tags = list
        .split(',')
        .map(|one| one.trim().trim_start_matches("W/"));
    tags.any(|one| one == "*" || one == tag)
}

fn decoded(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path);
    decoded.decode_utf8().ok().map(|path| path.into_owned())
}

fn redirect(status: StatusCode, location: &str) -> HttpResponse {
    let Ok(location) = HeaderValue::from_str(location) else {
        return HttpResponse::BadRequest().finish();
    };
    HttpResponse::build(status)
        .insert_header((header::LOCATION, location))
        .finish()
}
