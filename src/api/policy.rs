//! Who may call what: the kinds of callers that a route can be for. It must not know which routes there are.

use crate::store::access::Permission;

/// Who may call a route. A route cannot be written down without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Anybody.
    Public,
    /// Whoever holds a URL that we signed; nothing else is asked.
    Signed,
    /// Whoever shows a client's secret in the body, or a code that stands for it.
    Client,
    /// Anybody: with a token, as its account; without one, as nobody.
    Anybody,
    /// Any account. What it sees is its own.
    Account,
    /// Whoever runs the server.
    Admin,
    /// Whoever has this permission on the app in the path.
    View,
    Deploy,
    Operate,
    Manage,
    Own,
    /// Whoever may deploy the app in the path, with git.
    Git,
    /// Whoever may see the pipeline in the path; its owner, where something is changed.
    Pipeline,
    /// Whoever is in the team in the path; its admins, where something is changed.
    Team,
}

impl Policy {
    /// What is needed on the app in the path.
    pub fn permission(self) -> Option<Permission> {
        match self {
            Policy::View => Some(Permission::View),
            Policy::Deploy | Policy::Git => Some(Permission::Deploy),
            Policy::Operate => Some(Permission::Operate),
            Policy::Manage => Some(Permission::Manage),
            Policy::Own => Some(Permission::Own),
            Policy::Public
            | Policy::Signed
            | Policy::Client
            | Policy::Anybody
            | Policy::Account
            | Policy::Admin
            | Policy::Pipeline
            | Policy::Team => None,
        }
    }
}
