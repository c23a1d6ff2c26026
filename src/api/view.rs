//! The small shapes that many answers share. A noun's own view stands beside its handlers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::name::Id;

#[derive(Serialize, JsonSchema)]
pub struct Ref {
    pub id: Id,
}

impl Ref {
    pub fn to(id: Option<Id>) -> Option<Ref> {
        id.map(|id| Ref { id })
    }
}

#[derive(Clone, Serialize, JsonSchema)]
pub struct Named {
    pub id: Id,
    pub name: String,
}

#[derive(Serialize, JsonSchema)]
pub struct User {
    pub email: String,
    pub id: Id,
}
