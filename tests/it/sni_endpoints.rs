//! SNI endpoints: which certificates are taken, what is shown of them, and that no key is.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use crate::harness::{Server, id};

const ENDPOINTS: &str = "/apps/harbour/sni-endpoints";

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let common = params.subject_alt_names.len().to_string();
    params.distinguished_name.push(DnType::CommonName, common);
    params
}

fn body(chain: &str, key: &str) -> Value {
    json!({"certificate_chain": chain, "private_key": key})
}

/// What to upload of a new certificate for these names that signed itself.
pub fn self_signed(names: &[&str]) -> Value {
    let key = KeyPair::generate().unwrap();
    let certificate = params(names).self_signed(&key).unwrap();
    body(&certificate.pem(), &key.serialize_pem())
}

/// A certificate that an authority of ours signed, the authority's own, and the key.
fn signed(names: &[&str]) -> (String, String, String) {
    let mut authority = params(&[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "Harbour Authority");
    let authority_key = KeyPair::generate().unwrap();
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let certificate = params(names).signed_by(&key, &issuer).unwrap();
    (certificate.pem(), authority_pem, key.serialize_pem())
}

#[tokio::test]
async fn a_certificate_is_kept_and_shown_and_its_key_is_not() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let (own, authority, key) = signed(&["www.example.com", "*.example.org"]);
    let chain = format!("{own}{authority}");
    let made = ann.post(ENDPOINTS, body(&chain, &key)).await.created();
    assert_eq!(made["certificate_chain"], chain.as_str());
    let cert = &made["ssl_cert"];
    assert_eq!(
        cert["cert_domains"],
        json!(["www.example.com", "*.example.org"])
    );
    assert_eq!(cert["starts_at"], "2026-01-01T00:00:00Z");
    assert_eq!(cert["expires_at"], "2027-01-01T00:00:00Z");
    assert_eq!(cert["issuer"], "/CN=Harbour Authority");
    assert_eq!(cert["self_signed?"], false);
    assert_eq!(cert["ca_signed?"], false);
    for which in [id(&made), made["name"].as_str().unwrap().to_owned()] {
        let found = ann.get(format!("{ENDPOINTS}/{which}")).await;
        assert_eq!(found.ok()["id"], made["id"]);
        assert!(!found.text().contains("PRIVATE"));
    }
    let line = key.lines().nth(1).unwrap();
    assert!(!ann.get(ENDPOINTS).await.text().contains(line));
    assert!(!server.dump().contains(line), "the key is not sealed");
}

#[tokio::test]
async fn a_certificate_is_replaced_and_removed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let made = ann.post(ENDPOINTS, self_signed(&["a.example.com"])).await;
    let made = made.created();
    assert_eq!(made["ssl_cert"]["self_signed?"], true);
    let path = format!("{ENDPOINTS}/{}", id(&made));
    let changed = ann.patch(&path, self_signed(&["b.example.com"])).await.ok();
    assert_eq!(changed["name"], made["name"]);
    assert_eq!(
        changed["ssl_cert"]["cert_domains"],
        json!(["b.example.com"])
    );
    assert_ne!(changed["ssl_cert"]["id"], made["ssl_cert"]["id"]);
    ann.patch(&path, json!({}))
        .await
        .invalid("certificate_chain");
    let removed = ann.delete(&path).await.ok();
    assert_eq!(removed["id"], made["id"]);
    ann.get(&path).await.missing("sni endpoint");
}

#[tokio::test]
async fn a_domain_is_given_a_certificate_of_its_own_app() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.app("marina").await;
    let made = ann.post(ENDPOINTS, self_signed(&["www.example.com"])).await;
    let made = made.created();
    let name = made["name"].as_str().unwrap();
    let domain = json!({"hostname": "www.example.com", "sni_endpoint": name});
    let refused = ann.post("/apps/marina/domains", domain.clone()).await;
    refused.missing("sni endpoint");
    let domain = ann.post("/apps/harbour/domains", domain).await.created();
    assert_eq!(domain["sni_endpoint"]["id"], made["id"]);
    let path = format!("{ENDPOINTS}/{name}");
    let shown = ann.get(&path).await.ok();
    assert_eq!(shown["domains"], json!([id(&domain)]));
    let at = "/apps/harbour/domains/www.example.com";
    ann.patch(at, json!({})).await.invalid("sni_endpoint");
    let bare = ann.patch(at, json!({"sni_endpoint": null})).await.ok();
    assert!(bare["sni_endpoint"].is_null());
    let back = ann.patch(at, json!({"sni_endpoint": id(&made)})).await.ok();
    assert_eq!(back["sni_endpoint"]["name"], made["name"]);
    ann.delete(&path).await.ok();
    assert!(ann.get(at).await.ok()["sni_endpoint"].is_null());
}

#[tokio::test]
async fn what_does_not_belong_together_is_refused_and_told_apart() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let (own, authority, key) = signed(&["www.example.com"]);
    let (_, stranger, other) = signed(&["www.example.com"]);
    let mut old = params(&["www.example.com"]);
    old.not_after = rcgen::date_time_ymd(2026, 1, 31);
    let old_key = KeyPair::generate().unwrap();
    let old = old.self_signed(&old_key).unwrap().pem();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let before = server.dump();
    for (chain, key, words) in [
        (own.as_str(), other.as_str(), "not the certificate's"),
        (&format!("{authority}{own}"), &key, "not the certificate's"),
        (&format!("{own}{stranger}"), &key, "did not sign"),
        (&old, &old_key.serialize_pem(), "expired"),
        ("", &key, "no certificate"),
        (&key, &key, "no certificate"),
        (junk, &key, "no X.509"),
        (&own, "", "no key"),
        (&own, &own, "no key"),
        (&own, locked, "passphrase"),
        (&own.repeat(11), &key, "more than 10"),
        (&own.repeat(200), &key, "64 KB"),
    ] {
        ann.post(ENDPOINTS, body(chain, key)).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
}
