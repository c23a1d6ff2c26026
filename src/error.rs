//! The one error type, and the table of ids a client can meet.
//!
//! It knows nothing of HTTP frameworks, SQL or JSON: other layers turn their failures into an [`Error`] at the place where they
//! know what a person should do next.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// The result of everything in Penstock that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, in Heroku's words. Each id has one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorId {
    BadRequest,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Conflict,
    PreconditionFailed,
    RequestTooLarge,
    UnsupportedMediaType,
    RangeNotSatisfiable,
    InvalidParams,
    MultipleMatches,
    ConfirmationRequired,
    RateLimit,
    Internal,
    Unavailable,
    OutOfSpace,
}

impl ErrorId {
    /// Every id that a client can meet.
    pub const ALL: [ErrorId; 18] = [
        ErrorId::BadRequest,
        ErrorId::Unauthorized,
        ErrorId::Forbidden,
        ErrorId::NotFound,
        ErrorId::MethodNotAllowed,
        ErrorId::NotAcceptable,
        ErrorId::Conflict,
        ErrorId::PreconditionFailed,
        ErrorId::RequestTooLarge,
        ErrorId::UnsupportedMediaType,
        ErrorId::RangeNotSatisfiable,
        ErrorId::InvalidParams,
        ErrorId::MultipleMatches,
        ErrorId::ConfirmationRequired,
        ErrorId::RateLimit,
        ErrorId::Internal,
        ErrorId::Unavailable,
        ErrorId::OutOfSpace,
    ];

    /// The `id` of the error body, as Heroku spells it where Heroku has it.
    pub fn as_str(self) -> &'static str {
        self.entry().0
    }

    /// The HTTP status that goes with the id.
    pub fn status(self) -> u16 {
        self.entry().1
    }

    fn entry(self) -> (&'static str, u16) {
        match self {
            ErrorId::BadRequest => ("bad_request", 400),
            ErrorId::Unauthorized => ("unauthorized", 401),
            ErrorId::Forbidden => ("forbidden", 403),
            ErrorId::NotFound => ("not_found", 404),
            ErrorId::MethodNotAllowed => ("method_not_allowed", 405),
            ErrorId::NotAcceptable => ("not_acceptable", 406),
            ErrorId::Conflict => ("conflict", 409),
            ErrorId::PreconditionFailed => ("precondition_failed", 412),
            ErrorId::RequestTooLarge => ("request_too_large", 413),
            ErrorId::UnsupportedMediaType => ("unsupported_media_type", 415),
            ErrorId::RangeNotSatisfiable => ("requested_range_not_satisfiable", 416),
            ErrorId::InvalidParams => ("invalid_params", 422),
            ErrorId::MultipleMatches => ("multiple_matches", 422),
            ErrorId::ConfirmationRequired => ("confirmation_required", 423),
            ErrorId::RateLimit => ("rate_limit", 429),
            ErrorId::Internal => ("internal_server_error", 500),
            ErrorId::Unavailable => ("service_unavailable", 503),
            ErrorId::OutOfSpace => ("insufficient_storage", 507),
        }
    }
}

/// A failure. The client sees `id`, `message` and `resource`; the server's log sees `cause` as well.
pub struct Error {
    pub id: ErrorId,
    /// For a person, and says what to do next. Never holds a secret, a path of the server or another library's text.
    pub message: Cow<'static, str>,
    /// What was looked for, on a `not_found`: `app`, `build`, `pipeline`, and so on.
    pub resource: Option<&'static str>,
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a client is told of a fault of ours.
const FAULT: &str = "Penstock failed to do this, through no fault of the request. Its log has the reason under this request's Request-Id.";

impl Error {
    pub fn new(id: ErrorId, message: impl Into<Cow<'static, str>>) -> Error {
        Error {
            id,
            message: message.into(),
            resource: None,
            cause: None,
        }
    }

    /// 422: the request was understood, and a value in it cannot be.
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorId::InvalidParams, message)
    }

    /// 400: the request could not be read.
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorId::BadRequest, message)
    }

    /// 409: it would have been right at another moment.
    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorId::Conflict, message)
    }

    /// 403: the caller may know of it, but not do this.
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(ErrorId::Forbidden, message)
    }

    /// 404, in the same words for what does not exist and what the caller may not see.
    ///
    /// What Akkeris has too is missed in its words, everything else in Heroku's.
    pub fn not_found(resource: &'static str) -> Error {
        let message = match resource {
            "pipeline" | "pipeline coupling" | "pipeline promotion" | "release status" => {
                format!("The specified {resource} was not found.")
            }
            _ => format!("Couldn't find that {resource}."),
        };
        Error {
            resource: Some(resource),
            ..Error::new(ErrorId::NotFound, message)
        }
    }

    /// 500: a fault of ours. `cause` goes to the server's log, and the client learns only that it happened.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error {
            cause: Some(cause.into()),
            ..Error::new(ErrorId::Internal, FAULT)
        }
    }

    /// A file that somebody named and that cannot be read: 404 where it is not there, else 422.
    pub fn unreadable(path: &Path, cause: &std::io::Error) -> Error {
        match cause.kind() {
            std::io::ErrorKind::NotFound => Error::new(
                ErrorId::NotFound,
                format!("There is no {}. Look at how it is spelled.", path.display()),
            ),
            _ => Error::invalid(format!("{} cannot be read: {cause}.", path.display())),
        }
    }
}

/// For the log and the terminal.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // Whoever reads this has no request, and the log before her eyes.
            Some(cause) if self.message == FAULT => write!(f, "{cause}"),
            Some(cause) => write!(f, "{} ({cause})", self.message),
            None => write!(f, "{}", self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.id.as_str())
    }
}

impl std::error::Error for Error {}

/// A full disk is told apart, since the remedy is the operator's and the request may be sent again. An [`Error`] that had to
/// travel as an `io::Error`, through a `Read` or a `Write`, comes out as it went in.
impl From<rustix::io::Errno> for Error {
    fn from(cause: rustix::io::Errno) -> Error {
        Error::from(std::io::Error::from(cause))
    }
}

impl From<std::io::Error> for Error {
    fn from(cause: std::io::Error) -> Error {
        let cause = match cause.downcast::<Error>() {
            Ok(ours) => return ours,
            Err(cause) => cause,
        };
        match cause.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Error {
                cause: Some(cause.into()),
                ..Error::new(
                    ErrorId::OutOfSpace,
                    "The server's disk is full. Free some space, then send the request again.",
                )
            },
            _ => Error::internal(cause),
        }
    }
}
