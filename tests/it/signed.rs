//! Signed links: for one method, one path and a time.

use std::time::Duration;

use penstock::blob::signed::{Method, SignedUrls};
use penstock::error::{ErrorId, Result};
use penstock::secret::SigningKey;
use penstock::time::Timestamp;

const PATH: &str = "/sources/0192/blob";

fn urls() -> (SignedUrls, Timestamp, String) {
    let urls = SignedUrls::new(SigningKey::new([7; 32]));
    let expires = Timestamp::from_micros(1_800_000_000_000_000);
    let query = urls.make(Method::Put, PATH, expires);
    (urls, expires, query)
}

#[track_caller]
fn forbidden(outcome: Result<()>, words: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.id, ErrorId::Forbidden);
    assert!(error.message.contains(words), "{error}");
}

#[test]
fn a_link_is_good_until_it_expires() {
    let (urls, expires, query) = urls();
    let second = Duration::from_secs(1);
    urls.verify(Method::Put, PATH, &query, expires.minus(second))
        .unwrap();
    forbidden(urls.verify(Method::Put, PATH, &query, expires), "expired");
    forbidden(
        urls.verify(Method::Put, PATH, &query, expires.plus(second)),
        "expired",
    );
}

#[test]
fn a_link_to_send_cannot_fetch() {
    let (urls, expires, query) = urls();
    let before = expires.minus(Duration::from_secs(9));
    forbidden(
        urls.verify(Method::Get, PATH, &query, before),
        "it is for PUT",
    );
    let get = urls.make(Method::Get, PATH, expires);
    forbidden(
        urls.verify(Method::Put, PATH, &get, before),
        "it is for GET",
    );
    forbidden(
        urls.verify(Method::Get, PATH, &query.replace("put", "get"), before),
        "altered",
    );
}

#[test]
fn no_changed_letter_of_a_link_passes_even_an_expired_one() {
    let (urls, expires, query) = urls();
    for now in [
        expires.minus(Duration::from_secs(9)),
        expires.plus(Duration::from_secs(9)),
    ] {
        for at in 0..query.len() {
            for replacement in ["", "0", "1", "A", "&", "=", "%"] {
                let changed = format!("{}{replacement}{}", &query[..at], &query[at + 1..]);
                if changed != query {
                    forbidden(urls.verify(Method::Put, PATH, &changed, now), "altered");
                }
            }
        }
        for path in [
            "/sources/0193/blob",
            "/sources/0192/blob/",
            "//sources/0192/blob",
            "/sources/0192/%62lob",
            "",
        ] {
            forbidden(urls.verify(Method::Put, path, &query, now), "altered");
        }
        for extra in [
            format!("{query}&a=b"),
            format!("{query}&{query}"),
            query.to_uppercase(),
            format!("{query}&"),
            String::new(),
        ] {
            forbidden(urls.verify(Method::Put, PATH, &extra, now), "altered");
        }
    }
    let other = SignedUrls::new(SigningKey::new([8; 32]));
    forbidden(other.verify(Method::Put, PATH, &query, expires), "altered");
}

#[test]
fn that_a_text_was_sent_is_proven_for_its_path_alone_and_is_no_link() {
    let (urls, expires, _) = urls();
    let proof = urls.sign_sent(PATH, "one");
    assert!(urls.was_sent(PATH, "one", &proof));
    for (path, text, proof) in [
        (PATH, "two", proof.as_str()),
        ("/sources/0193/blob", "one", &proof),
        (PATH, "one", &proof[1..]),
        (PATH, "one", ""),
        (
            PATH,
            "one",
            &SignedUrls::new(SigningKey::new([8; 32])).sign_sent(PATH, "one"),
        ),
    ] {
        assert!(!urls.was_sent(path, text, proof), "{path} {text} {proof}");
    }
    let link = format!("expires={}&method=put&signature={proof}", expires.seconds());
    let before = expires.minus(Duration::from_secs(9));
    forbidden(urls.verify(Method::Put, PATH, &link, before), "altered");
}

#[test]
fn a_link_that_was_good_is_known_as_such_ever_after() {
    let (urls, expires, query) = urls();
    let found = urls.expires(Method::Put, PATH, &query).unwrap();
    assert_eq!(found, expires.seconds());
    let altered = query.replace("expires=1", "expires=2");
    forbidden(
        urls.expires(Method::Put, PATH, &altered).map(drop),
        "altered",
    );
    forbidden(
        urls.expires(Method::Get, PATH, &query).map(drop),
        "it is for PUT",
    );
}
