//! What a token may be used for, within what its account may do: Heroku's six scopes.
//!
//! Which request needs which scope is not known here.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::row::text_enum;
use crate::error::{Error, Result};

text_enum! {
    /// One scope, by Heroku's word for it.
    Scope {
        Global = "global",
        Identity = "identity",
        Read = "read",
        Write = "write",
        ReadProtected = "read-protected",
        WriteProtected = "write-protected",
    }
}

impl Scope {
    pub const ALL: [Scope; 6] = [
        Scope::Global,
        Scope::Identity,
        Scope::Read,
        Scope::Write,
        Scope::ReadProtected,
        Scope::WriteProtected,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes. In its column it is a sum of bits, in the order of [`Scope::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whatever the account may do.
    pub const GLOBAL: Scopes = Scopes(1);
    /// Who the account is, and nothing more.
    pub const IDENTITY: Scopes = Scopes(2);

    pub fn of(scopes: impl IntoIterator<Item = Scope>) -> Scopes {
        Scopes(scopes.into_iter().fold(0, |all, one| all | one.bit()))
    }

    /// By their words. 422 for none, and for a word that is no scope.
    pub fn parse(words: &[String]) -> Result<Scopes> {
        let scopes: Option<Vec<Scope>> = words.iter().map(|word| Scope::parse(word)).collect();
        scopes
            .filter(|scopes| !scopes.is_empty())
            .map(Scopes::of)
            .ok_or_else(|| {
                Error::invalid(
                    "The scopes are global, identity, read, write, read-protected and write-protected. Name at least one.",
                )
            })
    }

    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    pub fn has_any(self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.has(*scope))
    }

    pub fn list(self) -> Vec<Scope> {
        let held = Scope::ALL.into_iter().filter(|scope| self.has(*scope));
        held.collect()
    }
}

impl ToSql for Scopes {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Scopes {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Scopes> {
        u8::column_result(value).map(Scopes)
    }
}
