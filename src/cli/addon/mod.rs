//! `penstock addon`: add-on services, registered by the operator. Works beside a running server.

pub mod manifest;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::Result;
use crate::secret;
use crate::store::{Store, addon_services};
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
pub struct Register {
    /// The manifest, in JSON: id, password, config_vars, plans, base_url, sso_salt
    manifest: PathBuf,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
pub struct List {
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

fn open(data_dir: &DataDirArg) -> Result<Store> {
    let data = DataDir::open(&data_dir.data_dir)?;
    Store::open(&data.path("penstock.db"), data.sealing_key()?)
}

impl Register {
    /// Standard output has a secret that was made here, alone, for a script to take; it is stored as a digest and cannot be shown
    /// again. Nothing stands there when the manifest has one, or an earlier one goes on.
    fn run(self) -> Result<()> {
        let manifest = manifest::read(&self.manifest)?;
        let (fresh, now) = (secret::token()?, Clock::System.now());
        let digest = secret::digest(&fresh);
        let (registered, printed) = open(&self.data_dir)?.write_blocking(move |connection| {
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
            println!("{fresh}");
        }
        Ok(())
    }
}

impl List {
    /// A line each: the service, and where its provider is.
    fn run(self) -> Result<()> {
        let services = open(&self.data_dir)?.read(addon_services::all)?;
        for service in services {
            println!(
                "{}\t{}\t{}",
                service.offer.name,
                service.offer.state.as_str(),
                service.offer.base_url
            );
        }
        Ok(())
    }
}

impl Remove {
    fn run(self) -> Result<()> {
        let name = self.service.clone();
        let given_up = open(&self.data_dir)?
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
