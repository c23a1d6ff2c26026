//! A whole server in this process, with its sockets, loops and real dynos, for what only tests set.

use penstock::config::Config;
use penstock::data_dir::DataDir;
use penstock::runtime::Parting;
use penstock::sandbox::Settings;
use penstock::serve::{Options, Server};

use crate::binary::{Client, Place};
use crate::harness;

pub struct Here {
    pub server: Server,
    /// What is left of its dynos ends with it.
    pub place: Place,
}

impl Here {
    /// Dynos end with it, unless the test says otherwise.
    pub async fn start(change: impl FnOnce(&mut Config, &mut Options)) -> Here {
        let place = Place::new();
        let data = DataDir::open(&place.data()).unwrap();
        let mut config = Config {
            isolation: Settings {
                dyno_forwarding: false,
                ..Settings::default()
            },
            ..harness::config(&data)
        };
        let mut options = Options {
            shim: Some(env!("CARGO_BIN_EXE_penstock").into()),
            ..Options::default()
        };
        change(&mut config, &mut options);
        let server = Server::start(config, options).await.unwrap();
        Here { server, place }
    }

    /// A client with the owner's token.
    pub fn client(&self) -> Client {
        let ready = &self.server.ready;
        let (_, port) = ready.router_url.rsplit_once(':').unwrap();
        Client::new(&ready.api_url, port.parse().unwrap(), &ready.api_key)
    }

    pub async fn end(self) {
        self.server.stop(Parting::End).await;
    }
}
