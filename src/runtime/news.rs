//! What the runtime says of dynos, written down and told.
//!
//! An event is news only while the row is in a state that it can follow on; whatever comes late or twice changes nothing.

use std::sync::Arc;

use rusqlite::Connection;

use super::Event;
use super::act::Acts;
use super::plan::Policy;
use crate::error::Result;
use crate::log::platform;
use crate::name::Id;
use crate::store::dynos::{self, Dyno, State};
use crate::store::{dyno_ends, one_offs};
use crate::time::Timestamp;

/// What became of an event.
enum News {
    Up(Dyno),
    Crashed(Dyno, i32),
    /// It ended while it was waiting to be stopped.
    Left(Dyno, i32),
    /// A one-off dyno has done what it was to do, well or not.
    Complete(Dyno, i32),
    Overdue(Dyno),
}

impl Acts {
    /// Writes all events in one transaction, then tells of them.
    pub async fn take_in(self: &Arc<Acts>, events: &[Event]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let ended = events.iter().filter_map(|event| match event {
            Event::Exited { dyno, .. } => Some(*dyno),
            Event::Listening { .. } | Event::BootTimeout { .. } => None,
        });
        let ended: Vec<Id> = ended.collect();
        let (events, policy, now) = (events.to_vec(), self.policy.clone(), self.clock.now());
        let write = move |connection: &Connection| {
            let mut news = Vec::new();
            for event in events {
                news.extend(note(connection, event, &policy, now)?);
            }
            Ok(news)
        };
        for news in self.store.write(write).await? {
            self.tell(news);
        }
        for dyno in ended {
            self.release(dyno);
        }
        Ok(())
    }

    fn tell(self: &Arc<Acts>, news: News) {
        match news {
            News::Up(dyno) => self.tell_change(&dyno, State::Starting, State::Up),
            News::Crashed(dyno, status) => {
                self.tell_exited(&dyno, Some(status));
                self.tell_change(&dyno, dyno.state, State::Crashed);
                let how = format!("exited with status {status} before it was up");
                self.tell_held_back(&dyno, &how, self.runtime.last_words(dyno.id));
            }
            News::Complete(dyno, status) => {
                self.tell_exited(&dyno, Some(status));
                self.tell_complete(&dyno);
            }
            News::Left(dyno, status) => self.tell_exited(&dyno, Some(status)),
            News::Overdue(dyno) => {
                let seconds = self.policy.boot.as_secs();
                platform::boot_timeout(&self.logs, dyno.app_id, &dyno.name(), seconds);
                self.kill(dyno, "did not come up in time");
            }
        }
    }
}

fn note(
    connection: &Connection,
    event: Event,
    policy: &Policy,
    now: Timestamp,
) -> Result<Option<News>> {
    let (Event::Listening { dyno: id }
    | Event::BootTimeout { dyno: id }
    | Event::Exited { dyno: id, .. }) = event;
    let Some(dyno) = dynos::by_id(connection, id)? else {
        return Ok(None);
    };
    Ok(match event {
        Event::Listening { .. } => dynos::change(connection, id, State::Starting, State::Up, now)?
            .then_some(News::Up(dyno)),
        Event::BootTimeout { .. } => (dyno.state == State::Starting).then_some(News::Overdue(dyno)),
        Event::Exited { status, .. } if dyno.one_off => {
            one_offs::end(connection, id, Some(status), now)?
                .then_some(News::Complete(dyno, status))
        }
        Event::Exited { status, .. } => match crash(connection, policy, id, Some(status), now)? {
            Some(before) => Some(News::Crashed(before, status)),
            None => (dyno.state == State::Down).then_some(News::Left(dyno, status)),
        },
    })
}

/// Notes that a dyno has ended by itself, and when it may be started again. The row as it was, if it was starting or up. Of a
/// one-off dyno nothing stays; `status` is how it ended, if that is known.
pub fn crash(
    connection: &Connection,
    policy: &Policy,
    id: Id,
    status: Option<i32>,
    now: Timestamp,
) -> Result<Option<Dyno>> {
    let Some(before) = dynos::by_id(connection, id)? else {
        return Ok(None);
    };
    if before.one_off {
        return Ok(one_offs::end(connection, id, status, now)?.then_some(before));
    }
    let crashes = policy.crashes(&before, now);
    let start_at = now.plus(policy.delay(crashes));
    let crashed = dyno_ends::crash(connection, id, crashes, start_at, now)?;
    Ok(crashed.then_some(before))
}
