//! The functions behind the routes, seen alike: whether or not they take a body, and whatever they answer with.
//!
//! From the same function come its execution and its description, so what `/openapi.json` says is what the compiler saw.

use std::future::Future;
use std::pin::Pin;

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::call::{Call, Open, Visit};
use super::params;
use super::reply::Reply;
use crate::error::Result;

pub type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse>>>>;

/// The function behind a route.
#[derive(Clone, Copy)]
pub enum Endpoint {
    /// JSON in, JSON out, for an authenticated account.
    Call {
        run: fn(Call) -> Answer,
        describe: fn(&mut SchemaGenerator) -> Description,
    },
    /// JSON in, JSON out, for whoever proves by the body itself what it may do.
    Open {
        run: fn(Open) -> Answer,
        describe: fn(&mut SchemaGenerator) -> Description,
    },
    /// Bytes in or out, for whoever holds a signed URL.
    Visit(fn(Visit) -> Answer),
    /// Bytes in and out, for an authenticated account: git's protocol, and Prometheus' text.
    Git(fn(Call, Payload) -> Answer),
}

/// What an operation takes and gives.
pub struct Description {
    pub body: Option<Schema>,
    /// How the body is written.
    pub body_type: &'static str,
    /// Of a success.
    pub status: u16,
    pub answer: Schema,
    pub answer_is_list: bool,
}

/// A request whose body has been read: a [`Call`] or an [`Open`].
pub trait Asked: 'static {
    fn request(&self) -> &HttpRequest;
    fn body(&self) -> &[u8];
}

impl Asked for Call {
    fn request(&self) -> &HttpRequest {
        &self.request
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Asked for Open {
    fn request(&self) -> &HttpRequest {
        &self.request
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A handler: an async function of what is asked and, if it takes one, of its body.
pub trait Operation<C, Arguments>: Copy + 'static {
    fn run(self, call: C) -> Answer;
    fn describe(self, generator: &mut SchemaGenerator) -> Description;
}

impl<C, F, Fut, V, const STATUS: u16> Operation<C, (C, Reply<V, STATUS>)> for F
where
    C: Asked,
    F: Fn(C) -> Fut + Copy + 'static,
    Fut: Future<Output = Result<Reply<V, STATUS>>>,
    V: JsonSchema,
{
    fn run(self, call: C) -> Answer {
        Box::pin(async move {
            let request = call.request().clone();
            Ok(self(call).await?.into_response(&request))
        })
    }

    fn describe(self, generator: &mut SchemaGenerator) -> Description {
        description::<V>(None, STATUS, generator)
    }
}

impl<C, F, Fut, B, V, const STATUS: u16> Operation<C, (C, B, Reply<V, STATUS>)> for F
where
    C: Asked,
    F: Fn(C, B) -> Fut + Copy + 'static,
    Fut: Future<Output = Result<Reply<V, STATUS>>>,
    B: DeserializeOwned + JsonSchema,
    V: JsonSchema,
{
    fn run(self, call: C) -> Answer {
        Box::pin(async move {
            let request = call.request().clone();
            let body = params::json(call.body())?;
            Ok(self(call, body).await?.into_response(&request))
        })
    }

    fn describe(self, generator: &mut SchemaGenerator) -> Description {
        let body = generator.subschema_for::<B>();
        description::<V>(Some(body), STATUS, generator)
    }
}

/// A body that is an HTML form, as OAuth 2 sends it: text under names, percent-encoded.
pub struct Form<B>(pub B);

impl<C, F, Fut, B, V, const STATUS: u16> Operation<C, (C, Form<B>, Reply<V, STATUS>, ())> for F
where
    C: Asked,
    F: Fn(C, Form<B>) -> Fut + Copy + 'static,
    Fut: Future<Output = Result<Reply<V, STATUS>>>,
    B: DeserializeOwned + JsonSchema,
    V: JsonSchema,
{
    fn run(self, call: C) -> Answer {
        Box::pin(async move {
            let request = call.request().clone();
            let body = Form(params::form(call.body())?);
            Ok(self(call, body).await?.into_response(&request))
        })
    }

    fn describe(self, generator: &mut SchemaGenerator) -> Description {
        let body = generator.subschema_for::<B>();
        Description {
            body_type: "application/x-www-form-urlencoded",
            ..description::<V>(Some(body), STATUS, generator)
        }
    }
}

fn description<V: JsonSchema>(
    body: Option<Schema>,
    status: u16,
    generator: &mut SchemaGenerator,
) -> Description {
    let answer = generator.subschema_for::<V>();
    let answer_is_list = answer.get("type").is_some_and(|kind| kind == "array");
    Description {
        body,
        body_type: "application/json",
        status,
        answer,
        answer_is_list,
    }
}

/// Runs an operation whose arguments the compiler infers.
pub fn run<C, A>(operation: impl Operation<C, A>, call: C) -> Answer {
    operation.run(call)
}

/// Describes an operation, likewise.
pub fn describe<C, A>(
    operation: impl Operation<C, A>,
    generator: &mut SchemaGenerator,
) -> Description {
    operation.describe(generator)
}
