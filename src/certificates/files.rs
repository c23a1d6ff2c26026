//! The operator's own certificate, in files: such as a wildcard for the base domain, which some other program renews.
//!
//! It must not know who is shown it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use clap::Args;

use super::Key;
use crate::certificate;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// Part of the server's settings.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "certificate_files")]
pub struct Settings {
    /// Certificate (PEM, with those that signed it) for the hosts that it names, such as a wildcard for the base domain; read again when the file changes
    #[arg(
        long,
        env = "PENSTOCK_ROUTER_CERTIFICATE",
        value_name = "FILE",
        requires = "router_key"
    )]
    pub router_certificate: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(
        long,
        env = "PENSTOCK_ROUTER_KEY",
        value_name = "FILE",
        requires = "router_certificate"
    )]
    pub router_key: Option<PathBuf>,
}

/// The files, and what was last read from them.
pub(super) struct Files {
    settings: Settings,
    shown: ArcSwapOption<Named>,
    texts: Mutex<Option<(String, String)>>,
}

/// A certificate, and the hosts that it names.
pub(super) struct Named {
    pub key: Key,
    names: Vec<String>,
}

impl Files {
    pub(super) fn new(settings: Settings) -> Files {
        Files {
            settings,
            shown: ArcSwapOption::default(),
            texts: Mutex::default(),
        }
    }

    /// The certificate of the files, if there is one.
    pub(super) fn shown(&self) -> Option<Arc<Named>> {
        self.shown.load_full()
    }

    /// Reads the files, and shows from here on what is in them now. 422 if that cannot be shown; what was shown before then still is.
    pub(super) fn read(&self, now: Timestamp) -> Result<()> {
        let (Some(chain), Some(key)) =
            (&self.settings.router_certificate, &self.settings.router_key)
        else {
            return Ok(());
        };
        let read = (text(chain)?, text(key)?);
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if texts.as_ref() == Some(&read) {
            return Ok(());
        }
        let named = named(&read.0, &read.1, now).map_err(|error| {
            Error::invalid(format!(
                "The certificate in {} cannot be served with the key in {}: {}",
                chain.display(),
                key.display(),
                error.message
            ))
        })?;
        tracing::info!(names = ?named.names, "the router's certificate was read");
        self.shown.store(Some(Arc::new(named)));
        *texts = Some(read);
        Ok(())
    }
}

impl Named {
    /// Whether it is good for the host. A wildcard is for one label (RFC 6125, 6.4.3).
    pub(super) fn names(&self, host: &str) -> bool {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| {
            name == host || name.strip_prefix("*.").is_some_and(|of| Some(of) == parent)
        })
    }
}

fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|cause| {
        Error::invalid(format!(
            "The router's certificate or its key cannot be read from {}: {cause}.",
            path.display()
        ))
    })
}

fn named(chain: &str, key: &str, now: Timestamp) -> Result<Named> {
    let key = Arc::new(certificate::key_pair(chain, key)?);
    let certificate = certificate::describe(chain)?;
    if certificate.expires_at <= now {
        // An expired one is no worse than ours, and a server that does not start is.
        tracing::warn!(expired_at = %certificate.expires_at, "the router's certificate has expired: put another in its file");
    }
    Ok(Named {
        key,
        names: certificate.domains,
    })
}
