//! Host names as people write them, made into the one spelling under which they are kept and found.
//!
//! It knows what a name is, and which names lie under which. It must not know whose they are.

use std::fmt;

use crate::error::{Error, Result};

/// A host name, or a wildcard for all names under one: in lower case, international labels as punycode (UTS 46), without a dot
/// at its end, with two labels at least beside a wildcard's `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// 422 for what is no name, and for an address.
    pub fn parse(text: &str) -> Result<Hostname> {
        Hostname::canonical(text).ok_or_else(|| {
            let top = text.strip_prefix("*.").unwrap_or_default().trim_end_matches('.');
            if !top.is_empty() && !top.contains('.') {
                return Error::invalid(format!(
                    "*.{top} would be all names under {top}, which nobody has. Name a domain of yours, such as *.example.{top}."
                ));
            }
            Error::invalid(
                "The host name does not fit. Give one such as www.example.com, or *.example.com for all names under it: labels of \
                 letters, digits and dashes, 253 characters at most, without a scheme, port or path.",
            )
        })
    }

    /// The same, for a name that is only looked for.
    pub fn canonical(text: &str) -> Option<Hostname> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let (star, name) = match text.strip_prefix("*.") {
            Some(name) => ("*.", name),
            None => ("", text),
        };
        // What a name of 253 characters is spelled like in Unicode is no longer than this.
        if name.len() > 1_024 {
            return None;
        }
        let name = idna::domain_to_ascii_strict(name).ok()?;
        let (_, last) = name.rsplit_once('.')?;
        let number = last.bytes().all(|byte| byte.is_ascii_digit());
        let whole = format!("{star}{name}");
        (!number && !last.is_empty() && whole.len() <= 253).then_some(Hostname(whole))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name under which a wildcard has all; `None` for a name that is one host's.
    pub fn wildcard(&self) -> Option<&str> {
        self.0.strip_prefix("*.")
    }

    /// The wildcards that have this name too, nearest first.
    pub fn wildcards_above(&self) -> Vec<String> {
        let name = self.wildcard().unwrap_or(&self.0);
        let parents = name
            .match_indices('.')
            .map(|(at, _)| format!("*{}", &name[at..]));
        parents.collect()
    }

    /// Its labels, the last first: `com.example.www`, and `com.example.*` for a wildcard.
    pub fn reversed(&self) -> String {
        let labels: Vec<&str> = self.0.rsplit('.').collect();
        labels.join(".")
    }

    /// Of a wildcard, what the [`reversed`](Hostname::reversed) spellings of all names under it lie between.
    pub fn reversed_under(&self) -> Option<(String, String)> {
        let under = self.wildcard()?.rsplit('.').collect::<Vec<_>>().join(".");
        // No label has a character between the dot and the one after it.
        Some((format!("{under}."), format!("{under}/")))
    }

    /// Whether a visitor of some name at or under `base` could come by this name.
    pub fn meets(&self, base: &str) -> bool {
        let under = |name: &str, base: &str| {
            name.strip_suffix(base)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let name = self.wildcard().unwrap_or(&self.0);
        under(name, base) || (self.wildcard().is_some() && under(base, name))
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Hostname;

    fn canonical(text: &str) -> Option<String> {
        Hostname::canonical(text).map(|name| name.to_string())
    }

    #[test]
    fn all_spellings_of_a_name_are_one() {
        for text in ["bücher.example", "BÜCHER.Example.", "xn--bcher-kva.example"] {
            assert_eq!(
                canonical(text).as_deref(),
                Some("xn--bcher-kva.example"),
                "{text}"
            );
        }
        let wildcard = canonical("*.Example.COM.");
        assert_eq!(wildcard.as_deref(), Some("*.example.com"));
    }

    #[test]
    fn what_is_no_name_of_a_host_is_none() {
        let long = format!("{}.com", "a.".repeat(130));
        for text in [
            "",
            ".",
            "com",
            "*.com",
            "*",
            "*.*.com",
            "a.*.com",
            "www.*",
            "a..com",
            ".a.com",
            "1.2.3.4",
            "[::1]",
            "a_b.com",
            "-a.com",
            "a.com:80",
            "http://a.com",
            "a.com/",
            "a b.com",
            "a.com..",
            "xn--a.com",
            &long,
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_lies_under_each_of_its_parents() {
        let name = Hostname::canonical("a.b.example.com").unwrap_or_else(|| unreachable!());
        assert_eq!(
            name.wildcards_above(),
            ["*.b.example.com", "*.example.com", "*.com"]
        );
        assert!(name.meets("example.com"));
        assert!(!name.meets("ample.com"));
        assert!(!name.meets("x.a.b.example.com"));
        assert_eq!(name.reversed(), "com.example.b.a");
        assert_eq!(name.reversed_under(), None);
        let all = Hostname::canonical("*.b.example.com").unwrap_or_else(|| unreachable!());
        assert!(all.meets("x.b.example.com"));
        assert!(all.meets("example.com"));
        assert!(!all.meets("c.example.com"));
        let (from, to) = all.reversed_under().unwrap_or_default();
        let under = |text: &str| {
            let name = Hostname::canonical(text).unwrap_or_else(|| unreachable!());
            (&from..&to).contains(&&name.reversed())
        };
        for text in ["a.b.example.com", "0.a.b.example.com", "*.a.b.example.com"] {
            assert!(under(text), "{text}");
        }
        for text in [
            "b.example.com",
            "ab.example.com",
            "b-a.example.com",
            "a.b.example.org",
        ] {
            assert!(!under(text), "{text}");
        }
    }
}
