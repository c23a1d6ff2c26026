//! `penstock addon`: add-on services, registered by the operator. Works beside a running server.

pub mod manifest;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::print::{self, Json, Row};
use super::store;
use crate::config::DataDirArg;
use crate::error::Result;
use crate::secret;
use crate::store::addon_services;
use crate::time::Clock;

#[derive(Subcommand)]
pub enum AddOn {
    /// Offer the add-ons of a manifest, and print the secret that its provider exchanges grants with
    Register(Register),
    /// Print the services that are registered
    List(List),
    /// Offer the add-ons of a service no more
    Remove(Remove),
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock addon register addon-manifest.json
  penstock addon list --json")]
pub struct Register {
    /// The manifest, in JSON: id, password, config_vars, plans, base_url, sso_salt
    manifest: PathBuf,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
pub struct Remove {
    /// The manifest's id
    service: String,

    #[command(flatten)]
    data_dir: DataDirArg,
}

impl AddOn {
    pub fn run(self) -> Result<()> {
        match self {
            AddOn::Register(register) => register.run(),
            AddOn::List(list) => list.run(),
            AddOn::Remove(remove) => remove.run(),
        }
    }
}

impl Register {
    /// Standard output has a secret that was made here, alone, for a script to take; it is stored as a digest and cannot be shown
    /// again. Nothing stands there when the manifest has one, or an earlier one goes on.
    fn run(self) -> Result<()> {
        let manifest = manifest::read(&self.manifest)?;
        let (fresh, now) = (secret::token()?, Clock::System.now());
        let digest = secret::digest(&fresh);
        let (registered, printed) = store(&self.data_dir)?.write_blocking(move |connection| {
            let known = addon_services::is_registered(connection, &manifest.offer.name)?;
            let make = !known && manifest.client_secret.is_none();
            let manifest = addon_services::Manifest {
                client_secret: manifest.client_secret.or(make.then_some(digest)),
                ..manifest
            };
            Ok((addon_services::register(connection, &manifest, now)?, make))
        })?;
        eprintln!(
            "{} is registered: see `heroku addons:plans {}`.",
            registered.offer.name, registered.offer.name
        );
        if printed {
            eprintln!("The provider exchanges grants with this secret, which is shown once:");
            print::line(&format!("{fresh}\n"))?;
        }
        Ok(())
    }
}

/// A service, as it is listed.
#[derive(Serialize)]
struct View {
    name: String,
    state: &'static str,
    base_url: String,
}

impl Row for View {
    const HEADS: &'static [&'static str] = &["service", "state", "provider"];

    fn values(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.state.to_owned(),
            self.base_url.clone(),
        ]
    }
}

impl List {
    /// The services, and where their providers are.
    fn run(self) -> Result<()> {
        let services = store(&self.data_dir)?.read(addon_services::all)?;
        let views: Vec<View> = services
            .into_iter()
            .map(|service| View {
                name: service.offer.name,
                state: service.offer.state.as_str(),
                base_url: service.offer.base_url,
            })
            .collect();
        print::list(&views, self.form)
    }
}

impl Remove {
    fn run(self) -> Result<()> {
        let name = self.service.clone();
        let given_up = store(&self.data_dir)?
            .write_blocking(move |connection| addon_services::remove(connection, &name))?;
        eprintln!("{} is removed.", self.service);
        if given_up > 0 {
            eprintln!(
                "Its provider had not yet agreed to the removal of {given_up} add-ons, and is not told again."
            );
        }
        Ok(())
    }
}
