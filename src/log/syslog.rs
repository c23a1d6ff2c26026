//! Lines as syslog messages, as Heroku's drains form them.
//!
//! RFC 5424 with the octet counts of RFC 6587. Over HTTPS Heroku leaves the structured data out, with the `-` that stands for it,
//! and ends each message with a newline. Pure functions on text, which must not know where the messages go.

use super::line::{Line, Source};

/// Facility and severity as one number (RFC 5424, 6.2.1): local7.info, local3.info, syslog.notice and local5.warning.
const APP: u8 = 190;
const ROUTER: u8 = 158;
const PLATFORM: u8 = 45;
const LOSS: u8 = 172;
/// The longest PROCID there may be, in bytes.
const MAX_PROCESS: usize = 128;

/// Which of Heroku's two forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// Over TCP and TLS. The drain's token is the host that a message names.
    Syslog { token: &'a str },
    /// `application/logplex-1`, over HTTP and HTTPS.
    Logplex,
}

/// Every well-formed line of `text` as a message with its length before it, and how many those are.
pub fn frame(text: &str, form: Form<'_>) -> (Vec<u8>, usize) {
    let mut framed = Vec::with_capacity(text.len() + text.len() / 2);
    let (mut message, mut count) = (Vec::new(), 0);
    for line in text.lines().filter_map(Line::parse) {
        message.clear();
        push(&line, form, &mut message);
        framed.extend_from_slice(message.len().to_string().as_bytes());
        framed.push(b' ');
        framed.extend_from_slice(&message);
        count += 1;
    }
    (framed, count)
}

fn push(line: &Line<'_>, form: Form<'_>, out: &mut Vec<u8>) {
    let (host, data) = match form {
        Form::Syslog { token } => (token, " - - "),
        Form::Logplex => ("host", " - "),
    };
    let process = line.process.get(..MAX_PROCESS).unwrap_or(line.process);
    let parts = [
        "<",
        &priority(line).to_string(),
        ">1 ",
        line.stamp,
        " ",
        host,
        " ",
        line.source.as_str(),
        " ",
        process,
        data,
        line.message,
    ];
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    if form == Form::Logplex {
        out.push(b'\n');
    }
}

fn priority(line: &Line<'_>) -> u8 {
    match (line.source, line.process) {
        (Source::App, "api") => PLATFORM,
        (Source::App, _) => APP,
        (Source::Heroku, "router") => ROUTER,
        (Source::Heroku, "logplex") => LOSS,
        (Source::Heroku, _) => PLATFORM,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_framed_as_herokus_documents_show_them() {
        let text =
            "2012-11-30T06:45:29.000000+00:00 app[web.3]: State changed from starting to up\n";
        let (framed, count) = frame(text, Form::Logplex);
        let message = "<190>1 2012-11-30T06:45:29.000000+00:00 host app web.3 - State changed from starting to up\n";
        let wanted = format!("{} {message}", message.len());
        assert_eq!((String::from_utf8(framed), count), (Ok(wanted), 1));
        let token = "d.01234567-89ab-cdef-0123-456789abcdef";
        let (framed, _) = frame(text, Form::Syslog { token });
        let message = format!(
            "<190>1 2012-11-30T06:45:29.000000+00:00 {token} app web.3 - - State changed from starting to up"
        );
        let wanted = format!("{} {message}", message.len());
        assert_eq!(String::from_utf8(framed), Ok(wanted));
    }

    #[test]
    fn who_speaks_is_seen_by_the_priority() {
        for (label, priority) in [
            ("app[web.1]", 190),
            ("app[api]", 45),
            ("heroku[router]", 158),
            ("heroku[web.1]", 45),
            ("heroku[logplex]", 172),
        ] {
            let text = format!("2012-11-30T06:45:29.000000+00:00 {label}: x\nno line\n");
            let (framed, count) = frame(&text, Form::Logplex);
            let framed = String::from_utf8_lossy(&framed).into_owned();
            assert!(framed.contains(&format!(" <{priority}>1 ")), "{framed}");
            assert_eq!(count, 1);
        }
    }
}
