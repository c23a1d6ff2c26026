//! Invitations into teams. Nobody can send mail here, so the answer to who invites has the link that he hands over himself.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::{Call, Caller};
use super::reply::{Created, Reply};
use super::team_members::{self as members, Body, UserView};
use super::view::Named;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::secret;
use crate::store::accounts;
use crate::store::team_invitations::{self, FIELDS, Invitation};
use crate::store::team_members;
use crate::store::teams::Role;
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TeamInvitation")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    invited_by: UserView,
    role: Role,
    team: Named,
    updated_at: Timestamp,
    /// For an address without an account the id is the invitation's.
    user: UserView,
}

fn view(invitation: Invitation) -> View {
    View {
        created_at: invitation.created_at,
        id: invitation.id,
        invited_by: UserView {
            email: invitation.inviter_email,
            id: invitation.invited_by,
            name: invitation.inviter_name,
        },
        role: invitation.role,
        team: Named {
            id: invitation.team_id,
            name: invitation.team_name,
        },
        updated_at: invitation.updated_at,
        user: UserView {
            email: invitation.email,
            id: invitation.account_id.unwrap_or(invitation.id),
            name: invitation.account_name,
        },
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            let team = caller.team(connection)?.for_viewers()?;
            team_invitations::list(connection, team.id, caller.now, page)
        })
        .await?;
    paged.reply(view)
}

/// A new invitation, with what opens it. It is shown this once.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "NewTeamInvitation")]
pub struct NewView {
    #[serde(flatten)]
    invitation: View,
    token: String,
    /// Where the invited account posts to, to accept; in a browser, a page that says how.
    accept_url: String,
}

pub async fn create(call: Call, body: Body) -> Result<Reply<NewView>> {
    let (email, role) = body.check()?;
    let token = hex::encode(secret::random::<16>()?);
    let written = token.clone();
    let invitation = call
        .write(move |connection, caller| invite(connection, caller, &email, role, &written))
        .await?;
    let accept_url = format!(
        "{}/teams/invitations/{token}/accept",
        call.platform.urls.api
    );
    let warning = format!(
        "No mail is sent by this server. Hand this link to {}: in a browser it says how to accept, within 7 days: {}/teams/invitations/{token}",
        invitation.email, call.platform.urls.api
    );
    let view = NewView {
        invitation: view(invitation),
        token,
        accept_url,
    };
    Ok(Reply::of(&view)?.warning(&warning))
}

fn invite(
    connection: &Connection,
    caller: &Caller,
    email: &str,
    role: Role,
    token: &str,
) -> Result<Invitation> {
    let team = caller.team(connection)?.for_admins()?;
    accounts::check_email(email)?;
    if let Some(account) = accounts::by_email(connection, email)?
        && members::is_member(connection, &team, &account)?
    {
        return Err(Error::invalid(format!(
            "{email} is in the team already. Another role is given with `heroku members:set {email} --role {} --team {}`.",
            role.as_str(),
            team.name
        )));
    }
    let by = &caller.account;
    team_invitations::put(connection, team.id, email, role, token, by, caller.now)
}

pub async fn revoke(call: Call) -> Result<Reply<View>> {
    let invitation = call
        .write(|connection, caller| {
            let team = caller.team(connection)?.for_admins()?;
            let wanted = caller.params.identity("invitation");
            let found = team_invitations::find(connection, team.id, &wanted, caller.now)?;
            team_invitations::delete(connection, found.id)?;
            Ok(found)
        })
        .await?;
    Reply::of(&view(invitation))
}

/// The invitation that the token in the path opens, for the account of the address that was invited. The token alone is not
/// enough: who finds a link has not been invited.
fn invited(connection: &Connection, caller: &Caller) -> Result<Invitation> {
    let token = caller.params.text("token");
    let invitation = team_invitations::by_token(connection, token, caller.now)?;
    if invitation.email != caller.account.email {
        return Err(Error::forbidden(
            "This invitation is for another e-mail address. Use the account of the address that was invited.",
        ));
    }
    Ok(invitation)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let invitation = call.read(invited)?;
    Reply::of(&view(invitation))
}

/// Whoever is in the team by now keeps the role that he has there.
pub async fn accept(call: Call) -> Result<Created<members::View>> {
    let member = call
        .write(|connection, caller| {
            let invitation = invited(connection, caller)?;
            team_invitations::delete(connection, invitation.id)?;
            let own = crate::name::Identity::Id(caller.account.id);
            match team_members::find(connection, invitation.team_id, &own) {
                Err(error) if error.resource.is_some() => team_members::put(
                    connection,
                    invitation.team_id,
                    caller.account.id,
                    invitation.role,
                    caller.now,
                ),
                found => found,
            }
        })
        .await?;
    Reply::of(&members::view(member))
}
