//! Where this server is found: the URLs that it tells clients.

use std::net::{IpAddr, SocketAddr};

use crate::hostname::Hostname;

/// The addresses that clients use. Paths are appended to `api`, which has no slash at its end.
#[derive(Clone, Debug)]
pub struct Urls {
    /// `http://127.0.0.1:5000`
    pub api: String,
    /// The port of the router as visitors see it.
    pub router_port: u16,
    /// The port that is for visitors within TLS alone, if there is one: apps' URLs are https then.
    pub router_tls_port: Option<u16>,
    /// Apps are hosts under it: `localhost`.
    pub base_domain: String,
    /// Where this machine listens for the clients of one-off dynos, who come to its port on the host of the API.
    pub rendezvous_at: SocketAddr,
}

impl Urls {
    /// Where an app's web dynos are visited.
    pub fn web(&self, app: &str) -> String {
        let host = self.host(app);
        let root = match self.router_tls_port {
            Some(port) => root("https", &host, port),
            None => root("http", &host, self.router_port),
        };
        format!("{root}/")
    }

    /// Where an app is pushed to. The official CLI always makes it https.
    pub fn git(&self, app: &str) -> String {
        let host = self
            .api
            .split_once("://")
            .map_or(self.api.as_str(), |(_, host)| host);
        format!("https://{host}/{app}.git")
    }

    /// Where the client with this secret meets its dyno. The official CLI wants the port to be named.
    pub fn rendezvous(&self, secret: &str) -> String {
        format!(
            "rendezvous://{}:{}/{secret}",
            self.api_host(),
            self.rendezvous_at.port()
        )
    }

    /// The API's host, without its port: `127.0.0.1`, `[::1]`, `api.example.com`.
    pub fn api_host(&self) -> &str {
        let authority = self.api.split_once("://").map_or("", |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => authority,
        }
    }

    /// Whether the API's host is this machine to whoever reads its URL: `localhost`, or an address of loopback.
    pub fn api_is_here(&self) -> bool {
        is_this_machine(self.api_host())
    }

    /// The host of the API, where it is the router's ports that it is reached by: a name, within TLS, at the port that visitors of
    /// apps come to. Anywhere else, somebody else leads there.
    pub fn api_by_router(&self) -> Option<String> {
        let authority = self.api.strip_prefix("https://")?.split('/').next()?;
        let port = match authority.rsplit_once(':') {
            Some((_, port)) => port.parse().ok()?,
            None => 443,
        };
        let name = Hostname::canonical(self.api_host())?;
        let is_one = name.wildcard().is_none();
        let of_router = self.router_tls_port.unwrap_or(self.router_port);
        (is_one && port == of_router).then(|| name.to_string())
    }

    /// The router itself, for a client that sends the Host header by hand.
    pub fn router(&self) -> String {
        root("http", &self.base_domain, self.router_port)
    }

    /// Whether visitors of this name could be looking for the API, or for an app under its own name. No app may add such a name.
    pub fn has(&self, hostname: &Hostname) -> bool {
        let api = self.api_host().trim_matches(['[', ']']);
        let is_above_api = |under: &str| {
            let rest = api.strip_suffix(under);
            rest.is_some_and(|rest| rest.ends_with('.'))
        };
        hostname.meets(&self.base_domain)
            || hostname.as_str() == api
            || hostname.wildcard().is_some_and(is_above_api)
    }

    /// The host under which the router knows an app.
    pub fn host(&self, app: &str) -> String {
        format!("{app}.{}", self.base_domain)
    }
}

/// `http://apps.example.com:8080`. The port that the scheme stands for is left out, as by whoever writes such an address. Not so the
/// API's own: git and the CLI come to it by `https://`, wherever `http://` leads.
fn root(scheme: &str, host: &str, port: u16) -> String {
    match (scheme, port) {
        ("http", 80) | ("https", 443) => format!("{scheme}://{host}"),
        _ => format!("{scheme}://{host}:{port}"),
    }
}

/// Whether a host, without a port, is the machine of whoever reads it: `localhost`, or an address of loopback.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(router_port: u16, router_tls_port: Option<u16>) -> Urls {
        Urls {
            api: "https://paas.example.com".to_owned(),
            router_port,
            router_tls_port,
            base_domain: "apps.example.com".to_owned(),
            rendezvous_at: SocketAddr::from(([127, 0, 0, 1], 5001)),
        }
    }

    #[test]
    fn a_port_that_the_scheme_stands_for_is_in_no_address_of_an_app() {
        let http = "http://harbour.apps.example.com";
        let https = "https://harbour.apps.example.com";
        for (router, tls, web, of_router) in [
            (80, None, format!("{http}/"), ""),
            (80, Some(443), format!("{https}/"), ""),
            (8080, None, format!("{http}:8080/"), ":8080"),
            (8080, Some(8443), format!("{https}:8443/"), ":8080"),
            // Each port stands for the other scheme's.
            (443, Some(80), format!("{https}:80/"), ":443"),
        ] {
            let urls = urls(router, tls);
            let of_router = format!("http://apps.example.com{of_router}");
            assert_eq!((urls.web("harbour"), urls.router()), (web, of_router));
        }
    }
}
