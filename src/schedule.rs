//! Schedules in the five fields of cron, in UTC: `30 3 * * 1-5`, `*/10 * * * *`, `@daily`.
//!
//! What a schedule means is the library's affair, which follows the Open Cron Pattern Specification (`L`, `#` and `W` too). It must
//! not know what is done when a moment comes.

use chrono::{DateTime, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::time::Timestamp;

/// Bytes of the text of one at most.
const MAX_BYTES: usize = 200;

/// Moments that come again and again, each at a whole minute.
#[derive(Clone, Debug)]
pub struct Schedule(Cron);

impl Schedule {
    /// Reads a schedule. What is wrong with it, for a person, if it is none or its moments never come.
    pub fn parse(text: &str) -> Result<Schedule, String> {
        const FORM: &str = "a schedule is five fields (minute, hour, day of the month, month, day of the week), such as \
                            \"30 3 * * *\" for half past three every night in UTC, or one of @hourly, @daily, @weekly, @monthly and @yearly";
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes; {FORM}"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(text)
            .map_err(|_| format!("\"{text}\" cannot be read; {FORM}"))?;
        let schedule = Schedule(cron);
        match schedule.after(Timestamp::from_micros(0)) {
            Some(_) => Ok(schedule),
            None => Err(format!("\"{text}\" is a day that never comes")),
        }
    }

    /// The first of its moments after this one.
    pub fn after(&self, moment: Timestamp) -> Option<Timestamp> {
        let next = self.0.find_next_occurrence(&date(moment)?, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp_micros()))
    }

    /// The last of its moments until this one, which may be it.
    pub fn latest(&self, moment: Timestamp) -> Option<Timestamp> {
        let last = self.0.find_previous_occurrence(&date(moment)?, true).ok()?;
        Some(Timestamp::from_micros(last.timestamp_micros()))
    }
}

fn date(moment: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(moment.micros())
}
