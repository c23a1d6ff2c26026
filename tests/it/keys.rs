//! Public SSH keys of an account.

use serde_json::json;

use crate::harness::{Server, id};

/// Made by ssh-keygen, as are the others and their fingerprints.
pub const ED25519: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1fIMZfjcvH7boeIui2Sb1N503zazm50wSuYkvrWtpi ann@laptop";
const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMcvZualM566/xJMBnwZD+al08iP\
hNnQTTZVJejgLQXGjkrg272c+XOvkdT5yrzU5MB11+hGQpSDknSmQ0LKFxc= two words";
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCjbss4bwHnwaA1lV/w49FKtbkgcvAZm5rHKtIwHF5diPTqjy69mscf/sPMMfuW\
csaRlAZ6Dk6/HJYUi8UfFqgAq8JHnC8okAXcjOohhdjtyMbSCMpaQqZWEP25+zuTBH2MbM9Jpfl6nhUWe/qMWvBUD1UtG8YxBfz9\
Cytx16y5+5TdE2buJEz5xSlWyQYp1CUjiATMseDVnLBwAA1VCViMhKDyalrVFWMtp2jSXW193lEMXItnm2Xdanu659MFYOMywWXP\
+yasUVeHHGQ13Rn+/aGMF6kMb2McTMfHNUeLoaqMLZ8bFzQ2OOLrTt8zpfaNcS0JR3Q3jWM9TP65Igxx";
/// Of 1024 bits.
const WEAK: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDiyEVer/DXvWFrsypv0VvXfT8UohmuhynF+PEFoeZ4DD/CYNQgHiEx8ttTm7iP\
RVPwQKm3QD52+60jbqUZ0Q2yW2uIl/s0dl9NKgZs0w7S2i81vdmpYOeYUIfapz1OEiryLIomcSH6Z9I8CFvsFWji4jfdLyd9DASQ\
0azM50LRlQ== weak";

#[tokio::test]
async fn a_key_is_kept_in_three_words_under_the_fingerprint_that_heroku_shows() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    for (key, fingerprint, comment) in [
        (
            ED25519,
            "d4:43:f3:0e:8f:24:1c:f4:73:67:d4:48:6c:dd:f3:02",
            "ann@laptop",
        ),
        (
            ECDSA,
            "e5:4f:47:74:45:3d:48:10:a0:a3:6b:67:36:36:df:98",
            "two_words",
        ),
        (
            RSA,
            "bc:55:c8:b9:4e:54:b0:1e:43:ba:15:e9:62:2d:60:eb",
            "ann@example.com",
        ),
    ] {
        let body = json!({"public_key": format!("  {key}\n")});
        let kept = ann.post("/account/keys", body).await.created();
        assert_eq!(kept["fingerprint"], fingerprint);
        assert_eq!(kept["comment"], comment);
        assert_eq!(kept["email"], "ann@example.com");
        let words: Vec<&str> = kept["public_key"].as_str().unwrap().split(' ').collect();
        assert!(key.starts_with(&words[..2].join(" ")));
        assert_eq!(words[2..], [comment]);
        for path in [id(&kept), fingerprint.to_owned()] {
            let path = format!("/account/keys/{path}");
            assert_eq!(ann.get(path).await.ok(), kept);
        }
    }
    assert_eq!(ann.get("/account/keys").await.list().len(), 3);
}

#[tokio::test]
async fn a_key_is_one_accounts_and_goes_when_it_is_removed() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let body = json!({"public_key": ED25519});
    let kept = ann.post("/account/keys", body.clone()).await.created();
    let path = format!("/account/keys/{}", id(&kept));
    for client in [&ann, &bob] {
        let taken = client.post("/account/keys", body.clone()).await;
        taken.invalid("in use");
    }
    bob.get(&path).await.missing("key");
    bob.delete(&path).await.missing("key");
    assert_eq!(ann.delete(&path).await.ok(), kept);
    ann.get(&path).await.missing("key");
    bob.post("/account/keys", body).await.created();
}

#[tokio::test]
async fn what_is_no_public_key_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (algorithm, blob) = ED25519.split_once(' ').unwrap();
    let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----";
    let renamed = format!("ssh-rsa {blob}");
    let cut = format!("{algorithm} {}", &blob[..40]);
    let two = format!("{ED25519}\n{ECDSA}");
    let before = server.dump();
    for text in [
        "",
        "ssh-ed25519",
        "ssh-ed25519 %%",
        "ssh-dss AAAA",
        private,
        &renamed,
        &cut,
        &two,
        WEAK,
    ] {
        let refused = ann.post("/account/keys", json!({"public_key": text})).await;
        refused.invalid("public SSH key");
    }
    ann.post("/account/keys", json!({}))
        .await
        .invalid("public_key");
    assert_eq!(server.dump(), before);
}
