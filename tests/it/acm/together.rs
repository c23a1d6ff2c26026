//! The automatic certificates of one app, which are one to its clients.

use std::collections::HashSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::Server;

#[tokio::test]
async fn automatic_certificates_are_one_to_clients_and_one_that_expires_while_it_waits_is_none() {
    let settings = penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        ..penstock::acm::Settings::default()
    };
    let server = Server::with_acme(settings).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    let (names, domains) = (["a.example.com", "b.example.com"], "/apps/harbour/domains");
    for hostname in names {
        let domain = json!({"hostname": hostname, "sni_endpoint": null});
        ann.post(domains, domain).await.created();
    }
    // As an authority gives them, one by one.
    let now = server.clock.now();
    let until = now.plus(Duration::from_secs(60));
    let take = move |connection: &rusqlite::Connection| {
        penstock::store::acm::take_due(connection, now, 10, until, &HashSet::new())
    };
    let orders = server.platform.store.write(take).await.unwrap();
    assert_eq!(orders.len(), 2);
    let mut expires = now;
    for order in orders {
        let own = crate::sni_endpoints::self_signed(&[order.hostname.as_str()]);
        let text = |name: &str| own[name].as_str().unwrap().to_owned();
        let (chain, private_key) = (text("certificate_chain"), text("private_key"));
        let certificate = penstock::certificate::check(&chain, &private_key, now).unwrap();
        expires = certificate.expires_at;
        let pair = penstock::store::sni_endpoints::KeyPair {
            certificate,
            chain,
            private_key,
        };
        let issued = move |connection: &rusqlite::Connection| {
            penstock::store::acm::issued(connection, &order, &pair, now, now)
        };
        assert!(server.platform.store.write(issued).await.unwrap());
    }
    let endpoints = ann.get("/apps/harbour/sni-endpoints").await.list();
    assert_eq!(
        endpoints.len(),
        1,
        "the official CLI asks which if there are more"
    );
    assert_eq!(endpoints[0]["ssl_cert"]["cert_domains"], json!(names));
    let listed = ann.get(domains).await.list();
    let added = listed.iter().filter(|domain| domain["kind"] == "custom");
    let endpoint = &endpoints[0];
    for domain in added {
        assert_eq!(domain["sni_endpoint"]["id"], endpoint["id"], "{domain}");
        let ids = endpoint["domains"].as_array().unwrap();
        assert!(ids.contains(&domain["id"]), "{domain} {endpoint}");
    }
    // Who names it for another domain has that asked for, too, and takes no other one's certificate.
    let named = json!({"hostname": "c.example.com", "sni_endpoint": endpoint["name"]});
    let third = ann.post(domains, named).await.created();
    assert_eq!(third["sni_endpoint"], Value::Null);
    let path = format!("{domains}/b.example.com");
    let again = json!({"sni_endpoint": endpoint["name"]});
    let second = ann.patch(path, again).await.ok();
    assert_eq!(second["acm_status"], "cert issued");
    let assigned =
        |connection: &rusqlite::Connection| penstock::store::sni_endpoints::assigned(connection);
    let shown = server.platform.store.read(assigned).unwrap();
    let of = |name: &str| {
        let found = shown.iter().find(|shown| shown.hostname == name);
        found.map(|found| found.endpoint)
    };
    assert!(of("a.example.com").is_some() && of("b.example.com").is_some());
    assert_ne!(of("a.example.com"), of("b.example.com"));
    assert_eq!(of("c.example.com"), None);
    // Nobody could be asked until it was too late.
    let late = expires.plus(Duration::from_secs(1));
    server.pass(late.since(now));
    let put_off = move |connection: &rusqlite::Connection| {
        for order in penstock::store::acm::take_due(connection, late, 10, late, &HashSet::new())? {
            let later = late.plus(Duration::from_secs(60));
            penstock::store::acm::postponed(connection, &order, "It waits.", later, late)?;
        }
        Ok(())
    };
    server.platform.store.write(put_off).await.unwrap();
    let expired = ann.get(format!("{domains}/a.example.com")).await.ok();
    assert_eq!(expired["acm_status"], "failing", "{expired}");
    assert_eq!(expired["acm_status_reason"], "It waits.");
}
