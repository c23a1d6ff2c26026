//! What `bin/release` prints: YAML with the commands of process types that a Procfile need not declare.
//!
//! Real ones print nothing, or `--- {}`, or old keys such as `addons` and `config_vars`, which mean nothing here. The text is a
//! stranger's: it is taken as a stream of events, and an alias, which could make much of little, is refused.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::{Error, Result};

/// Bytes that are looked at. A hundred types with long commands have room in it.
pub(super) const MAX_BYTES: usize = 64 * 1024;
/// The one key that counts.
const TYPES: &str = "default_process_types";
/// Mappings and sequences within each other.
const DEPTH: usize = 16;

/// The commands by process type.
pub(super) fn parse(text: &[u8]) -> Result<BTreeMap<String, String>> {
    let text =
        std::str::from_utf8(text).map_err(|_| unreadable("it is not UTF-8 text".to_owned()))?;
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| unreadable(error.to_string()))?;
        reading.take(event)?;
    }
    Ok(reading.types)
}

/// Where in the text the events are.
#[derive(Default)]
struct Reading<'a> {
    /// For each mapping or sequence that is open: the key that was read and has no value yet. A sequence has none.
    open: Vec<Open<'a>>,
    types: BTreeMap<String, String>,
}

enum Open<'a> {
    Mapping { key: Option<Cow<'a, str>> },
    Sequence,
}

impl<'a> Reading<'a> {
    fn take(&mut self, event: Event<'a>) -> Result<()> {
        match event {
            Event::Alias(_) => return Err(unreadable("it has an alias".to_owned())),
            Event::MappingStart(..) => self.begin(Open::Mapping { key: None })?,
            Event::SequenceStart(..) => self.begin(Open::Sequence)?,
            Event::MappingEnd | Event::SequenceEnd => {
                self.open.pop();
                self.value_is_over();
            }
            Event::Scalar(text, style, ..) => self.scalar(text, style)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, open: Open<'a>) -> Result<()> {
        if self.open.len() == DEPTH {
            return Err(unreadable(format!("it is more than {DEPTH} levels deep")));
        }
        let in_key = matches!(self.open.last(), Some(Open::Mapping { key: None }));
        if in_key {
            return Err(unreadable("a key of it is no text".to_owned()));
        }
        self.open.push(open);
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'a, str>, style: ScalarStyle) -> Result<()> {
        let is_type = match self.open.as_slice() {
            [
                Open::Mapping { key: Some(outer) },
                Open::Mapping { key: Some(_) },
            ] => outer == TYPES,
            _ => false,
        };
        match self.open.last_mut() {
            Some(Open::Mapping { key: none @ None }) => {
                *none = Some(text);
                return Ok(());
            }
            Some(Open::Mapping { key }) if is_type => {
                let null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                if text.contains('\0') {
                    return Err(unreadable("a command has a NUL character".to_owned()));
                }
                if let (Some(name), false) = (key, null) {
                    self.types
                        .insert(name.to_string(), text.trim_end().to_owned());
                }
            }
            _ => {}
        }
        self.value_is_over();
        Ok(())
    }

    /// What was begun has ended, and if it was a value its key is done.
    fn value_is_over(&mut self) {
        if let Some(Open::Mapping { key }) = self.open.last_mut() {
            *key = None;
        }
    }
}

fn unreadable(why: String) -> Error {
    Error::invalid(format!(
        "What the buildpack's bin/release prints is no YAML that can be used: {why}."
    ))
}
