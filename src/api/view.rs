//! The small shapes that many answers share. A noun's own view stands beside its handlers.

use serde::Serialize;

use crate::name::Id;

#[derive(Serialize)]
pub struct Ref {
    pub id: Id,
}

impl Ref {
    pub fn to(id: Option<Id>) -> Option<Ref> {
        id.map(|id| Ref { id })
    }
}

#[derive(Serialize)]
pub struct Named<'a> {
    pub id: Id,
    pub name: &'a str,
}

#[derive(Serialize)]
pub struct User<'a> {
    pub email: &'a str,
    pub id: Id,
}
