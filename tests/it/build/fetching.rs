//! Sources that are fetched from a URL, and URLs that must not be.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use penstock::outbound::{Outbound, is_public};
use penstock::store::builds::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::server::{Server, ok, redirect, status};
use super::{Site, archive, new};

/// Builds from a URL that must fail, and gives the output.
async fn failed(site: &Site, url: &str) -> String {
    let build = site.queue(new(url));
    site.build().await;
    assert_eq!(site.row(&build).status, Status::Failed);
    site.assert_clean();
    site.output(&build).await
}

async fn succeeded(site: &Site, url: &str) -> String {
    let build = site.queue(new(url));
    site.build().await;
    let output = site.output(&build).await;
    assert_eq!(site.row(&build).status, Status::Succeeded, "{output}");
    output
}

#[tokio::test]
async fn a_source_is_fetched_without_showing_credentials_or_tokens() {
    let (site, server) = (Site::new(), Server::start(|_| ok(&archive())).await);
    let url = format!("http://ann:s3cret@{}/source.tgz?token=t0ken", server.host);
    let output = succeeded(&site, &url).await;
    assert!(
        output.contains(&format!("       http://{}/source.tgz\n", server.host)),
        "{output}"
    );
    assert!(
        !output.contains("s3cret") && !output.contains("t0ken"),
        "{output}"
    );
    let heads = server.heads();
    assert!(
        heads[0].starts_with("get /source.tgz?token=t0ken "),
        "{heads:?}"
    );
    assert!(
        heads[0].contains("authorization: basic yw5uonmzy3jlda=="),
        "{heads:?}"
    );
}

#[tokio::test]
async fn failures_do_not_show_credentials_either() {
    let (site, server) = (Site::new(), Server::start(|_| status(403, "go away")).await);
    let output = failed(
        &site,
        &format!("http://ann:s3cret@{}/?token=t0ken", server.host),
    )
    .await;
    assert!(
        output.contains(" !     127.0.0.1 answered with status 403."),
        "{output}"
    );
    assert!(
        !output.contains("s3cret") && !output.contains("t0ken"),
        "{output}"
    );
    assert!(!output.contains("go away"), "{output}");
}

#[tokio::test]
async fn redirects_are_followed_and_keep_credentials_to_their_own_origin() {
    let site = Site::new();
    let elsewhere = Server::start(|_| ok(&archive())).await;
    let to = elsewhere.url("/there");
    let server = Server::start(move |path| match path {
        "/a" => redirect("b"),
        _ => redirect(&to),
    })
    .await;
    succeeded(&site, &format!("http://ann:s3cret@{}/a", server.host)).await;
    let heads = server.heads();
    assert_eq!(heads.len(), 2);
    assert!(
        heads.iter().all(|head| head.contains("authorization: ")),
        "{heads:?}"
    );
    let heads = elsewhere.heads();
    assert_eq!(heads.len(), 1);
    assert!(
        !heads[0].contains("authorization") && !heads[0].contains("referer"),
        "{heads:?}"
    );
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    let site = Site::new();
    let server = Server::start(|path| match path.trim_start_matches('/').parse::<u32>() {
        Ok(0) | Err(_) => ok(&archive()),
        Ok(left) => redirect(&format!("/{}", left - 1)),
    })
    .await;
    succeeded(&site, &server.url("/5")).await;
    let output = failed(&site, &server.url("/6")).await;
    assert!(output.contains("redirects more than 5 times"), "{output}");
}

#[tokio::test]
async fn a_redirect_to_another_scheme_is_refused() {
    let (site, server) = (
        Site::new(),
        Server::start(|_| redirect("file:///etc/passwd")).await,
    );
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("Only http and https are fetched"),
        "{output}"
    );
}

#[tokio::test]
async fn a_redirect_to_nowhere_is_a_status_like_any_other() {
    let (site, server) = (Site::new(), Server::start(|_| status(302, "")).await);
    let output = failed(&site, &server.url("/")).await;
    assert!(output.contains("answered with status 302"), "{output}");
}

#[tokio::test]
async fn a_source_that_says_it_is_too_large_is_not_read() {
    let mut site = Site::new();
    site.settings.max_source = 10;
    let server = Server::start(|_| ok(b"eleven byte")).await;
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("The source is 11 bytes long, and at most 10 bytes are taken"),
        "{output}"
    );
}

#[tokio::test]
async fn a_source_of_unknown_length_is_cut_off_at_the_limit() {
    let mut site = Site::new();
    site.settings.max_source = 1 << 20;
    let server = Server::start(|_| {
        let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        answer.resize(4 << 20, b'x');
        answer
    })
    .await;
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("at most 1048576 bytes are taken"),
        "{output}"
    );
}

