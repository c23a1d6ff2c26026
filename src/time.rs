//! Moments in time, and the clock that gives them.
//!
//! Everything that asks what time it is asks a [`Clock`], so that a test can hold time and move it. Durations of running
//! processes are measured with `Instant` where they are needed, and not here.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// From the beginning of the year 0 to the end of the year 9999.
const YEARS: RangeInclusive<i64> = -62_167_219_200_000_000..=253_402_300_799_999_999;

/// A moment, in UTC, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    micros: i64,
}

impl Timestamp {
    /// From microseconds since 1970.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp { micros }
    }

    /// Microseconds since 1970.
    pub fn micros(self) -> i64 {
        self.micros
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.micros.div_euclid(1_000_000)
    }

    /// From RFC 3339 text, with any offset and any precision. `None` also for a moment that its offset takes out of the years
    /// that four digits can write, since as text it would stand in another order.
    pub fn parse(text: &str) -> Option<Timestamp> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        let micros = i64::try_from(parsed.unix_timestamp_nanos().div_euclid(1_000)).ok()?;
        YEARS.contains(&micros).then_some(Timestamp { micros })
    }

    /// `2026-01-31T12:00:00Z`: as the API shows it, to the second.
    pub fn to_seconds(self) -> String {
        self.text(0, "Z")
    }

    /// `2026-01-31T12:00:00.123456Z`: as it is stored. Of one width, so that the order of the text is the order of time.
    pub fn to_micros(self) -> String {
        self.text(6, "Z")
    }

    /// `2026-01-31T12:00:00.123456+00:00`: as a log line shows it.
    pub fn to_log(self) -> String {
        self.text(6, "+00:00")
    }

    /// Written digit by digit: several of these stand in every answer and every row, and a general formatter takes ten times
    /// as long. What the calendar says is left to the library.
    fn text(self, fraction: usize, zone: &str) -> String {
        let Ok(moment) = OffsetDateTime::from_unix_timestamp(self.seconds()) else {
            return "1970-01-01T00:00:00Z".to_owned();
        };
        let (year, month, day) = moment.to_calendar_date();
        let (hour, minute, second) = moment.to_hms();
        let mut text = String::with_capacity(32);
        digits(&mut text, i64::from(year), 4);
        for (before, part) in [
            ('-', u8::from(month)),
            ('-', day),
            ('T', hour),
            (':', minute),
            (':', second),
        ] {
            text.push(before);
            digits(&mut text, i64::from(part), 2);
        }
        if fraction > 0 {
            text.push('.');
            digits(&mut text, self.micros.rem_euclid(1_000_000), fraction);
        }
        text.push_str(zone);
        text
    }

    /// The moment `later` after this one.
    pub fn plus(self, later: Duration) -> Timestamp {
        Timestamp {
            micros: self
                .micros
                .saturating_add(i64::try_from(later.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// The moment `earlier` before this one.
    pub fn minus(self, earlier: Duration) -> Timestamp {
        Timestamp {
            micros: self
                .micros
                .saturating_sub(i64::try_from(earlier.as_micros()).unwrap_or(i64::MAX)),
        }
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(
            u64::try_from(self.micros.saturating_sub(earlier.micros)).unwrap_or(0),
        )
    }
}

/// Appends the last `width` digits of a number.
fn digits(text: &mut String, number: i64, width: usize) {
    let mut digits = *b"000000";
    let mut rest = number;
    for digit in digits[..width].iter_mut().rev() {
        *digit += (rest % 10) as u8;
        rest /= 10;
    }
    text.extend(digits[..width].iter().copied().map(char::from));
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_seconds())
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_seconds())
    }
}

/// A month of the calendar, in UTC; `2026-01` as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month(Timestamp);

impl Month {
    /// The month that a moment is in.
    pub fn of(moment: Timestamp) -> Month {
        Month::parse(&moment.to_micros()[..7]).unwrap_or(Month(moment))
    }

    /// From the form that it is shown in.
    pub fn parse(text: &str) -> Option<Month> {
        let first = Timestamp::parse(&format!("{text}-01T00:00:00Z"))?;
        let month = Month(first);
        (month.to_string() == text).then_some(month)
    }

    /// Its first moment.
    pub fn begin(self) -> Timestamp {
        self.0
    }

    pub fn next(self) -> Month {
        Month::of(self.0.plus(Duration::from_secs(31 * 24 * 60 * 60)))
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_micros()[..7])
    }
}

/// Where the time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Stands still until it is moved, for tests.
    Held(Arc<AtomicI64>),
    /// The machine's clock, so many microseconds off, for tests of one that jumps.
    Shifted(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `at`.
    pub fn held(at: Timestamp) -> Clock {
        Clock::Held(Arc::new(AtomicI64::new(at.micros)))
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => system(),
            Clock::Shifted(offset) => Timestamp {
                micros: system().micros + offset.load(Ordering::SeqCst),
            },
            Clock::Held(micros) => Timestamp {
                micros: micros.load(Ordering::SeqCst),
            },
        }
    }

    /// Sets a held clock. The machine's clock is not ours to set, so there it does nothing.
    pub fn set(&self, to: Timestamp) {
        if let Clock::Held(micros) = self {
            micros.store(to.micros, Ordering::SeqCst);
        }
    }

    /// Moves a held clock forward. The machine's clock is not ours to move, so there it does nothing.
    pub fn advance(&self, by: Duration) {
        if let Clock::Held(micros) = self {
            micros.fetch_add(
                i64::try_from(by.as_micros()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
        }
    }
}

fn system() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp {
        micros: i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Timestamp};

    /// Leap days and the ends of months and years are among the days that are tried.
    #[test]
    fn what_is_written_is_what_is_read() {
        let end = Timestamp::from_micros(253_402_300_799_999_999);
        let mut moment = Timestamp::from_micros(-62_135_596_800_000_000 + 86_399_999_999);
        while moment <= end {
            assert_eq!(Timestamp::parse(&moment.to_micros()), Some(moment));
            moment = moment.plus(Duration::from_secs(86_400 * 61));
        }
        assert_eq!(end.to_seconds(), "9999-12-31T23:59:59Z");
        assert_eq!(end.to_log(), "9999-12-31T23:59:59.999999+00:00");
    }
}
