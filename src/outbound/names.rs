//! Which addresses a host has, less those that may not be reached.
//!
//! A name can mean something else each time that it is asked for, so whoever connects uses what was answered here, and asks nobody
//! again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::failure::Private;

type Rule = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;
type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// What finds the addresses of a host, and says which may be reached.
#[derive(Clone)]
pub(super) struct Names {
    may_reach: Rule,
    lookup: Lookup,
}

impl Names {
    /// As the machine's resolver has them.
    pub(super) fn of_machine(may_reach: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Names {
        let lookup = |host: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(async move {
                let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
                Ok(found.map(|found| found.ip()).collect())
            })
        };
        Names {
            may_reach: Arc::new(may_reach),
            lookup: Arc::new(lookup),
        }
    }

    /// The same rule, by this in place of the machine's resolver.
    pub(super) fn by(&self, lookup: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Names {
        let lookup = move |host: String| -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            Box::pin(std::future::ready(Ok(lookup(&host))))
        };
        Names {
            may_reach: self.may_reach.clone(),
            lookup: Arc::new(lookup),
        }
    }

    pub(super) fn may_reach(&self, address: IpAddr) -> bool {
        (self.may_reach)(address)
    }

    /// The addresses of a host that may be reached; `None` where it has others only.
    pub(super) async fn reachable(&self, host: &str) -> io::Result<Option<Vec<IpAddr>>> {
        let found = (self.lookup)(host.to_owned()).await?;
        let (public, private): (Vec<IpAddr>, Vec<IpAddr>) =
            found.into_iter().partition(|found| self.may_reach(*found));
        Ok((private.is_empty() || !public.is_empty()).then_some(public))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.clone();
        Box::pin(async move {
            match names.reachable(name.as_str()).await? {
                Some(found) => {
                    let found = found.into_iter().map(|address| SocketAddr::new(address, 0));
                    Ok(Box::new(found) as Addrs)
                }
                None => Err(Private.into()),
            }
        })
    }
}
