//! What releases are made from, and in which words they are described.
//!
//! It must not know how a release is made.

use rusqlite::Connection;

use super::releases::Release;
use super::slugs;
use crate::error::Result;
use crate::name::Id;

/// What a release is made from.
#[derive(Clone, Debug)]
pub enum Change {
    /// The app was made.
    Initial,
    /// The app's log was made, which on Heroku is a release of its own.
    EnableLogplex,
    /// A slug was built or named. A description of its own replaces the usual one.
    Deploy {
        slug: Id,
        description: Option<String>,
    },
    /// Config vars were changed. The names, for the description.
    ConfigVars {
        set: Vec<String>,
        removed: Vec<String>,
        config_set: Id,
    },
    /// What add-ons set was changed, or which of them are attached.
    AddOns { event: AddOnEvent, config_set: Id },
    /// An older release's slug and config vars are taken again.
    Rollback { to: Release },
    /// Another app's slug was promoted here.
    Promotion { from: Release },
}

/// What happened to an add-on. Attachments go by the beginning of their config vars' names.
#[derive(Clone, Debug)]
pub enum AddOnEvent {
    Attached {
        attachment: String,
        addon: String,
    },
    Detached {
        attachment: String,
        addon: String,
    },
    /// A provider that took its time has made it.
    Provisioned {
        addon: String,
        vars: Vec<String>,
    },
    /// The provider set other config vars, or the plan is another.
    Updated {
        attachments: Vec<String>,
        service: String,
    },
}

impl Change {
    /// Whether the slug stays the one that was there.
    pub(super) fn inherits_slug(&self) -> bool {
        match self {
            Change::Initial
            | Change::EnableLogplex
            | Change::ConfigVars { .. }
            | Change::AddOns { .. } => true,
            Change::Deploy { .. } | Change::Rollback { .. } | Change::Promotion { .. } => false,
        }
    }

    /// Whether it is a deployment: a release that changes what the app runs. To go back to the slug that is there already is none.
    pub(super) fn deploys(&self, before: Option<Id>) -> bool {
        match self {
            Change::Rollback { to } => to.slug_id != before,
            _ => !self.inherits_slug(),
        }
    }

    /// Whether whoever asks for it can be told to wait. What an add-on's provider has done, or a promotion has to be written down.
    pub(super) fn is_refusable(&self) -> bool {
        !matches!(self, Change::AddOns { .. } | Change::Promotion { .. })
    }

    /// Whether the slug's release command is run for it. As on Heroku, not when a provider changes the config vars of an add-on
    /// that is there, nor when one goes.
    pub(super) fn runs_command(&self) -> bool {
        match self {
            Change::AddOns { event, .. } => match event {
                AddOnEvent::Attached { .. } | AddOnEvent::Provisioned { .. } => true,
                AddOnEvent::Detached { .. } | AddOnEvent::Updated { .. } => false,
            },
            _ => true,
        }
    }

    /// The words of Heroku, which double as log text.
    pub(super) fn describe(&self, connection: &Connection) -> Result<String> {
        Ok(match self {
            Change::Initial => "Initial release".to_owned(),
            Change::EnableLogplex => "Enable Logplex".to_owned(),
            Change::Deploy {
                description: Some(description),
                ..
            } => description.clone(),
            Change::Deploy {
                slug,
                description: None,
            } => match slugs::commit(connection, *slug)? {
                Some(commit) => format!("Deploy {}", short(&commit, 8)),
                None => "Deploy".to_owned(),
            },
            Change::ConfigVars { set, removed, .. } => match (set.is_empty(), removed.is_empty()) {
                (false, true) => format!("Set {} config vars", set.join(", ")),
                (true, _) => format!("Remove {} config vars", removed.join(", ")),
                (false, false) => format!(
                    "Set {} and remove {} config vars",
                    set.join(", "),
                    removed.join(", ")
                ),
            },
            Change::AddOns { event, .. } => describe_addon(event),
            Change::Rollback { to } => format!("Rollback to v{}", to.version),
            Change::Promotion { from } => {
                let commit = match from.slug_id {
                    Some(slug) => slugs::commit(connection, slug)?,
                    None => None,
                };
                let commit =
                    commit.map_or_else(String::new, |commit| format!(" {}", short(&commit, 7)));
                format!("Promote {} v{}{commit}", from.app_name, from.version)
            }
        })
    }
}

fn describe_addon(event: &AddOnEvent) -> String {
    match event {
        AddOnEvent::Attached { attachment, addon } => format!("Attach {attachment} (@ref:{addon})"),
        AddOnEvent::Detached { attachment, addon } => format!("Detach {attachment} (@ref:{addon})"),
        AddOnEvent::Provisioned { addon, vars } if vars.is_empty() => {
            format!("@ref:{addon} completed provisioning.")
        }
        AddOnEvent::Provisioned { addon, vars } => format!(
            "@ref:{addon} completed provisioning, setting {}.",
            vars.join(", ")
        ),
        AddOnEvent::Updated {
            attachments,
            service,
        } => format!("Update {} by {service}", attachments.join(", ")),
    }
}

fn short(commit: &str, length: usize) -> String {
    commit.chars().take(length).collect()
}
