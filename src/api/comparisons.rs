//! How far apart two apps of a pipeline are, as `heroku pipelines:diff` asks GitHub, and the service of Heroku's that knows which
//! app has which repository there. What was pushed to the apps of a pipeline is such a repository here.

use actix_web::http::header;
use schemars::JsonSchema;
use serde::Serialize;

use super::auth;
use super::branches;
use super::call::Call;
use super::pipeline_couplings;
use super::reply::Reply;
use crate::error::{Error, ErrorId, Result};
use crate::git::{CommitId, Comparison};
use crate::time::Timestamp;

/// Whose repositories these are. It stands in the path of [`info`], and in a link to github.com that the CLI shows and nobody can keep
/// it from: no account there can have such a name, so the link leads to nobody's repository.
const OWNER: &str = "not.on.github";

/// Where the source of an app's pipeline is.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppRepository")]
pub struct Repository {
    repo: String,
}

/// The same for all apps of one pipeline.
pub async fn repository(call: Call) -> Result<Reply<Repository>> {
    let coupling = call.read(|connection, caller| {
        let app = caller.app_id(connection)?;
        pipeline_couplings::needed(connection, app)
    })?;
    let repo = format!("{OWNER}/{}", coupling.pipeline_id);
    Reply::of(&Repository { repo })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RepositoryToken")]
pub struct Token {
    token: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RepositoryAccount")]
pub struct Account {
    github: Token,
}

/// The token that the request came with: what opens this server opens its repositories, and nobody is told what he did not know.
pub async fn token(call: Call) -> Result<Reply<Account>> {
    let token = auth::sent(call.request.headers())
        .ok_or_else(|| Error::internal("somebody was let in without a token"))?;
    let github = Token { token };
    Ok(Reply::of(&Account { github })?.with_header(header::CACHE_CONTROL, "no-store"))
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ComparisonStatus")]
pub enum Status {
    Ahead,
    Behind,
    Diverged,
    Identical,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CommitAuthor")]
pub struct Author {
    date: Timestamp,
    name: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CommitText")]
pub struct Text {
    author: Author,
    message: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedCommit")]
pub struct Commit {
    commit: Text,
    sha: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Comparison")]
pub struct View {
    ahead_by: usize,
    behind_by: usize,
    commits: Vec<Commit>,
    status: Status,
    total_commits: usize,
}

fn view(found: Comparison) -> View {
    let commits = found.commits.into_iter().map(|commit| Commit {
        commit: Text {
            author: Author {
                date: commit.date,
                name: commit.author,
            },
            message: commit.message,
        },
        sha: commit.id,
    });
    View {
        ahead_by: found.ahead,
        behind_by: found.behind,
        commits: commits.collect(),
        status: match (found.ahead, found.behind) {
            (0, 0) => Status::Identical,
            (_, 0) => Status::Ahead,
            (0, _) => Status::Behind,
            _ => Status::Diverged,
        },
        total_commits: found.ahead,
    }
}

/// What the second of `BASE...HEAD` has that the first has not: the newest 250 commits of it, the newest last. It is looked for in what was
/// pushed to those apps of the pipeline whose source the caller may have.
pub async fn info(call: Call) -> Result<Reply<View>> {
    let apps = call.read(|connection, caller| {
        let pipeline = caller.pipeline(connection)?;
        branches::sources_of(connection, caller, pipeline.id)
    })?;
    let (base, head) = named(call.caller.params.text("commits"))?;
    let (git, account) = (&call.platform.git, call.caller.account.id);
    let found = git.compare(account, &apps, &base, &head).await?;
    Reply::of(&view(found.ok_or_else(unknown)?))
}

/// 422 for what are not two commits.
fn named(text: &str) -> Result<(CommitId, CommitId)> {
    let both = text.split_once("...");
    both.and_then(|(base, head)| Some((CommitId::parse(base)?, CommitId::parse(head)?)))
        .ok_or_else(|| {
            Error::invalid(
                "Name two commits by all of their 40 hex digits, with three dots between them: BASE...HEAD.",
            )
        })
}

fn unknown() -> Error {
    Error {
        resource: Some("commit"),
        ..Error::new(
            ErrorId::NotFound,
            "No app of this pipeline whose source you may have was pushed both commits with their history. What was uploaded, or pushed \
             from a shallow clone, cannot be compared: push with git, and with all of the history (git fetch --unshallow).",
        )
    }
}