#[tokio::test]
async fn a_source_that_breaks_off_fails() {
    let site = Site::new();
    let server = Server::start(|_| {
        let answer = ok(&archive());
        answer[..answer.len() - 5].to_vec()
    })
    .await;
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("127.0.0.1 broke off in the middle of the file"),
        "{output}"
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let mut site = Site::new();
    site.settings.fetch_limit = Duration::from_millis(20);
    let server = Server::held(
        |_| Vec::new(),
        std::sync::Arc::new(tokio::sync::Semaphore::new(0)),
    )
    .await;
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("The source did not arrive in 0 minutes"),
        "{output}"
    );
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_in_plain_words() {
    let site = Site::new();
    let url = format!("http://127.0.0.1:{}/", crate::binary::ports::port());
    let output = failed(&site, &url).await;
    assert!(
        output.contains(" !     127.0.0.1 refused the connection"),
        "{output}"
    );
    // A label longer than 63 bytes has no address, which the resolver knows without asking anybody.
    let nowhere = format!("{}.example.com", "a".repeat(64));
    let output = failed(&site, &format!("http://{nowhere}/")).await;
    assert!(
        output.contains(&format!(" !     There is no host named {nowhere}.")),
        "{output}"
    );
    let server = Server::start(|_| b"what is this\r\n\r\n".to_vec()).await;
    let output = failed(&site, &server.url("/")).await;
    assert!(
        output.contains("127.0.0.1 gave no answer that could be read"),
        "{output}"
    );
    let output = failed(&site, &format!("https://{}/", not_tls().await)).await;
    assert!(
        output.contains(" !     127.0.0.1 does not speak TLS"),
        "{output}"
    );
}

/// The address of a server that says nothing like TLS to whoever connects.
async fn not_tls() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        connection
            .write_all(b"220 mail.example.com\r\n")
            .await
            .unwrap();
        // Read to its end, so that closing does not throw away what was said.
        connection.read_to_end(&mut Vec::new()).await
    });
    address
}

#[tokio::test]
async fn a_private_address_is_refused_however_it_is_written() {
    let mut site = Site::new();
    site.parts.outbound = Outbound::new(false);
    let server = Server::start(|_| ok(&archive())).await;
    let port = server.host.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let output = failed(&site, &format!("http://{host}:{port}/")).await;
        assert!(
            output.contains("is at a private address"),
            "{host}: {output}"
        );
    }
    assert_eq!(server.heads(), [""; 0]);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let mut site = Site::new();
    let public = IpAddr::from(Ipv4Addr::LOCALHOST);
    site.parts.outbound = Outbound::reaching(move |address| address == public);
    for to in ["http://127.0.0.2/", "http://[::1]/", "//10.0.0.1/"] {
        let server = Server::start(move |_| redirect(to)).await;
        let output = failed(&site, &server.url("/")).await;
        assert!(output.contains("is at a private address"), "{to}: {output}");
    }
}

#[tokio::test]
async fn a_name_is_judged_by_the_address_that_is_connected_to() {
    let mut site = Site::new();
    let server = Server::start(|_| ok(&archive())).await;
    let url = format!(
        "http://localhost:{}/",
        server.host.rsplit(':').next().unwrap()
    );
    site.parts.outbound = Outbound::reaching(|address| address == Ipv4Addr::LOCALHOST);
    succeeded(&site, &url).await;
    site.parts.outbound = Outbound::reaching(|address| !address.is_loopback());
    let output = failed(&site, &url).await;
    assert!(
        output.contains("localhost is at a private address"),
        "{output}"
    );
}

#[test]
fn a_url_is_checked_before_a_build_is_accepted() {
    let outbound = Outbound::new(false);
    assert!(outbound.check("https://example.com/source.tgz").is_ok());
    for url in [
        "",
        "source.tgz",
        "file:///etc/passwd",
        "ftp://example.com/",
        "data:,x",
        "http://",
        "http://10.1.2.3/",
    ] {
        let error = outbound.check(url).unwrap_err();
        assert_eq!(error.id.status(), 422, "{url}");
    }
}

#[test]
fn addresses_are_public_or_not() {
    let public = |text: &str| is_public(text.parse().unwrap());
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.8.9.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ] {
        assert!(!public(address), "{address}");
    }
    for address in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "192.0.1.1",
        "198.17.0.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2001:4860:4860::8888",
        "2606:4700::1111",
    ] {
        assert!(public(address), "{address}");
    }
}
