//! Members of a team, and their roles.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params;
use super::reply::{Created, Reply};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::accounts::{self, Account};
use crate::store::team_members::{self, FIELDS, Member};
use crate::store::teams::{Role, Team};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NamedUser")]
pub struct UserView {
    pub email: String,
    pub id: Id,
    pub name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamMember")]
pub struct View {
    created_at: Timestamp,
    email: String,
    federated: bool,
    id: Id,
    identity_provider: Option<String>,
    /// Heroku's schema takes `viewer` from a client and forgets it among the answers.
    role: Role,
    two_factor_authentication: bool,
    updated_at: Timestamp,
    user: UserView,
}

pub(super) fn view(member: Member) -> View {
    View {
        created_at: member.created_at,
        email: member.email.clone(),
        federated: false,
        id: member.id,
        identity_provider: None,
        role: member.role,
        two_factor_authentication: false,
        updated_at: member.updated_at,
        user: UserView {
            email: member.email,
            id: member.account_id,
            name: member.name,
        },
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?.for_viewers()?;
            team_members::list(connection, team.id, page)
        })
        .await?;
    paged.reply(view)
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "TeamMemberBody")]
pub struct Body {
    #[schemars(required)]
    email: Option<String>,
    #[schemars(required)]
    role: Option<String>,
}

impl Body {
    pub(super) fn check(self) -> Result<(String, Role)> {
        let email = params::required(self.email, "email")?;
        let role = params::required(self.role, "role")?;
        let role = Role::parse(&role).ok_or_else(|| {
            Error::invalid("The roles in a team are admin, member, viewer and collaborator.")
        })?;
        Ok((email.trim().to_lowercase(), role))
    }
}

/// Takes an account in. 422 when it is in already.
pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let (email, role) = body.check()?;
    let member = call
        .write(move |connection, caller| {
            let team = caller.team(connection)?.for_admins()?;
            let account = account(connection, &email)?;
            if is_member(connection, &team, &account)? {
                return Err(Error::invalid(format!(
                    "{email} is in the team already. PATCH gives a member another role."
                )));
            }
            team_members::put(connection, team.id, account.id, role, caller.now)
        })
        .await?;
    Reply::of(&view(member))
}

/// Takes an account in, or gives it another role.
pub async fn put(call: Call, body: Body) -> Result<Created<View>> {
    let (email, role) = body.check()?;
    let member = call
        .write(move |connection, caller| {
            let team = caller.team(connection)?.for_admins()?;
            let account = account(connection, &email)?;
            team_members::put(connection, team.id, account.id, role, caller.now)
        })
        .await?;
    Reply::of(&view(member))
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let (email, role) = body.check()?;
    let member = call
        .write(move |connection, caller| {
            let team = caller.team(connection)?.for_admins()?;
            let member = team_members::find(connection, team.id, &Identity::Name(email))?;
            team_members::put(connection, team.id, member.account_id, role, caller.now)
        })
        .await?;
    Reply::of(&view(member))
}

/// Admins show anybody out, and everybody may leave.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let member = call.write(leave).await?;
    Reply::of(&view(member))
}

fn leave(connection: &Connection, caller: &Caller) -> Result<Member> {
    let team = caller.team(connection)?;
    let own = match team_members::find(connection, team.id, &Identity::Id(caller.account.id)) {
        Ok(own) => Some(own),
        Err(error) if error.resource.is_some() => None,
        Err(error) => return Err(error),
    };
    let wanted = caller.params.identity("member");
    let is_own = own.is_some_and(|own| match &wanted {
        Identity::Id(id) => *id == own.id || *id == own.account_id,
        Identity::Name(email) => *email == own.email,
    });
    let team = if is_own { team } else { team.for_admins()? };
    let member = team_members::find(connection, team.id, &wanted)?;
    team_members::delete(connection, &member)?;
    Ok(member)
}

fn account(connection: &Connection, email: &str) -> Result<Account> {
    accounts::by_email(connection, email)?.ok_or_else(|| {
        Error::invalid(format!(
            "There is no account for {email}. Invite the address with `heroku members:add {email} --role ROLE --team TEAM`, or have whoever runs the \
             server make one first: penstock account create {email}"
        ))
    })
}

pub(super) fn is_member(connection: &Connection, team: &Team, account: &Account) -> Result<bool> {
    match team_members::find(connection, team.id, &Identity::Id(account.id)) {
        Ok(_) => Ok(true),
        Err(error) if error.resource.is_some() => Ok(false),
        Err(error) => Err(error),
    }
}
