//! What a person is told beside an app's dynos and its releases while the newest release does not come up: which one serves. Neither
//! list says that by itself, since a release has succeeded once its release command has.

use super::reply::Reply;
use crate::store::held_back::HeldBack;

/// The answer, with that sentence if it is to be said.
pub(super) fn warned<V>(reply: Reply<V>, held_back: Option<HeldBack>) -> Reply<V> {
    let Some(HeldBack {
        version,
        serving,
        told,
    }) = held_back
    else {
        return reply;
    };
    let source = match told {
        true => format!("heroku releases:output v{version}"),
        false => "heroku logs".to_owned(),
    };
    reply.warning(&format!(
        "v{version} does not come up, so v{serving} goes on serving visitors. {source} says why."
    ))
}
