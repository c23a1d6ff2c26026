//! The small shapes that many answers share. A noun's own view stands beside its handlers.

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::Value;

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

/// For a view that leaves out what it does not have: none of its attributes is ever null.
pub fn left_out(schema: &mut Schema) {
    let properties = schema.get_mut("properties");
    let properties = properties.and_then(Value::as_object_mut);
    for property in properties.into_iter().flat_map(|all| all.values_mut()) {
        let forms = property.get_mut("anyOf").and_then(Value::as_array_mut);
        if let Some(forms) = forms {
            forms.retain(|form| form["type"] != "null");
        }
    }
}
